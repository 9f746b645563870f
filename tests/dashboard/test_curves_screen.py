from __future__ import annotations

from pathlib import Path

import pytest

from harness.dashboard import curves
from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.line_chart import LineChart
from harness.dashboard.widgets.long_list import LongList
from harness.store.queries import Store
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive
from tests.dashboard.stage import staged
from tests.dashboard.test_compare_screen import cells
from tests.example_database import STORIES, hit_ratio_at

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]


def test_hit_ratios_over_sizes_become_miss_ratios_on_a_logarithmic_axis(example: Path) -> None:
    charts = curves.read(example, cells(example, "policies"))
    first = charts[0]
    assert (first.name, first.axis, first.logarithmic) == ("miss_ratio", "rows", True)
    assert [one.name for one in first.curves] == ["lru", "lfu", "s3-fifo"]
    assert len({one.colour for one in first.curves}) == 3
    with Store(example) as store:
        (series,) = store.series(first.curves[0].run_id, "hit_ratio")
    assert first.curves[0].x == series.x
    assert first.curves[0].y == tuple(1 - (value or 0.0) for value in series.y)


def test_throughput_over_time_has_a_curve_for_each_run_and_a_colour_for_each_cell(example: Path) -> None:
    a, b = cells(example, "batch-size")
    chart = curves.read(example, [a, b])[0]
    assert chart.name == "throughput" and not chart.logarithmic
    assert len(chart.curves) == 20
    assert {one.colour for one in chart.curves if one.cell_id == a} == {1}
    assert {one.colour for one in chart.curves if one.cell_id == b} == {2}
    alone = curves.read(example, [a])[0]
    assert len({one.colour for one in alone.curves}) == curves.SERIES_COLOURS


def test_a_cursor_reads_the_point_before_it_and_nothing_behind_the_end() -> None:
    one = curves.Curve(name="a", cell_id="c", run_id="r", repeat=0, colour=1, x=(1.0, 2.0, 4.0), y=(0.1, None, 0.4))
    assert one.value_at(0.5) is None
    assert one.value_at(1.0) == one.value_at(1.9) == 0.1
    assert one.value_at(2.0) is None  # not measured
    assert one.value_at(4.0) == 0.4
    assert one.value_at(4.1) is None
    assert curves.nearest((1.0, 2.0, 4.0), 2.9) == 1
    assert curves.nearest((1.0, 2.0, 4.0), 99.0) == 2
    assert curves.nearest((), 1.0) == 0


@SIZES
@pytest.mark.parametrize(("name", "tag"), [("misses", "policies"), ("rates", "batch-size")])
def test_golden(example: Path, size: Size, name: str, tag: str) -> None:
    async def flow() -> None:
        async with staged("curves", example, size) as app:
            await app.app.open("curves", cells=cells(example, tag))
            await app.settle()
            check_golden(f"curves-{name}-{size[0]}x{size[1]}", app.text())

    drive(flow)


@SIZES
def test_the_arrows_move_the_cursor_that_reads_values(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("curves", example, size) as app:
            await app.app.open("curves", cells=cells(example, "policies"))
            await app.settle()
            places = app.screen.view.chart.places
            at = places.index(app.screen.view.cursor)
            await app.keys("right")
            assert app.screen.view.cursor == places[at + 1]
            policies = next(story.cells for story in STORIES if "policies" in story.tags)
            shown = app.text()
            assert all(f"{1 - hit_ratio_at(cell, places[at + 1]):.4f}" in shown for cell in policies)
            await app.keys("left", "left")
            assert app.screen.view.cursor == places[at - 1]
            await app.keys("shift+right", "shift+right")
            assert app.screen.view.cursor == places[-1]
            await app.keys("shift+left", "shift+left")
            assert app.screen.view.cursor == places[0]
            assert app.screen.query_one(LineChart).plot.cursor == places[0]

    drive(flow)


@SIZES
def test_charts_are_turned_and_chosen(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("curves", example, size) as app:
            await app.app.open("curves", cells=cells(example, "policies"))
            await app.settle()
            assert "Miss ratio by size" in app.text()
            await app.keys("right_square_bracket")
            assert "Throughput by seconds" in app.text()
            await app.keys("left_square_bracket")
            assert "Miss ratio by size" in app.text()
            await app.keys("m")
            assert isinstance(app.app.screen, Pick)
            await app.keys("t", "enter")
            assert "Throughput by seconds" in app.text()

    drive(flow)


@SIZES
def test_space_takes_in_and_out_and_enter_leaves_one(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("curves", example, size) as app:
            await app.keys("escape")
            await app.keys("slash")
            await app.type("policies")
            await app.keys("enter", "space", "down", "space")
            assert len(app.screen._cells) == 2
            await app.keys("space")
            assert len(app.screen._cells) == 1
            rows = app.screen.query_one(LongList)
            rows.cursor = 2
            await app.keys("enter")
            if size == NARROW:
                assert not rows.region and app.screen.query_one(LineChart).region
                await app.keys("l")
                assert rows.region
            else:
                assert app.screen._cells == [app.screen._chooser.choices[2].cell_id]

    drive(flow)


def test_a_click_on_the_chart_puts_the_cursor_there(example: Path) -> None:
    async def flow() -> None:
        async with staged("curves", example, WIDE) as app:
            await app.app.open("curves", cells=cells(example, "policies"))
            await app.settle()
            chart = app.screen.query_one(LineChart)
            await app.pilot.click(LineChart, offset=(chart.size.width - 1, 5))
            await app.settle()
            assert app.screen.view.cursor == app.screen.view.chart.places[-1]

    drive(flow)


def test_runs_without_series_and_no_database_are_told(example: Path, tmp_path: Path) -> None:
    with Store(example) as store:
        pending = next(run for run in store.list_runs(limit=None) if run.status == "pending")

    async def flow() -> None:
        async with staged("curves", tmp_path / "results.db", NARROW) as app:
            assert "no results yet" in app.text()
            await app.keys("space", "left", "right", "m", "right_square_bracket", "l", "escape")
        async with staged("curves", example, NARROW) as app:
            await app.app.open("curves", experiment=pending.experiment_id)
            await app.settle()
            assert app.screen._cells
            await app.app.open("curves", cells=["nothing-such"])
            await app.settle()
            assert "has no cell" in app.text()

    drive(flow)
