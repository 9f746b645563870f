"""The whole way: start from the form, watch, stop another one, compare, export. Real orchestrator, real worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from harness.dashboard.source import LiveSource
from harness.dashboard.widgets.long_list import LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.execution.snapshot import Snapshot
from harness.registry import Registry
from harness.store.queries import Store
from tests.dashboard.drive import NARROW, WIDE, drive, opened
from tests.dashboard.stage import Staged, staged
from tests.execution.conftest import make_house

FAKES = [Path(__file__).resolve().parents[1] / "fakes" / name for name in ("workloads.py", "devices.py")]


async def fill(app: Staged, **values: str) -> None:
    for name, text in values.items():
        app.screen.query_one(LongList).cursor = app.screen._rows.index(name)
        await app.pilot.pause()
        await app.press("enter", "ctrl+u")
        app.screen.query_one(RowEditor).query_one(Input).value = text
        await app.press("enter")
    await app.settle()


def _measures(snapshot: Snapshot) -> bool:
    return not snapshot.over and any(run.windows for cell in snapshot.cells for run in cell.runs)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
def test_start_watch_stop_compare_export(size: tuple[int, int]) -> None:
    database = Path("results.db")

    async def flow() -> None:
        async with staged("start", database, size, registry=Registry(FAKES)) as app:
            await app.app.open("start", workload="steady")
            await app.settle()
            await fill(app, device="still", repeats="4", epochs="1", rows="200", step_s="0.001", warmup="none")
            assert "✓ ready  4 runs of steady" in app.text(), app.text()
            await app.press("r")
            await app.until(lambda: app.app.current_name == "live")
            await app.until(lambda: app.app.last is not None and app.app.last.over)
            assert app.app.last.exit_code == 0

            await app.press("S")
            await fill(app, rows="100000", step_s="0.002", repeats="1", seconds="60", epochs="none")
            await app.press("r")
            await app.until(lambda: app.app.current_name == "live" and app.app.running)
            await app.until(lambda: app.app.last is not None and _measures(app.app.last))
            await app.press("k")  # Live asks before it kills
            await app.press("y")
            await app.until(lambda: app.app.last is not None and app.app.last.over)

            await app.keys("R")
            rows = app.screen.query_one(LongList)
            await app.until(lambda: rows.total == 5)
            await app.keys("end", "space", "home", "space", "c")
            assert app.app.current_name == "compare" and app.app.marks.both
            await app.until(lambda: app.screen.answer is not None and app.screen.answer.b is not None)
            assert "has no run that ended well" in app.text()

            await app.press("S")
            await fill(app, rows="200", step_s="0.001", repeats="4", seconds="none", epochs="1")
            await app.press("r")
            await app.until(lambda: app.app.last is not None and app.app.last.over and app.app.last.exit_code == 0)
            await app.keys("R")
            await app.until(lambda: rows.total == 9)
            app.app.marks.b = None
            await app.keys("home", "space", "c")
            await app.until(lambda: app.screen.answer is not None and app.screen.answer.comparison is not None)
            assert "throughput" in app.text() and "question" in app.text()
            await app.keys("e", "enter")
            assert len(list(Path.cwd().glob("compare-*.md"))) == 1

    drive(flow)
    with Store(database) as store:
        assert store.count_experiments() == 3


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
def test_a_worker_that_floods_is_watched_and_the_next_one_measures(tmp_path: Path, size: tuple[int, int]) -> None:
    """1500 lines of noise where events belong; the dashboard answers keys meanwhile, and says what happened."""
    (tmp_path / "house").mkdir()
    with make_house(tmp_path / "house") as house:
        source = LiveSource(house.launch(house.plan("flood", "normal", command="sweep")))

        async def flow() -> None:
            async with opened(source, size=size, database=house.database) as app:
                await app.press("question_mark", "escape", "2", "2")
                await app.until(lambda: app.app.last is not None and app.app.last.over)
                await app.until(lambda: "1 of 2 runs ok" in app.text())
                assert "lines that are no events" in app.text()

        drive(flow)
