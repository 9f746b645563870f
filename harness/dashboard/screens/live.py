"""Live: one experiment as it runs, and how to steer it. It draws snapshots; a thread reads them, at most four a second.

What is drawn is compared with what is there: nothing new, nothing drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual import events, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import get_current_worker

from harness.dashboard.details import Details, RunDetails, read_details, read_log
from harness.dashboard.history import History
from harness.dashboard.messages import Arrived, DetailsRead, Followed, Lost, RunDetailsRead
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.source import RecordedSource, Source
from harness.dashboard.views.machine import lamp
from harness.dashboard.views.status import status_rows
from harness.dashboard.views.words import RETRIABLE, cell_of, shown_run
from harness.dashboard.widgets.live_panels import TABS, MachinePanel, QualityPanel, TabsPanel, ThroughputPanel
from harness.dashboard.widgets.panel import Panel
from harness.dashboard.widgets.rows import RowsView
from harness.dashboard.widgets.run_tree import RunTree
from harness.errors import BenchError
from harness.execution.snapshot import CellView, RunView, Snapshot
from harness.ids import short_id

PANELS = ("tree", "throughput", "quality", "machine", "bottom")
READ_S = 0.25  # how long a look at the source may block
LOG_PERIOD_S = 2.0
LINGER_S = 15  # how long the result stays when a command waits for the dashboard to end


class LiveScreen(BenchScreen):
    NAME = "live"
    CSS_PATH = "live.tcss"
    SUMMARY = (
        "The experiment that runs now, or the newest one of the database. It runs in a process of its own: leaving the "
        "dashboard does not end it, and `bench dashboard` comes back to it."
    )
    TERMS: ClassVar[Mapping[str, str]] = {
        "run": "one repeat of a cell, in a process of its own; repeats are what a comparison counts",
        "cell": "one configuration; a sweep has many, and their repeats take turns",
        "faint lines": "the repeats before this one, over the same time since their first window",
        "left": "known from earlier repeats and from the phase's own progress; – until it can be told honestly",
        "contended": "other processes used the cores or the card that the run needs: its number is not to be trusted",
        "best possible": "the AUC of the true probabilities, which a generated data set knows; no model can beat it",
        "stop": "finishes the window and ends the experiment; what was measured stays, and --resume goes on",
        "skip": "ends this run only; the next one begins",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "1", "panel(1)", "panels", key_display="1 … 5", show=False, tooltip="a panel fills the screen, or leaves it"
        ),
        *(Binding(str(number), f"panel({number})", show=False) for number in range(2, 6)),
        Binding("s", "skip('run')", "skip", tooltip="end this run, go on with the next one"),
        Binding("x", "skip('cell')", "skip cell", tooltip="end this run and drop the rest of its cell"),
        Binding("a", "finish", "stop after run", tooltip="let this run end well, then end the experiment"),
        Binding("k", "kill", "kill", tooltip="end the experiment at once"),
        Binding("r", "retry", "retry", tooltip="run again what failed: the run that is picked, else the last one"),
        Binding("f", "follow", "follow", tooltip="look at the run that is going on"),
        Binding("p", "pause", "pause", tooltip="stop drawing; the experiment goes on"),
        Binding("left_square_bracket", "tab(-1)", show=False),
        Binding(
            "right_square_bracket", "tab(1)", "tabs", key_display="[ ]", show=False, tooltip="events, log, settings"
        ),
        Binding("escape", "back", "back", show=False, tooltip="from a panel that fills the screen, from a picked run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.snapshot: Snapshot | None = None
        self.paused = False
        self._unseen: Snapshot | None = None  # came while paused or hidden
        self._hidden = False
        self._history = History()
        self._details: Details | None = None
        self._log: RunDetails | None = None
        self._banner: str | None = None
        self._log_timer: Timer | None = None
        self._linger: int | None = None
        self._linger_timer: Timer | None = None

    def body(self) -> Iterable[Widget]:
        yield RowsView(id="status")
        with Horizontal(id="middle"):
            yield Panel(1, "Runs", RunTree(id="run-tree"), id="tree")
            with Vertical(id="charts"):
                yield ThroughputPanel()
                yield QualityPanel()
            yield MachinePanel()
        yield TabsPanel()

    def on_mount(self) -> None:
        self._log_timer = self.set_interval(LOG_PERIOD_S, self._ask_log, pause=True)
        self._begin(self.dashboard.source)

    def on_followed(self, message: Followed) -> None:
        self._begin(message.source)

    def on_unmount(self) -> None:
        if self.dashboard.source is not None:
            self.dashboard.source.close()

    def on_screen_suspend(self) -> None:
        self._hidden = True

    def on_screen_resume(self) -> None:
        self._hidden = False
        self._catch_up()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _begin(self, source: Source | None) -> None:
        self.snapshot = self._unseen = self._details = self._log = None
        self._history = History()
        self._banner = None
        self.dashboard.pacer.forget()
        self._draw()
        if source is not None:
            self._read(source)

    @work(thread=True, exclusive=True, group="reader", exit_on_error=False)
    def _read(self, source: Source) -> None:
        """Waits for pictures, and posts the newest one when the next may be drawn. Runs in a thread."""
        worker, pacer = get_current_worker(), self.dashboard.pacer
        newest: Snapshot | None = None
        while not worker.is_cancelled and self.dashboard.source is source:
            try:
                due = pacer.due_in()
                found = source.next_snapshot(min(READ_S, due) if newest is not None and due > 0 else READ_S)
            except BenchError as problem:
                self.post_message(Lost(problem))
                return
            newest = found or newest
            if newest is not None and (newest.over or pacer.due_in() <= 0):
                pacer.drawn()
                self.post_message(Arrived(newest))
                if newest.over:
                    return
                newest = None

    def on_arrived(self, message: Arrived) -> None:
        snapshot = message.snapshot
        if self.dashboard.source is None or snapshot.experiment_id != self.dashboard.source.experiment_id:
            return
        first = self.snapshot is None and self._unseen is None
        self.dashboard.last = snapshot
        self._history.take(snapshot)
        if first:
            self._read_details(Path(snapshot.database), snapshot.experiment_id)
        if (self.paused or self._hidden) and not snapshot.over and not first:
            self._unseen = snapshot
        else:
            self._take(snapshot)
        if snapshot.over:
            self._over()

    def _take(self, snapshot: Snapshot) -> None:
        before = self.snapshot.current_run if self.snapshot is not None else None
        self.snapshot, self._unseen = snapshot, None
        self._draw()
        if snapshot.current_run != before:
            self._log = None
            self._ask_log()
            self.refresh_bindings()

    def _catch_up(self) -> None:
        if self._unseen is not None and not self.paused and not self._hidden:
            self._take(self._unseen)

    def on_lost(self, message: Lost) -> None:
        """The process is gone: what it left in the database is shown instead."""
        self.dashboard.tell(message.problem)
        source, last = self.dashboard.source, self._unseen or self.snapshot
        self._banner = self._banner or message.problem.message
        if last is None or source is None or not source.live:
            self._draw()
            return
        source.close()
        recorded = RecordedSource(Path(last.database), last.experiment_id)
        self.dashboard.source, self.dashboard.last = recorded, last
        self._take(last)
        self._read(recorded)
        self.refresh_bindings()

    def _over(self) -> None:
        self.refresh_bindings()
        self._ask_log()
        if self.dashboard.leave_when_over:
            self.dashboard.depart(detached=False)
        elif self.dashboard.attended and self.dashboard.source is not None and self.dashboard.source.live:
            self._linger = LINGER_S
            self._linger_timer = self.set_interval(1.0, self._count_down)
            self._count_down()

    def _count_down(self) -> None:
        """A command waits: the dashboard leaves by itself unless somebody shows that they are there."""
        if self._linger is None:
            return
        if self.app.screen is not self:
            self.stay()  # somebody looks at something else here
            return
        if self._linger <= 0:
            self.dashboard.depart(detached=False)
            return
        self._draw_note()
        self._linger -= 1

    def _draw_note(self) -> None:
        self._draw_status(self.looked_at())

    def stay(self) -> None:
        """Somebody is there."""
        if self._linger is not None:
            self._linger = None
            self._draw_note()
            if self._linger_timer is not None:
                self._linger_timer.stop()

    def on_key(self, event: events.Key) -> None:
        self.stay()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self.stay()

    @work(thread=True, exclusive=True, group="details", exit_on_error=False)
    def _read_details(self, database: Path, experiment_id: str) -> None:
        """The plan is in the database a second after the start at the latest."""
        import time

        worker = get_current_worker()
        for _ in range(20):
            details = read_details(database, experiment_id)
            if details.problem is None or worker.is_cancelled:
                break
            time.sleep(0.25)
        self.post_message(DetailsRead(details))

    def on_details_read(self, message: DetailsRead) -> None:
        self._details = message.details
        self._draw()

    def _ask_log(self) -> None:
        run = self.looked_at()
        if self._tabs.tab != "Log" or run is None or self.snapshot is None or self._hidden or self.paused:
            return
        self._read_log(Path(self.snapshot.database), run[1].id)

    @work(thread=True, exclusive=True, group="log", exit_on_error=False)
    def _read_log(self, database: Path, run_id: str) -> None:
        self.post_message(RunDetailsRead(read_log(database, run_id)))

    def on_run_details_read(self, message: RunDetailsRead) -> None:
        if message.details != self._log:
            self._log = message.details
            self._draw_tab()

    def looked_at(self) -> tuple[CellView, RunView] | None:
        """The run that was picked in the tree, else the current one."""
        if self.snapshot is None:
            return None
        run = self.snapshot.run(self.query_one(RunTree).chosen) or shown_run(self.snapshot)
        cell = cell_of(self.snapshot, run.id) if run is not None else None
        return (cell, run) if cell is not None and run is not None else None

    def on_run_tree_picked(self) -> None:
        self._log = None
        self._draw()
        self._ask_log()
        self.refresh_bindings()

    def _draw(self) -> None:
        """Everything from the newest picture; widgets leave out what has not changed."""
        if not self.is_mounted:
            return
        snapshot, details = self.snapshot, self._details
        with self.app.batch_update():
            self.query_one(RunTree).show(snapshot, details.order if details is not None else ())
            looked = self.looked_at()
            self._draw_status(looked)
            self.query_one(MachinePanel).show(snapshot, self._history)
            if snapshot is None or looked is None:
                self.query_one(ThroughputPanel).clear(self._nothing())
                self.query_one(QualityPanel).clear()
            else:
                self.query_one(ThroughputPanel).show(snapshot, *looked, self._history)
                self.query_one(QualityPanel).show(snapshot, *looked)
            self._draw_tab()

    def _draw_status(self, looked: tuple[CellView, RunView] | None) -> None:
        status = self.query_one("#status", RowsView)
        threads = None
        if looked is not None and self._details is not None:
            threads = self._details.threads.get(looked[0].id)
        source = self.dashboard.source
        rows = status_rows(
            self.snapshot,
            status.size.width or self.size.width,
            lamp=lamp(self.snapshot, self._history, threads),
            paused=self.paused,
            recorded=source is not None and not source.live,
            note=f"leaves in {self._linger} s: any key stays" if self._linger is not None else "",
            banner=self._banner or (None if source is not None else "S starts an experiment, R shows recorded ones"),
        )
        status.show(rows)

    def _draw_tab(self) -> None:
        looked = self.looked_at()
        self._tabs.show(self.snapshot, looked[0] if looked is not None else None, self._log, self._details)

    @property
    def _tabs(self) -> TabsPanel:
        return self.query_one(TabsPanel)

    def _nothing(self) -> str:
        if self._banner:
            return "no picture of this experiment"
        return "waiting for the first picture …" if self.dashboard.source is not None else "nothing runs"

    def action_show_tab(self, name: str) -> None:
        self._show_tab(name)

    def _show_tab(self, name: str) -> None:
        self._tabs.turn_to(name)
        if self._log_timer is not None:
            (self._log_timer.resume if name == "Log" else self._log_timer.pause)()
        self._draw_tab()
        self._ask_log()

    def action_tab(self, by: int) -> None:
        self._show_tab(TABS[(TABS.index(self._tabs.tab) + by) % len(TABS)])

    def action_panel(self, number: int) -> None:
        """The panel fills the screen; the same key, or escape, brings the others back."""
        panel = self.query_one(f"#{PANELS[number - 1]}", Panel)
        if self.maximized is panel:
            self.minimize()
        else:
            self.minimize()
            self.maximize(panel)
        self.call_after_refresh(self._draw)

    def action_back(self) -> None:
        if self.maximized is not None:
            self.minimize()
            self.call_after_refresh(self._draw)
        else:
            self.action_follow()

    def action_follow(self) -> None:
        self.query_one(RunTree).follow()

    def action_pause(self) -> None:
        self.paused = not self.paused
        looked = self.looked_at()
        if self.paused:
            self._draw_status(looked)
        else:
            self._catch_up()
            self._draw()

    def action_skip(self, scope: str) -> None:
        looked = self.looked_at()
        several = self.snapshot is not None and self.snapshot.lanes > 1
        named = {"run": looked[1].id} if several and looked is not None and looked[1].status == "running" else {}
        self.dashboard.command("skip", scope=scope, **named)

    def action_finish(self) -> None:
        self.dashboard.command("finish")

    def action_kill(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.command("kill")

        source = self.dashboard.source
        short = short_id(source.experiment_id) if source is not None else ""
        question = f"Kill experiment {short}? The window that is going on is lost; what was measured before stays."
        self.app.push_screen(ConfirmScreen(question, "kill it now", "let it run"), answered)

    def action_retry(self) -> None:
        looked = self.looked_at()
        if looked is not None and looked[1].status in RETRIABLE and self.query_one(RunTree).chosen is not None:
            self.dashboard.command("retry", run=looked[1].id)
        else:
            self.dashboard.command("retry")

    def check_action(self, action: str, parameters: tuple[Any, ...]) -> bool | None:
        """Commands are offered where they make sense."""
        running = self.dashboard.running
        if action in ("skip", "finish", "kill", "pause") and not running:
            return False
        if action == "skip" and parameters == ("cell",):
            return self.snapshot is not None and len(self.snapshot.cells) > 1
        if action == "retry":
            runs = [run for cell in self.snapshot.cells for run in cell.runs] if self.snapshot is not None else []
            return running and any(run.status in RETRIABLE for run in runs)
        if action == "follow":
            return self.snapshot is not None and self.query_one(RunTree).chosen is not None
        return True
