from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.screens.help import HelpScreen
from harness.dashboard.screens.leave import LeaveScreen
from harness.dashboard.widgets.line_chart import LineChart
from harness.dashboard.widgets.panel import Panel
from harness.dashboard.widgets.rows import LinesView
from harness.dashboard.widgets.run_tree import RunTree
from harness.errors import RunFailed
from tests.dashboard.drive import NARROW, WIDE, drive, opened
from tests.dashboard.pictures import Recording, changed, over, steady, sweep

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]


@SIZES
def test_it_tells_what_runs_how_far_it_is_and_how_fast(size: Size) -> None:
    async def flow() -> None:
        async with opened(Recording(steady(18)), size=size) as app:
            text = app.text()
            for word in ("dlrm train on cpu", "run 3 of 5", "measure", "57 %", "84 s left", "61.4k samples/s", "▲"):
                assert word in text

    drive(flow)


@SIZES
@pytest.mark.parametrize(
    ("key", "name"), [("1", "tree"), ("2", "throughput"), ("3", "quality"), ("4", "machine"), ("5", "bottom")]
)
def test_each_number_key_lets_a_panel_fill_the_screen_and_come_back(key: str, name: str, size: Size) -> None:
    async def flow() -> None:
        async with opened(Recording(steady()), size=size) as app:
            await app.press(key)
            assert app.app.screen.maximized is app.app.screen.query_one(f"#{name}", Panel)
            assert app.app.screen.query_one(f"#{name}").size.width >= size[0] - 4
            await app.press(key)
            assert app.app.screen.maximized is None
            await app.press(key, "escape")
            assert app.app.screen.maximized is None

    drive(flow)


def test_one_maximised_panel_takes_the_place_of_another() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            await app.press("2", "4")
            assert app.app.screen.maximized is app.app.screen.query_one("#machine")

    drive(flow)


@pytest.mark.parametrize(
    ("key", "command"), [("s", ("skip", {"scope": "run"})), ("a", ("finish", {})), ("x", ("skip", {"scope": "cell"}))]
)
def test_keys_give_their_command_and_the_answer_is_told(key: str, command: tuple[str, dict[str, object]]) -> None:
    async def flow() -> None:
        source = Recording(sweep())
        async with opened(source) as app:
            await app.press(key)
            await app.until(lambda: source.sent == [command])
            await app.until(lambda: "is done" in app.text())

    drive(flow)


def test_a_refused_command_tells_why() -> None:
    async def flow() -> None:
        async with opened(Recording(steady(), refuses="no run is going on that could be skipped")) as app:
            await app.press("s")
            await app.until(lambda: "no run is going on" in app.text())

    drive(flow)


def test_a_cell_is_skipped_only_where_there_are_several() -> None:
    async def flow() -> None:
        source = Recording(steady())
        async with opened(source) as app:
            assert "skip cell" not in app.text()
            await app.press("x")
            assert source.sent == []

    drive(flow)


@SIZES
def test_kill_asks_first(size: Size) -> None:
    async def flow() -> None:
        source = Recording(steady())
        async with opened(source, size=size) as app:
            await app.press("k")
            assert isinstance(app.app.screen, ConfirmScreen)
            await app.press("n")
            assert source.sent == []
            await app.press("k", "enter")  # what is marked is the careful answer
            assert source.sent == []
            await app.press("k", "y")
            await app.until(lambda: source.sent == [("kill", {})])

    drive(flow)


def test_retry_takes_the_run_that_is_picked_else_the_last_that_failed() -> None:
    async def flow() -> None:
        picture = steady()
        runs = list(picture.cells[0].runs)
        from dataclasses import replace

        runs[0] = replace(runs[0], status="crashed", reason="killed by SIGKILL")
        source = Recording(changed(picture, cells=(replace(picture.cells[0], runs=tuple(runs)),)))
        async with opened(source) as app:
            assert "killed by" in app.text()
            await app.press("r")
            await app.until(lambda: source.sent == [("retry", {})])
            app.app.screen.query_one(RunTree).focus()
            await app.press("home", "r")
            await app.until(lambda: source.sent[1:] == [("retry", {"run": runs[0].id})])

    drive(flow)


def test_retry_is_not_offered_while_nothing_has_failed() -> None:
    async def flow() -> None:
        source = Recording(steady())
        async with opened(source) as app:
            assert "retry" not in app.text()
            await app.press("r")
            assert source.sent == []

    drive(flow)


