"""The dashboard's shell: its screens by name, the keys that hold everywhere, and how it is left.

To add a screen, write a `BenchScreen` (`harness.dashboard.screens.base`) in a module of its own and name it in
`SCREENS`; it is imported when it is shown for the first time. Screens reach each other by `app.open(name, **what)`,
the database by `app.database`, and a new experiment by `app.begin(plan)`.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen

from harness.dashboard.marks import Marks
from harness.dashboard.messages import Followed
from harness.dashboard.pace import Pacer
from harness.dashboard.source import LiveSource, Source
from harness.dashboard.themes import DEFAULT_THEME, OUR_THEMES, series_variables
from harness.errors import BenchError
from harness.execution.plan import Plan
from harness.execution.snapshot import Snapshot
from harness.registry import Registry


@dataclass(frozen=True, slots=True)
class ScreenEntry:
    """A screen: `target` is "module:Class", `key` opens it from everywhere, and is a letter of `title` if it can be."""

    name: str
    target: str
    key: str
    title: str
    summary: str


SCREENS: tuple[ScreenEntry, ...] = (
    ScreenEntry(
        "live", "harness.dashboard.screens.live:LiveScreen", "L", "Live", "what runs now, or the newest experiment"
    ),
    ScreenEntry("runs", "harness.dashboard.screens.runs:RunsScreen", "R", "Runs", "everything in the database"),
    ScreenEntry(
        "compare", "harness.dashboard.screens.compare:CompareScreen", "C", "Compare", "is A better than B, and by what"
    ),
    ScreenEntry(
        "curves", "harness.dashboard.screens.curves:CurvesScreen", "U", "Curves", "series over size or time, overlaid"
    ),
    ScreenEntry("start", "harness.dashboard.screens.start:StartScreen", "S", "Start", "a new experiment from a form"),
    ScreenEntry(
        "devices", "harness.dashboard.screens.devices:DevicesScreen", "D", "Devices", "what this machine offers"
    ),
)


@dataclass(frozen=True, slots=True)
class Leaving:
    """How the dashboard was left. `detached`: the experiment that it followed goes on without it."""

    last: Snapshot | None
    detached: bool


def _experiment_provider() -> type[Provider]:
    from harness.dashboard.commands import ExperimentProvider

    return ExperimentProvider


class Dashboard(App[Leaving]):
    """The app. `source` is what Live follows at first; `attended` means that a command waits for the app to end."""

    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[Any]] = {*App.COMMANDS, _experiment_provider}
    TITLE = "recbench"
    AUTO_FOCUS = None
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 -- an instance's variable in Textual
        (0, "-tiny"),
        (60, "-narrow"),
        (100, "-normal"),
        (130, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (16, "-low"), (32, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(entry.key, f"open('{entry.name}')", entry.title, show=False, tooltip=entry.summary)
            for entry in SCREENS
        ),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("t", "change_theme", "theme", show=False),
        Binding("ctrl+s", "save_picture", "picture", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "leave", show=False, priority=True, system=True),
        Binding("ctrl+z", "suspend_process", "to the shell", show=False, tooltip="fg comes back"),
        Binding("q", "leave", "quit"),
        Binding("ctrl+q", "leave", "quit", show=False, priority=True, system=True),
    ]

    def __init__(
        self,
        database: Path,
        source: Source | None = None,
        *,
        registry: Registry | None = None,
        first: str = "live",
        attended: bool = False,
        pacer: Pacer | None = None,
    ) -> None:
        super().__init__()
        self.database = database
        self.registry = registry or Registry()
        self.source = source
        self.attended = attended
        self.marks = Marks()
        self.pacer = pacer or Pacer()
        self.last: Snapshot | None = None
        self.leave_when_over = False
        self.current_name = first
        self.animation_level = "none"
        for entry in SCREENS:
            self.add_mode(entry.name, _maker(entry))

    def on_mount(self) -> None:
        for theme in OUR_THEMES:
            self.register_theme(theme)
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = DEFAULT_THEME
        self.switch_mode(self.current_name)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return series_variables(self.current_theme)

    def on_app_blur(self) -> None:
        self.pacer.unseen = True

    def on_app_focus(self) -> None:
        self.pacer.unseen = False

    async def open(self, name: str, **what: Any) -> None:
        """Shows the screen of that name; `what` reaches its `receive`, such as the ids to compare."""
        while self.screen_stack and self.screen.is_modal:
            await self.pop_screen()
        await self.switch_mode(name)
        self.current_name = name
        screen = self.screen
        if what and hasattr(screen, "receive"):
            screen.receive(**what)

    async def action_open(self, name: str) -> None:
        await self.open(name)

    async def follow(self, source: Source) -> None:
        """Live follows another experiment from now on."""
        old, self.source, self.last = self.source, source, None
        if old is not None and old is not source:
            old.close()
        await self.open("live")
        self.screen.post_message(Followed(source))

    async def begin(self, plan: Plan) -> None:
        """Starts an experiment and follows it. Call from a worker: BenchError says what was wrong with the start."""
        import asyncio

        from harness.execution.launch import launch

        attachment = await asyncio.to_thread(launch, plan)
        await self.follow(LiveSource(attachment))

    def tell(self, problem: BenchError) -> None:
        """Shows an error as a toast: its sentence and its hint."""
        self.notify(f"{problem.message}\n{problem.hint}" if problem.hint else problem.message, severity="error")

    @property
    def running(self) -> bool:
        """What Live follows has not ended."""
        return self.source is not None and self.source.live and not (self.last is not None and self.last.over)

    def action_leave(self) -> None:
        """Ends the dashboard; asks where an experiment goes on."""
        if not self.running:
            self.depart(detached=False)
            return
        from harness.dashboard.screens.leave import LeaveScreen

        if not isinstance(self.screen, LeaveScreen):
            self.push_screen(LeaveScreen())

    def action_interrupt(self) -> None:
        """Ctrl-C copies what is selected, like everywhere; otherwise it asks how to leave."""
        chosen = self.screen.get_selected_text()
        if chosen:
            self.copy_to_clipboard(chosen)
            self.screen.clear_selection()
            self.notify("copied")
        else:
            self.action_leave()

    def command(self, name: str, **fields: Any) -> None:
        """Gives the followed experiment a command; Live hears the answer."""
        source = self.source
        if source is None:
            self.notify("no experiment is followed", severity="warning")
            return

        def send() -> None:
            try:
                self.call_from_thread(self._answered, source.send(name, **fields), None)
            except BenchError as problem:
                self.call_from_thread(self._answered, "", problem)

        self.run_worker(send, thread=True, group="command", exit_on_error=False)

    def _answered(self, text: str, problem: BenchError | None) -> None:
        if problem is None:
            self.notify(text)
        else:
            self.leave_when_over = self.leave_when_over and self.running
            self.tell(problem)

    def depart(self, *, detached: bool) -> None:
        if self.source is not None:
            self.source.close()
        self.exit(Leaving(self.last, detached))

    def action_help(self) -> None:
        from harness.dashboard.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def action_save_picture(self) -> None:
        """An SVG of the screen, in the working folder."""
        path = self.save_screenshot(filename=_picture_name(self.current_name))
        self.notify(f"saved {path}")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for entry in SCREENS:
            yield SystemCommand(entry.title, f"{entry.summary} ({entry.key})", _opener(self, entry.name))
        yield from getattr(screen, "palette", tuple)()
        yield SystemCommand("Theme", "change the colours (t)", self.action_change_theme)
        yield SystemCommand("Help", "keys and terms of this screen (?)", self.action_help)
        yield SystemCommand("Save a picture", "an SVG of the screen (ctrl+s)", self.action_save_picture)
        yield SystemCommand("Quit", "leave the dashboard (q)", self.action_leave)


def _maker(entry: ScreenEntry) -> Callable[[], Screen[Any]]:
    def make() -> Screen[Any]:
        module, _, name = entry.target.partition(":")
        made: Screen[Any] = getattr(importlib.import_module(module), name)()
        return made

    return make


def _opener(app: Dashboard, name: str) -> Callable[[], None]:
    def opener() -> None:
        app.call_later(app.open, name)

    return opener


def _picture_name(screen: str) -> str:
    return f"recbench-{screen}-{time.strftime('%Y%m%d-%H%M%S')}.svg"
