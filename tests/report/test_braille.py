from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.braille import (
    Canvas,
    Range,
    clock_ticks,
    labels,
    power_ticks,
    ticks,
    value_range,
)

FINITE = st.floats(-1e12, 1e12, allow_nan=False)


def test_one_odd_window_does_not_flatten_the_rest() -> None:
    values = [100.0 + index % 3 for index in range(100)]
    found = value_range([*values, 10_000.0])
    assert found is not None
    assert found.high < 110


def test_few_points_show_all_of_them() -> None:
    found = value_range([90.0, 100.0, 95.0])
    assert found is not None
    assert found.low < 90.0
    assert found.high > 100.0


def test_a_range_that_begins_low_begins_at_zero() -> None:
    found = value_range([10.0, 90.0, 100.0])
    assert found is not None
    assert found.low == 0.0


def test_a_steady_rate_looks_steady() -> None:
    found = value_range([99.9, 100.0, 100.1], least_share=0.1)
    assert found is not None
    assert found.size >= 10.0
    assert found.low < 99.9 < 100.1 < found.high


def test_levels_are_in_sight_and_nothing_gives_no_range() -> None:
    found = value_range([0.70, 0.71], include=[0.81])
    assert found is not None
    assert found.high > 0.81
    assert value_range([]) is None
    assert value_range([None, math.nan, math.inf]) is None


@given(st.lists(FINITE, min_size=1, max_size=50))
def test_a_range_is_never_empty(values: list[float]) -> None:
    found = value_range(values)
    assert found is not None
    assert found.size > 0


@given(FINITE, st.floats(1e-6, 1e9), st.integers(1, 12))
def test_ticks_are_few_inside_and_in_order(low: float, size: float, most: int) -> None:
    span = Range(low, low + size)
    if span.size < 1e-9 * abs(low):
        return
    found = ticks(span, most)
    assert len(found) <= most + 1
    assert found == sorted(found)
    slack = 1e-6 * max(abs(span.low), abs(span.high), span.size)
    assert all(span.low - slack <= value <= span.high + slack for value in found)


def test_clock_ticks_are_round_on_a_clock() -> None:
    assert clock_ticks(Range(0.0, 61.0), 5) == [0.0, 15.0, 30.0, 45.0, 60.0]
    assert clock_ticks(Range(0.0, 4000.0), 5) == [0.0, 900.0, 1800.0, 2700.0, 3600.0]


def test_power_ticks_are_powers() -> None:
    assert power_ticks(Range(0.0, 6.0), 7) == [10.0**power for power in range(7)]
    assert power_ticks(Range(math.log10(256), math.log10(2**20)), 4) == [1e3, 1e4, 1e5, 1e6]
    assert power_ticks(Range(math.log10(256), math.log10(4096)), 5) == [256.0, 512.0, 1024.0, 2048.0, 4096.0]


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([0.0, 20_000.0, 40_000.0], "", ["0", "20k", "40k"]),
        ([58_000.0, 58_500.0], "", ["58.0k", "58.5k"]),
        ([0.44, 0.442], "", ["0.440", "0.442"]),
        ([0.0, 0.5, 1.0], "", ["0", "0.5", "1.0"]),
        ([5_000.0, 10_000.0], "", ["5k", "10k"]),
        ([2.0**30, 2.0**31], "bytes", ["1Gi", "2Gi"]),
        ([], "", []),
    ],
)
def test_labels_share_a_prefix_and_tell_neighbours_apart(values: list[float], unit: str, expected: list[str]) -> None:
    assert labels(values, unit) == expected


def _text(canvas: Canvas) -> list[str]:
    return ["".join(text for text, _ in canvas.row(place)) for place in range(canvas.height)]


def test_a_flat_line_fills_one_row_of_dots() -> None:
    canvas = Canvas(4, 2)
    canvas.line([0.0, 1.0], [0.0, 0.0], Range(0.0, 1.0), Range(0.0, 1.0), 1)
    assert _text(canvas) == ["    ", "⣀⣀⣀⣀"]


def test_a_diagonal_goes_from_corner_to_corner() -> None:
    canvas = Canvas(2, 1)
    canvas.line([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], Range(0.0, 3.0), Range(0.0, 3.0), 1)
    left, right = _text(canvas)[0]
    assert ord(left) & 0x40  # the dot at the bottom left
    assert ord(right) & 0x08  # the dot at the top right


def test_none_breaks_the_line() -> None:
    canvas = Canvas(10, 1)
    canvas.line([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, None, 0.0, 0.0], Range(0.0, 4.0), Range(0.0, 1.0), 1)
    assert "  " in _text(canvas)[0].strip()


def test_the_extremes_of_a_crowded_column_are_kept() -> None:
    """A thousand points on two cells: the single spike is still seen."""
    xs = [float(index) for index in range(1000)]
    ys: list[float | None] = [0.0] * 1000
    ys[400] = 1.0
    canvas = Canvas(2, 2)
    canvas.line(xs, ys, Range(0.0, 999.0), Range(0.0, 1.0), 1)
    assert _text(canvas)[0].strip()


def test_the_colour_of_the_line_in_front_wins() -> None:
    canvas = Canvas(4, 1)
    for ink in (1, 2):
        canvas.line([0.0, 1.0], [0.0, 0.0], Range(0.0, 1.0), Range(0.0, 1.0), ink)
    assert {ink for text, ink in canvas.row(0) if text.strip()} == {2}


@given(
    st.integers(1, 40), st.integers(1, 12), st.lists(st.tuples(FINITE, st.one_of(st.none(), FINITE)), max_size=60),
)  # fmt: skip
def test_anything_can_be_drawn(width: int, height: int, points: list[tuple[float, float | None]]) -> None:
    points.sort(key=lambda point: point[0])
    xs, ys = [x for x, _ in points], [y for _, y in points]
    canvas = Canvas(width, height)
    y = value_range(ys)
    if y is not None:
        canvas.line(xs, ys, Range(min(xs), max(xs)), y, 1)
    assert all(len(row) == width for row in _text(canvas))
