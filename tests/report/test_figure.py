from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Figure, Line
from harness.report.braille import Range
from harness.report.figure import Axis, log_ticks, points_of, runs_of, spread, thinned, x_axis, y_axis


def figure(*lines: Line, log_x: bool = False, y_label: str = "miss ratio") -> Figure:
    return Figure(title="A title", x_label="size", y_label=y_label, lines=lines, log_x=log_x)


def line(name: str, *points: tuple[float, float | None]) -> Line:
    return Line(name=name, x=[x for x, _ in points], y=[y for _, y in points])


def test_what_cannot_be_drawn_interrupts_a_line() -> None:
    broken = line("a", (0, 1.0), (1, 1.0), (2, None), (3, math.nan), (4, 1.0), (math.inf, 2.0))
    assert runs_of(broken, log_x=False) == [[(0, 1.0), (1, 1.0)], [(4, 1.0)]]
    assert runs_of(broken, log_x=True) == [[(1, 1.0)], [(4, 1.0)]]
    assert points_of(figure(line("b"))) == [[]]
    assert x_axis(figure(line("b", (1, None))), 5) is None


def test_a_ratio_begins_at_nought_where_that_is_near_and_never_passes_one() -> None:
    near = y_axis(figure(line("a", (1, 0.2), (2, 0.99))), 5)
    assert near is not None and (near.span.low, near.span.high) == (0.0, 1.0)
    far = y_axis(figure(line("a", (1, 0.90), (2, 0.94))), 5)
    assert far is not None and 0.8 < far.span.low < 0.90 and 0.94 < far.span.high < 1.0
    beyond = y_axis(figure(line("a", (1, 0.2), (2, 0.99)), y_label="seconds"), 5)
    assert beyond is not None and beyond.span.high > 1.0


def test_one_size_has_an_axis_around_it() -> None:
    axis = x_axis(figure(line("a", (1000, 0.5)), log_x=True), 8)
    assert axis is not None
    assert axis.share(1000) == pytest.approx(0.5)
    assert "1k" in [label for _, label in axis.ticks]


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (1e2, 1e5, 10, [100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]),
        (1e2, 1e5, 8, [100, 300, 1000, 3000, 10_000, 30_000, 100_000]),
        (1e2, 1e5, 5, [100, 1000, 10_000, 100_000]),
        (1e0, 1e9, 5, [1, 100, 10_000, 1e6, 1e8]),
        (1.2e3, 1.8e3, 5, [1200, 1400, 1600, 1800]),
    ],
)
def test_logarithmic_ticks_are_round_and_few(low: float, high: float, most: int, expected: list[float]) -> None:
    assert log_ticks(Range(math.log10(low), math.log10(high)), most) == pytest.approx(expected)


@given(st.floats(-6, 12), st.floats(0.01, 12), st.integers(2, 12))
def test_logarithmic_ticks_lie_inside_in_order(low: float, size: float, most: int) -> None:
    span = Range(low, low + size)
    found = log_ticks(span, most)
    assert len(found) <= most + 1
    assert found == sorted(set(found))
    assert all(10**span.low * (1 - 1e-6) <= value <= 10**span.high * (1 + 1e-6) for value in found)


@given(st.lists(st.floats(-50, 150), max_size=30))
def test_names_are_apart_inside_and_in_the_order_of_their_lines(wanted: list[float]) -> None:
    found = spread(wanted, 3.0, 0.0, 100.0)
    assert len(found) == len(wanted)
    ranked = sorted(range(len(wanted)), key=lambda place: wanted[place])
    placed = [found[place] for place in ranked]
    assert all(b - a >= 3.0 - 1e-9 for a, b in pairwise(placed))
    assert all(-1e-9 <= place <= 100.0 + 1e-9 for place in placed)


def test_names_with_room_stand_where_they_want_and_others_share_the_way() -> None:
    assert spread([10.0, 50.0, 90.0], 5.0, 0.0, 100.0) == [10.0, 50.0, 90.0]
    assert spread([50.0, 50.0], 10.0, 0.0, 100.0) == pytest.approx([45.0, 55.0])
    assert spread([1.0, 1.0], 10.0, 0.0, 100.0) == pytest.approx([0.0, 10.0])
    assert spread([5.0] * 5, 10.0, 0.0, 20.0) == pytest.approx([0.0, 5.0, 10.0, 15.0, 20.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400), st.integers(2, 30))
def test_a_long_line_keeps_its_ends_and_extremes(values: list[float], columns: int) -> None:
    points = [(float(place), value) for place, value in enumerate(values)]
    axis = Axis(Range(0.0, max(1.0, len(values) - 1.0)), False, ())
    found = thinned(points, axis, columns)
    assert found == sorted(found)
    assert len(found) <= max(2 * columns, 4 * columns)
    assert found[0] == points[0] and found[-1] == points[-1]
    assert {min(values), max(values)} <= {value for _, value in found}