@SIZES
def test_pause_stops_drawing_and_shows_the_newest_when_it_ends(size: Size) -> None:
    async def flow() -> None:
        source = Recording(steady(10))
        async with opened(source, size=size) as app:
            await app.press("p")
            assert "paused" in app.text()
            source.play(steady(20))
            await app.until(lambda: app.live._unseen is not None)
            assert "29 %" in app.text()
            await app.press("p")
            assert "64 %" in app.text()
            assert "paused" not in app.text()

    drive(flow)


def test_nothing_is_drawn_when_nothing_changed() -> None:
    async def flow() -> None:
        source = Recording(steady(10))
        async with opened(source) as app:
            drawn: list[object] = []
            for widget in app.app.screen.query(LineChart):
                original = widget.refresh
                widget.refresh = lambda *a, _o=original, **k: (drawn.append(1), _o(*a, **k))[1]  # type: ignore[method-assign]
            source.play(changed(steady(10), elapsed_s=80.25))
            await app.until(lambda: app.live.snapshot is not None and app.live.snapshot.elapsed_s == 80.25)
            assert drawn == []

    drive(flow)


def test_a_flood_of_pictures_is_drawn_at_most_four_times_a_second() -> None:
    async def flow() -> None:
        source = Recording(steady(3))
        flood = [changed(steady(3 + n % 20), elapsed_s=80.0 + n / 1000) for n in range(5000)]
        async with opened(source) as app:
            seen: list[float] = []
            take = app.live._take
            app.live._take = lambda snapshot: (seen.append(snapshot.elapsed_s), take(snapshot))[1]  # type: ignore[method-assign,func-returns-value]
            source.play(*flood)
            await app.until(lambda: bool(seen) and seen[-1] == 80.0 + 4999 / 1000)
            assert source.asked >= 5000
            assert len(seen) < 60  # five thousand came
            await app.press("question_mark")
            assert isinstance(app.app.screen, HelpScreen)  # it still listens

    drive(flow)


def test_a_run_can_be_looked_at_while_another_goes_on_and_f_comes_back() -> None:
    async def flow() -> None:
        source = Recording(steady(10))
        async with opened(source) as app:
            app.app.screen.query_one(RunTree).focus()
            await app.press("home")
            assert "Throughput · repeat 1" in app.text()
            assert "auc 0.7931  best possible 0.8125  −0.0194" in app.text()
            source.play(steady(20))
            await app.until(lambda: "64 %" in app.text())
            assert "Throughput · repeat 1" in app.text()
            await app.press("f")
            assert "repeat 1" not in app.text()
            assert app.app.screen.query_one(RunTree).chosen is None

    drive(flow)


def test_the_tree_moves_with_the_keys_and_the_mouse() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            tree = app.app.screen.query_one(RunTree)
            tree.focus()
            await app.press("up")
            assert tree.chosen == "r1aaaaaaaaaa"
            await app.press("j", "j")
            assert tree.chosen == "r3aaaaaaaaaa"
            await app.press("end")
            assert tree.chosen == "r4aaaaaaaaaa"
            await app.pilot.click(RunTree, offset=(4, 0))
            assert tree.chosen == "r0aaaaaaaaaa"

    drive(flow)


def test_cells_open_and_close_and_the_current_one_is_open() -> None:
    async def flow() -> None:
        async with opened(Recording(sweep())) as app:
            tree = app.app.screen.query_one(RunTree)
            assert [node.run_id for node in tree.nodes] == [None, None, None, None, "s30aaaaaaaaa", "s31aaaaaaaaa"]
            tree.focus()
            await app.press("home", "enter")
            assert tree.nodes[1].run_id == "s00aaaaaaaaa"
            await app.press("enter")
            assert tree.nodes[1].run_id is None

    drive(flow)


def test_the_tabs_turn_with_brackets_and_by_mouse() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            assert "26 tables" in app.text()
            await app.press("right_square_bracket")
            await app.until(lambda: app.app.screen.query_one("#log", LinesView).rows)
            assert "26 tables" not in app.text()
            await app.press("right_square_bracket")
            assert app.app.screen.query_one("#settings").display
            await app.press("right_square_bracket")
            assert "26 tables" in app.text()
            await app.press("left_square_bracket")
            assert app.app.screen.query_one("#settings").display
            line = next(row for row, text in enumerate(app.text().split("\n")) if "Events  Log  Settings" in text)
            await app.pilot.click(offset=(app.text().split("\n")[line].index("Log") + 1, line))
            assert app.app.screen.query_one("#log").display

    drive(flow)


