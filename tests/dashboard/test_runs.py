from __future__ import annotations

import asyncio
import shutil
import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest

from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.long_list import LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.store import database as store_database
from harness.store import edits
from harness.store.queries import Store
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive
from tests.dashboard.stage import staged

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]


@SIZES
def test_golden(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("runs", example, size) as app:
            check_golden(f"runs-{size[0]}x{size[1]}", app.text())

    drive(flow)


@SIZES
def test_typing_filters_and_escape_clears(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("runs", example, size) as app:
            rows = app.screen.query_one(LongList)
            everything = rows.total
            await app.keys("slash")
            await app.type("device:cuda status:ok")
            assert 0 < rows.total < everything
            assert "cpu" not in "\n".join(app.text().splitlines()[3 : 3 + rows.total])
            await app.keys("enter")
            assert rows.has_focus
            await app.keys("escape")
            assert rows.total == everything

    drive(flow)


def test_a_wrong_filter_is_told_while_typing(example: Path) -> None:
    async def flow() -> None:
        async with staged("runs", example, NARROW) as app:
            await app.keys("slash")
            await app.type("devise:cpu")
            assert "'devise' is nothing to filter by" in app.text()
            assert "did you mean 'device'?" in app.text()
            for _ in range(len("devise:cpu")):
                await app.press("backspace")
            await app.type("nothing-is-called-so")
            assert "no run passes this filter" in app.text()
            assert "devise" not in app.text()

    drive(flow)


@SIZES
def test_sorting_by_key_by_heading_and_back_again(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("runs", example, size) as app:
            await app.keys("s")
            assert isinstance(app.app.screen, Pick)
            await app.keys("escape", "s", "w", "enter")
            assert "workload▴" in app.text()
            await app.keys("s", "t", "enter")  # took, the wall time
            assert app.screen.query_one(LongList).sorted_by == ("wall", True)
            await app.keys("down", "s", "end", "enter")
            assert app.screen.query_one(LongList).sorted_by == (app.screen._list.metrics[-1], True)
            assert app.screen.query_one(LongList).cursor == 0
            first = app.text().splitlines()[3]
            await app.keys("o")
            assert "▴" in app.text() and app.text().splitlines()[3] != first
            await app.pilot.click(LongList, offset=(4, 0))  # the heading of the date
            await app.settle()
            assert "date▾" in app.text()

    drive(flow)


@SIZES
def test_space_marks_a_then_b_and_p_makes_a_baseline(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("runs", example, size) as app:
            marks = app.app.marks
            rows = app.screen.query_one(LongList)
            await app.keys("space")
            first = marks.a
            assert first is not None and marks.b is None
            while app.screen._current.cell_id == first:
                await app.press("down")
            await app.keys("space")
            assert marks.a == first and marks.b not in (None, first)
            drawn = [line[:2].strip() for line in app.text().splitlines()[3:]]
            assert "A" in drawn and "B" in drawn
            await app.keys("p")
            assert marks.b == first and marks.a == app.screen._current.cell_id
            await app.keys("space")
            assert marks.a is None
            assert rows.has_focus

    drive(flow)


@SIZES
@pytest.mark.parametrize(("key", "typed", "read"), [
    ("g", " fast nightly", lambda one: one.tags == ("fast", "nightly", "now")),
    ("n", "quiet machine", lambda one: one.note == "quiet machine"),
])  # fmt: skip
def test_tags_and_notes_are_edited_where_they_stand(own: Path, size: Size, key: str, typed: str, read: object) -> None:
    async def flow() -> None:
        async with staged("runs", own, size) as app:
            experiment = app.screen._current.experiment_id
            await app.keys(key)
            editor = app.screen.query_one(RowEditor)
            assert editor.shown
            assert editor.region.y == app.screen.query_one(LongList).region.y + 1
            await app.type(typed)
            await app.keys("enter")
            await app.until(lambda: not editor.shown)
            await app.settle()
            with Store(own) as store:
                assert read(store.experiment(experiment))  # type: ignore[operator]
            assert app.screen._current.experiment_id == experiment
            assert typed.split()[0] in app.text()

    drive(flow)


def test_escape_leaves_tags_as_they_were(own: Path) -> None:
    async def flow() -> None:
        async with staged("runs", own, NARROW) as app:
            experiment = app.screen._current.experiment_id
            await app.keys("g")
            await app.type("x")
            await app.keys("escape")
            assert not app.screen.query_one(RowEditor).shown
            with Store(own) as store:
                assert store.experiment(experiment).tags == ("now",)

    drive(flow)


def test_a_tag_that_cannot_be_one_keeps_the_editor_open(own: Path) -> None:
    async def flow() -> None:
        async with staged("runs", own, NARROW) as app:
            await app.keys("g")
            await app.type(" @bad")
            await app.keys("enter")
            await app.until(lambda: "cannot be a tag" in app.text())
            editor = app.screen.query_one(RowEditor)
            assert editor.shown and editor.value == "now @bad"

    drive(flow)


def test_a_database_locked_by_another_writer_is_read_and_an_edit_says_so_and_waits(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "connect", partial(store_database.connect, busy_timeout_s=0.2))

    async def flow() -> None:
        other = sqlite3.connect(own, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with staged("runs", own, WIDE) as app:
            assert app.screen.query_one(LongList).total == 83
            await app.keys("n")
            await app.type("mine")
            await app.keys("enter")
            await app.until(lambda: "is locked by another program" in app.text())
            editor = app.screen.query_one(RowEditor)
            assert editor.shown and editor.value == "mine"
            other.execute("ROLLBACK")
            await app.keys("enter")
            await app.until(lambda: not editor.shown)
            with Store(own) as store:
                assert store.experiment(app.screen._current.experiment_id).note == "mine"
        other.close()

    drive(flow)


@SIZES
def test_deletion_asks_and_only_yes_deletes(own: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("runs", own, size) as app:
            rows = app.screen.query_one(LongList)
            await app.keys("down", "down", "down", "down", "down", "space", "d")  # the newest one is still running
            await app.until(lambda: isinstance(app.app.screen, ConfirmScreen))
            assert "Delete experiment" in app.text() and "2 runs" in app.text()
            await app.keys("n")
            assert rows.total == 83
            gone = app.screen._current.experiment_id
            await app.keys("d")
            await app.until(lambda: isinstance(app.app.screen, ConfirmScreen))
            await app.keys("y")
            await app.until(lambda: rows.total == 81)
            assert app.app.marks.a is None
            with Store(own) as store:
                assert gone not in {one.id for one in store.list_experiments(limit=None)}

    drive(flow)


def test_a_running_experiment_is_not_deleted(own: Path) -> None:
    async def flow() -> None:
        async with staged("runs", own, WIDE) as app:
            await app.keys("d")
            await app.until(lambda: isinstance(app.app.screen, ConfirmScreen))
            await app.keys("y")
            await app.until(lambda: "still running" in app.text())
            assert app.screen.query_one(LongList).total == 83

    drive(flow)


def test_changes_of_others_are_seen_and_the_cursor_stays_on_its_run(own: Path) -> None:
    async def flow() -> None:
        async with staged("runs", own, WIDE) as app:
            await app.keys(*["down"] * 12)
            here = app.screen._current.id
            with Store(own) as store:
                newest = store.list_experiments(limit=2)[1].id
            await asyncio.to_thread(edits.delete_experiment, own, newest)
            rows = app.screen.query_one(LongList)
            await app.until(lambda: rows.total == 81)
            await app.settle()
            assert app.screen._current.id == here

    drive(flow)


def test_r_reads_again_at_once(own: Path) -> None:
    async def flow() -> None:
        async with staged("runs", own, WIDE) as app:
            rows = app.screen.query_one(LongList)
            before = rows.total
            with Store(own) as store:
                newest = store.list_experiments(limit=2)[1].id
            await asyncio.to_thread(edits.delete_experiment, own, newest)
            assert app.screen._list.outdated
            await app.keys("r")
            assert rows.total < before and not app.screen._list.outdated

    drive(flow)


def test_the_other_screens_are_reached_with_what_is_marked(example: Path) -> None:
    async def flow() -> None:
        async with staged("runs", example, WIDE) as app:
            run = app.screen._current
            await app.keys("c")
            assert app.app.current_name == "compare" and app.app.marks.a == run.cell_id
            await app.keys("R", "v")
            assert app.app.current_name == "curves"
            await app.keys("R", "enter")
            assert app.app.current_name == "live"
            assert app.app.source is not None and app.app.source.experiment_id == run.experiment_id

    drive(flow)


def test_y_copies_the_id(example: Path) -> None:
    async def flow() -> None:
        async with staged("runs", example, WIDE) as app:
            await app.keys("y")
            assert app.app.clipboard == app.screen._current.id

    drive(flow)


def test_a_read_only_copy_is_shown_and_says_that_it_cannot_be_written(own: Path, tmp_path: Path) -> None:
    folder = tmp_path / "medium"
    folder.mkdir()
    copy = folder / "copied.db"
    shutil.copy(own, copy)
    with sqlite3.connect(copy) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    copy.chmod(0o444)
    folder.chmod(0o555)

    async def flow() -> None:
        async with staged("runs", copy, NARROW) as app:
            assert app.screen.query_one(LongList).total == 83
            await app.keys("n")
            await app.type("x")
            await app.keys("enter")
            editor = app.screen.query_one(RowEditor)
            if _is_root():
                await app.until(lambda: not editor.shown)  # nothing is read-only to root
            else:
                await app.until(lambda: "is read-only" in app.text())

    try:
        drive(flow)
    finally:
        folder.chmod(0o755)
        copy.chmod(0o644)


def _is_root() -> bool:
    import os

    return os.geteuid() == 0


def test_a_database_that_is_not_there_yet_and_one_that_is_none(tmp_path: Path) -> None:
    async def flow() -> None:
        async with staged("runs", tmp_path / "results.db", NARROW) as app:
            assert "no results yet: S starts an experiment" in app.text()
            await app.keys("down", "space", "g", "n", "d", "c", "R", "enter", "y")
        other = tmp_path / "other.db"
        other.write_text("this is no database at all, although it is long enough to be one\n" * 20)
        async with staged("runs", other, NARROW) as app:
            assert "is not a database" in " ".join(app.text().split())  # wherever its path makes it wrap

    drive(flow)


def test_a_hundred_thousand_runs_are_scrolled_sorted_and_filtered(large: Path) -> None:
    """The list keeps ids and one page of rows; the event loop is never held for long by any of it."""

    async def flow() -> None:
        async with staged("runs", large, WIDE) as app:
            rows = app.screen.query_one(LongList)
            assert rows.total >= 100_000
            await app.keys("end")
            assert rows.cursor == rows.total - 1
            await app.until(lambda: app.screen._current is not None)
            assert "…" not in "".join(line[:4] for line in app.text().splitlines()[3:-1])
            await app.keys("home", "pagedown", "pagedown", "pageup")
            assert len(rows._known) <= 600 < rows.total
            slowest = 0.0
            app.screen._sort_by("throughput")
            began = time.perf_counter()
            while any(not worker.is_finished for worker in app.app.workers):
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                slowest = max(slowest, time.perf_counter() - before)
            took = time.perf_counter() - began
            await app.settle()
            assert slowest < max(0.5, took)  # it is a share of the work, not a speed: the loop went on meanwhile
            assert "throughput▾" in app.text()
            await app.keys("slash")
            await app.type("nightly device:cuda")
            assert 0 < rows.total < 20_000

    drive(flow)


def test_a_newer_search_replaces_an_older_one(large: Path) -> None:
    async def flow() -> None:
        async with staged("runs", large, NARROW) as app:
            field = app.screen.query_one("#filter")
            for text in ("a", "ab", "abc", "device:ipu"):
                field.value = text
                app.screen.action_search()
            await app.settle()
            rows = app.screen.query_one(LongList)
            assert rows.total == len(app.screen._list.identifiers)
            assert {run.device for run in app.screen._list._runs.values()} == {"ipu"}

    drive(flow)


@SIZES
def test_without_colours_marks_and_states_are_still_told(
    example: Path, size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def flow() -> None:
        async with staged("runs", example, size) as app:
            await app.keys("space")
            assert any(line.startswith(" A") for line in app.text().splitlines())
            assert "running" in app.text() and "lost" in app.text()

    drive(flow)


def test_a_resize_to_a_tiny_terminal_and_back(example: Path) -> None:
    async def flow() -> None:
        async with staged("runs", example, WIDE) as app:
            before = app.text()
            await app.pilot.resize_terminal(40, 10)
            await app.settle()
            assert "dlrm train" in app.text()
            await app.pilot.resize_terminal(*WIDE)
            await app.settle()
            assert app.text() == before

    drive(flow)
