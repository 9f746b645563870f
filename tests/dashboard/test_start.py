from __future__ import annotations

from pathlib import Path

import pytest

from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.long_list import LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.errors import UnavailableError
from harness.execution.plan import Plan
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive
from tests.dashboard.stage import Staged, staged

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]


async def go_to(app: Staged, name: str) -> None:
    app.screen.query_one(LongList).cursor = app.screen._rows.index(name)
    await app.settle()


@SIZES
def test_golden(example: Path, size: Size) -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), size) as app:
            await app.keys("p", "d", "enter")
            await go_to(app, "batch")
            check_golden(f"start-{size[0]}x{size[1]}", app.text())

    drive(flow)


@SIZES
def test_a_value_is_checked_with_every_key_and_taken_by_enter(size: Size) -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), size) as app:
            await go_to(app, "batch")
            await app.keys("enter")
            editor = app.screen.query_one(RowEditor)
            assert editor.shown and editor.value == "128"
            await app.keys("x")
            assert "batch = '128x' is not a whole number" in app.text() and editor.has_class("-wrong")
            await app.keys("enter")
            assert editor.shown  # a wrong value is not taken
            await app.keys("backspace", "0", "enter")
            assert not editor.shown
            assert "$ bench run dlrm --batch 1280" in app.text()
            assert "typed here" in app.text() and "✓ ready" in app.text()
            await app.keys("backspace")
            assert "--batch" not in app.text().split("$ bench")[1]

    drive(flow)


def test_w_picks_another_workload_and_keeps_what_every_run_has() -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), WIDE) as app:
            await go_to(app, "repeats")
            await app.keys("enter", "backspace", "7", "enter")
            await app.keys("w")
            assert isinstance(app.app.screen, Pick)
            await app.keys("c", "enter")
            assert "$ bench run cachesim --repeats 7" in app.text()

    drive(flow)


@SIZES
def test_choices_by_space_and_from_a_list(size: Size) -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), size) as app:
            await go_to(app, "optimizer")
            await app.keys("space")
            assert "--optimizer adagrad" in app.text()
            await app.keys("space")
            assert "--optimizer sgd" in app.text()
            await app.keys("enter")
            assert isinstance(app.app.screen, Pick)
            await app.keys("a", "enter")
            assert "--optimizer adagrad" in app.text()
            await go_to(app, "shuffle")
            await app.keys("space")
            assert "--no-shuffle" in app.text() and "○ off" in app.text()

    drive(flow)


def test_the_cursor_steps_over_headings_and_never_rests_on_one() -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), NARROW) as app:
            rows = app.screen.query_one(LongList)
            assert app.screen.named == "workload"
            await app.keys("up")
            assert app.screen.named == "workload"
            seen = []
            for _ in range(8):
                seen.append(app.screen.named)
                await app.press("down")
            assert None not in seen and seen[:5] == ["workload", "profile", "tags", "note", "device"]
            await app.keys("end")
            assert app.screen.named is not None and rows.cursor == rows.total - 1
            while rows.cursor and rows.cursor > 1:
                await app.press("up")
                assert app.screen.named is not None

    drive(flow)


@SIZES
def test_finding_a_setting(size: Size) -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), size) as app:
            await app.keys("slash")
            await app.type("learning_r")
            await app.keys("enter")
            assert app.screen.named == "learning_rate"
            assert app.screen.query_one(LongList).total == 2
            await app.keys("escape")
            assert app.screen.query_one(LongList).total > 50 and app.screen.named == "learning_rate"

    drive(flow)


def test_settings_that_do_not_go_together_cannot_be_started() -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), WIDE) as app:
            await go_to(app, "target")
            await app.keys("enter")
            await app.type("auc")
            await app.keys("enter")
            assert "✗ target 'auc' is not like auc>=0.80" in app.text()
            assert app.screen.query_one("#go").disabled
            await app.keys("r")
            assert app.app.current_name == "start"

    drive(flow)


def test_tags_note_and_the_copied_command() -> None:
    async def flow() -> None:
        async with staged("start", Path("results.db"), WIDE) as app:
            await go_to(app, "tags")
            await app.keys("enter")
            await app.type("fast")
            await app.keys("enter")
            await go_to(app, "note")
            await app.keys("enter")
            await app.type("a b")
            await app.keys("enter", "y")
            assert app.app.clipboard == "bench run dlrm --tag fast --note 'a b'"
            await app.keys("backspace")
            await app.keys("y")
            assert app.app.clipboard == "bench run dlrm --tag fast"

    drive(flow)


@SIZES
def test_r_starts_what_the_form_says_and_a_refusal_is_told(size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Plan] = []

    async def begin(self: object, plan: Plan) -> None:
        begun.append(plan)
        raise UnavailableError("cpu is not there today", hint="come back tomorrow")

    monkeypatch.setattr("harness.dashboard.app.Dashboard.begin", begin)

    async def flow() -> None:
        async with staged("start", Path("mine.db"), size) as app:
            await app.keys("p", "s", "enter", "r")
            assert len(begun) == 1
            assert begun[0].cells[0].spec.profile == "smoke" and begun[0].database == Path("mine.db").resolve()
            assert begun[0].argv[:2] == ("run", "dlrm")
            assert "cpu is not there today" in app.text()
            app.app.clear_notifications()  # a toast lies over the button
            await app.settle()
            await app.pilot.click("#go")
            await app.settle()
            assert len(begun) == 2

    drive(flow)
