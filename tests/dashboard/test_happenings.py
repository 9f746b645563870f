from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.dashboard.views.happenings import event_rows
from harness.dashboard.widgets.paint import text_of
from harness.execution.snapshot import LineView, Snapshot
from tests.dashboard.pictures import changed, steady, sweep


def _texts(snapshot: Snapshot) -> list[str]:
    return [text_of(row).rstrip() for row in event_rows(snapshot)]


def _clock(seconds: int) -> str:
    seconds %= 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def test_runs_stand_among_what_was_told_in_the_order_of_time() -> None:
    lines = _texts(steady(18))
    assert lines == sorted(lines, key=lambda line: line[:9])
    assert lines[0].split() == ["14:00:00", "1", "started"]
    assert " 14:00:34 ●   1 61k samples/s in 34 s" in lines
    assert not any("●   3" in line for line in lines), "the third run has not ended"


def test_an_end_that_was_no_success_is_left_to_the_orchestrators_own_line() -> None:
    picture = steady(18, lines=())
    runs = [replace(run, status="crashed", reason="killed") for run in picture.cells[0].runs]
    lines = _texts(changed(picture, cells=(replace(picture.cells[0], runs=tuple(runs)),)))
    assert all(line.endswith("started") for line in lines)


def test_in_a_sweep_each_line_names_its_cell_in_the_rates_own_unit() -> None:
    picture = sweep()
    cells = tuple(replace(cell, rate_unit="requests/s") for cell in picture.cells)
    lines = _texts(changed(picture, cells=cells))
    assert any("policy=lfu " in line and line.endswith("3.8M requests/s in 12 s") for line in lines)


@given(st.lists(st.integers(0, 80_000), min_size=1, max_size=12), st.integers(0, 86_399))
def test_lines_keep_their_order_over_midnights(gaps: list[int], start: int) -> None:
    """They carry the time of day alone; gaps of less than a day are found again."""
    moments, at = [], start
    for gap in gaps:
        at += gap
        moments.append(at)
    lines = tuple(
        LineView(number=number, at=_clock(moment), level="info", text=f"line {number:02d}", run_id=None)
        for number, moment in enumerate(moments)
    )
    began = f"2026-11-03T{_clock(start)}Z"
    picture = changed(steady(3), started_at=began, elapsed_s=float(at - start), lines=lines, cells=())
    assert [text[-2:] for text in _texts(picture)] == [f"{number:02d}" for number in range(len(lines))]


def test_where_the_start_is_not_known_lines_come_as_they_were_told() -> None:
    assert len(_texts(changed(steady(18), started_at="?"))) == len(steady(18).lines)
