from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.judge import MetricComparison, Values
from harness.dashboard.marks import Marks
from harness.dashboard.strips import dots, interval, scale_of

METRIC = MetricComparison(
    key="throughput", unit="samples/s", better="higher", role="primary", kind="ratio", phase="measure",
    a=Values(by_repeat={0: 100.0, 1: 101.0}), b=Values(by_repeat={0: 130.0, 1: 131.0}), method="unpaired",
    estimate=1.3, low=1.27, high=1.34, tolerance=0.02, verdict="better",
)  # fmt: skip


def text(spans: list[tuple[str, str]]) -> str:
    return "".join(part for part, _ in spans)


@given(st.dictionaries(st.integers(0, 50), st.floats(-1e6, 1e6), min_size=1, max_size=30), st.integers(10, 120))
def test_dots_fill_their_width_and_show_every_place_that_has_a_repeat(values: dict[int, float], width: int) -> None:
    low, high = min(values.values()), max(values.values()) + 1.0
    drawn = text(dots(values, (), low, high, width, ""))
    assert len(drawn) == width
    places = {min(width - 1, round((value - low) / (high - low) * (width - 1))) for value in values.values()}
    assert {place for place, sign in enumerate(drawn) if sign in "•●"} == places


def test_a_contended_repeat_that_stands_alone_is_a_ring() -> None:
    assert text(dots({0: 0.0, 1: 5.0, 2: 10.0}, {2}, 0.0, 10.0, 11, "")) == "•····•····○"


def test_the_median_is_marked_where_no_repeat_stands() -> None:
    assert text(dots({0: 0.0, 1: 10.0}, (), 0.0, 10.0, 11, "")) == "•····┃····•"


def test_equal_values_have_a_scale() -> None:
    same = replace(METRIC, a=Values(by_repeat={0: 5.0}), b=Values(by_repeat={0: 5.0}))
    assert scale_of(same) == (4.95, 5.05)
    assert scale_of(replace(same, a=Values(by_repeat={0: 0.0}), b=Values(by_repeat={0: 0.0}))) == (-1.0, 1.0)
    assert scale_of(replace(same, a=Values(by_repeat={}), b=Values(by_repeat={}))) is None


@pytest.mark.parametrize(("better", "side"), [("higher", 1), ("lower", -1), ("none", 1)])
def test_better_is_always_on_the_right(better: str, side: int) -> None:
    drawn = text(interval(replace(METRIC, better=better), 41))  # type: ignore[arg-type]
    assert len(drawn) == 41
    assert (drawn.index("●") - 20) * side > 0
    assert drawn[20] == "┼" and drawn.count("░") >= 1 and drawn.count("━") >= 1


def test_an_interval_inside_the_tolerance_lies_inside_the_shade() -> None:
    drawn = text(interval(replace(METRIC, estimate=1.001, low=0.995, high=1.007, verdict="same"), 61))
    first, last = drawn.index("░"), drawn.rindex("░")
    assert first < drawn.index("━") and drawn.rindex("━") < last


def test_without_an_interval_the_estimate_stands_alone() -> None:
    drawn = text(interval(replace(METRIC, low=None, high=None), 41))
    assert "●" in drawn and "━" not in drawn
    assert text(interval(replace(METRIC, estimate=None), 41)).strip() == ""


def test_marks() -> None:
    marks = Marks()
    for cell in ("x", "y"):
        marks.toggle(cell)
    assert (marks.a, marks.b) == ("x", "y") and marks.both
    marks.toggle("z")
    assert (marks.a, marks.b) == ("x", "z")
    marks.pin("z")
    assert (marks.a, marks.b) == ("z", "x")
    marks.pin("w")
    assert (marks.a, marks.b, marks.letter("w"), marks.letter("x"), marks.letter("q")) == ("w", "x", "A", "B", "")
    marks.toggle("w")
    assert marks.a is None and not marks.both
    marks.toggle("v")
    assert marks.a == "v"
    marks.forget({"v", "x"})
    assert (marks.a, marks.b) == (None, None)