@SIZES
@pytest.mark.parametrize(("key", "sent"), [("d", []), ("q", []), ("c", None), ("escape", None)])
def test_q_asks_and_detaching_leaves_the_experiment_alone(size: Size, key: str, sent: list[object] | None) -> None:
    async def flow() -> None:
        source = Recording(steady())
        async with opened(source, size=size) as app:
            await app.press("q")
            assert isinstance(app.app.screen, LeaveScreen)
            assert "detach" in app.text()
            await app.press(key)
            if sent is None:
                assert app.app.is_running
                assert not isinstance(app.app.screen, LeaveScreen)
                return
            await app.until(lambda: app.app.return_value is not None)
        assert app.app.return_value is not None
        assert app.app.return_value.detached
        assert source.sent == []
        assert source.closed

    drive(flow)


@pytest.mark.parametrize(("key", "command"), [("s", "stop"), ("k", "kill")])
def test_stop_and_kill_of_the_dialog_leave_when_the_experiment_is_over(key: str, command: str) -> None:
    async def flow() -> None:
        source = Recording(steady())
        async with opened(source) as app:
            await app.press("q", key)
            await app.until(lambda: source.sent == [(command, {})])
            assert app.app.return_value is None
            source.play(over(state="interrupted", exit_code=130))
            await app.until(lambda: app.app.return_value is not None)
        assert app.app.return_value is not None
        assert not app.app.return_value.detached
        assert app.app.return_value.last is not None
        assert app.app.return_value.last.exit_code == 130

    drive(flow)


def test_ctrl_c_asks_like_q() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            await app.press("ctrl+c")
            assert isinstance(app.app.screen, LeaveScreen)

    drive(flow)


def test_q_leaves_at_once_when_nothing_runs() -> None:
    async def flow() -> None:
        async with opened(Recording(over())) as app:
            await app.press("q")
            await app.until(lambda: app.app.return_value is not None)
        assert app.app.return_value is not None
        assert not app.app.return_value.detached

    drive(flow)


def test_a_waiting_command_is_not_kept_for_ever_unless_somebody_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.dashboard.screens.live.LINGER_S", 1)

    async def alone() -> None:
        async with opened(Recording(over()), attended=True) as app:
            assert "any key stays" in app.text()
            await app.until(lambda: app.app.return_value is not None)

    async def watched() -> None:
        async with opened(Recording(over()), attended=True) as app:
            await app.press("down")
            assert "any key stays" not in app.text()
            await app.pilot.pause(2.2)
            assert app.app.return_value is None

    drive(alone)
    drive(watched)


def test_an_experiment_whose_process_is_gone_is_said_to_be() -> None:
    async def flow() -> None:
        source = Recording(steady(), lost=RunFailed("the process of experiment kmzt9c is gone"))
        async with opened(source) as app:
            await app.until(lambda: "is gone" in app.text())
            assert app.app.is_running
            assert not app.app.running

    drive(flow)


@SIZES
def test_help_lists_every_key_of_the_screen(size: Size) -> None:
    async def flow() -> None:
        async with opened(Recording(steady()), size=size) as app:
            await app.press("question_mark")
            await app.until(lambda: app.app.screen.query_one(LinesView).rows)
            from harness.dashboard.widgets.paint import text_of

            text = "\n".join(map(text_of, app.app.screen.query_one(LinesView).rows))
            for word in (
                "skip",
                "kill",
                "retry",
                "pause",
                "follow",
                "1 … 5",
                "[ ]",
                "best possible",
                "picture",
                "theme",
            ):
                assert word in text
            await app.press("escape")
            assert not isinstance(app.app.screen, HelpScreen)

    drive(flow)


def test_ctrl_s_saves_a_picture_in_the_working_folder() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            await app.press("ctrl+s")
            found = list(Path().glob("recbench-live-*.svg"))
            assert len(found) == 1
            assert "61.4k" in found[0].read_text(encoding="utf-8").replace("&#160;", " ")

    drive(flow)


def test_t_offers_the_themes_and_every_theme_draws() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            await app.press("t")
            assert app.app.screen.is_modal
            await app.press("escape")
            for theme in list(app.app.available_themes):
                app.app.theme = theme
                await app.pilot.pause()
                assert "61.4k samples/s" in app.text()

    drive(flow)


def test_resizing_to_40_by_10_and_back_gives_the_same_screen() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            before = app.text()
            await app.pilot.resize_terminal(40, 10)
            await app.pilot.pause(0.1)
            assert "61.4k samples/s" in app.text()
            assert max(map(len, app.text().split("\n"))) <= 40
            await app.pilot.resize_terminal(20, 3)
            await app.pilot.pause(0.1)
            await app.pilot.resize_terminal(*WIDE)
            await app.until(lambda: app.text() == before)

    drive(flow)


def test_another_screen_on_top_keeps_live_from_drawing() -> None:
    async def flow() -> None:
        source = Recording(steady(10))
        async with opened(source) as app:
            live = app.live
            live.on_screen_suspend()
            source.play(steady(20))
            await app.until(lambda: live._unseen is not None)
            assert live.snapshot is not None
            assert live.snapshot.elapsed_s == 80.0
            live.on_screen_resume()
            assert live.snapshot.elapsed_s == 90.0

    drive(flow)


def test_an_unfocused_terminal_is_drawn_seldom() -> None:
    async def flow() -> None:
        from textual import events

        async with opened(Recording(steady())) as app:
            app.app.post_message(events.AppBlur())
            await app.until(lambda: app.app.pacer.unseen)
            assert app.app.pacer.period_s == 5.0
            app.app.post_message(events.AppFocus())
            await app.until(lambda: not app.app.pacer.unseen)

    drive(flow)


def test_without_an_experiment_it_says_how_to_get_one() -> None:
    async def flow() -> None:
        async with opened(None) as app:
            assert "nothing runs" in app.text()
            assert "S starts an experiment" in app.text()

    drive(flow)


def test_the_palette_offers_the_screens_and_the_keys() -> None:
    async def flow() -> None:
        async with opened(Recording(steady())) as app:
            titles = {command.title for command in app.app.get_system_commands(app.app.screen)}
            assert {"Live", "Runs", "Compare", "Skip", "Kill", "Theme", "Quit"} <= titles

    drive(flow)


def test_without_colours_everything_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def flow() -> None:
        async with opened(Recording(steady(18))) as app:
            svg = app.app.export_screenshot()
            colours = set(re.findall(r"fill: #([0-9a-f]{6})", svg)) - {"c5c8c6"}  # the picture's own frame
            assert all(colour[0:2] == colour[2:4] == colour[4:6] for colour in colours), colours
            assert "▲" in app.text()  # the contended run

    drive(flow)


@pytest.mark.parametrize("name", ["live", "runs", "compare", "curves", "start", "devices"])
def test_each_screen_opens_by_its_key_and_live_comes_back(name: str, example: Path) -> None:
    from harness.dashboard.app import SCREENS

    async def flow() -> None:
        async with opened(Recording(steady(18)), database=example) as app:
            await app.press(next(entry.key for entry in SCREENS if entry.name == name))
            await app.until(lambda: getattr(app.app.screen, "NAME", "") == name)
            await app.app.open("live")
            await app.until(lambda: "61.4k samples/s" in app.text())

    drive(flow)


def test_the_countdown_ends_when_somebody_looks_at_another_screen(
    monkeypatch: pytest.MonkeyPatch, example: Path
) -> None:
    monkeypatch.setattr("harness.dashboard.screens.live.LINGER_S", 1)

    async def flow() -> None:
        source = Recording(steady(18))
        async with opened(source, attended=True, database=example) as app:
            await app.app.open("runs")
            source.play(over())
            await app.until(lambda: app.app.last is not None and app.app.last.over)
            await app.pilot.pause(2.2)
            assert app.app.return_value is None

    drive(flow)


def test_a_click_on_the_bar_opens_a_screen(example: Path) -> None:
    async def flow() -> None:
        async with opened(Recording(steady(18)), database=example) as app:
            await app.pilot.click(offset=(app.text().index("Runs") + 1, 0))
            await app.until(lambda: getattr(app.app.screen, "NAME", "") == "runs")

    drive(flow)


def test_another_experiment_can_be_followed() -> None:
    async def flow() -> None:
        first, second = Recording(steady(18)), Recording(sweep(experiment_id="zzzzzzzzzzzz"))
        async with opened(first) as app:
            await app.app.follow(second)
            await app.until(lambda: "cachesim simulate" in app.text())
            assert first.closed
            first.play(steady(20))
            await app.pilot.pause(0.4)
            assert "cachesim simulate" in app.text()

    drive(flow)


def test_of_runs_side_by_side_the_one_that_is_looked_at_is_skipped() -> None:
    async def flow() -> None:
        picture = sweep()
        first, *others = picture.cells
        going = replace(first.runs[0], status="running", phase="measure", throughput=None, metrics=())
        both = replace(picture, cells=(replace(first, runs=(going, first.runs[1])), *others), lanes=2)
        source = Recording(both)
        async with opened(source, size=WIDE) as app:
            await app.press("s")
            await app.until(lambda: source.sent == [("skip", {"scope": "run", "run": both.current_run})])
            app.app.screen.query_one(RunTree).focus()
            await app.press("home", "down", "s")
            await app.until(lambda: source.sent[1:] == [("skip", {"scope": "run", "run": going.id})])

    drive(flow)
