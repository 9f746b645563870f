"""Every run of the database: filtered while one types, sorted, tagged, noted, deleted, and marked as A and B.

The list itself pages from SQLite (`harness.dashboard.screens.run_list`); tags, notes and deletion go through the
store's own edits, in thread workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from harness.dashboard import deleting, run_rows
from harness.dashboard.marks import Marks
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.screens.run_list import RunList
from harness.dashboard.widgets.long_list import LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.dashboard.widgets.run_card import RunCard
from harness.errors import BenchError
from harness.ids import short_id
from harness.store import edits
from harness.store.browse import KEYS
from harness.store.queries import Store
from harness.store.records import MetricRecord, RunSummary

_TYPING_S = 0.12  # a search begins when the person pauses for so long
_LOOK_S = 2.0  # how often the file is looked at for changes
_CARD_S = 0.1  # how long the cursor stays until all metrics of its run are read
_HINT = "filter: words, device:cuda, status:ok, tag:baseline, since:7d"


@dataclass
class CardRead(Message):
    """Every metric of the run under the cursor."""

    run_id: str
    metrics: tuple[MetricRecord, ...]


@dataclass
class Edited(Message):
    """A change was written, or why it was not."""

    done: str
    problem: BenchError | None = None
    gone: frozenset[str] = frozenset()  # cells


class RunsScreen(BenchScreen):
    NAME = "runs"
    SUMMARY = (
        "Every run in the database, the newest first. Type into the filter; mark two rows with space and compare them. "
        "Tags, notes and deletion belong to the whole experiment of the run."
    )
    TERMS: ClassVar[Mapping[str, str]] = {
        "filter": "words to find anywhere, and KEY:VALUE with a key of " + ", ".join(KEYS),
        "A, B": "the two marked configurations; A is the baseline",
        "busy": "contended: other programs used the machine while it ran",
        "experiment": "one bench run, sweep or ab, with all its repeats",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("space", "mark", "mark A/B"),
        Binding("c", "compare", "compare"),
        Binding("s", "sort", "sort"),
        Binding("o", "reverse", "reverse order", show=False),
        Binding("g", "edit('tags')", "tags"),
        Binding("n", "edit('note')", "note"),
        Binding("d,delete", "delete", "delete"),
        Binding("p", "pin", "baseline", show=False, tooltip="the configuration under the cursor is A"),
        Binding("v", "curves", "curves", show=False, tooltip="series of this experiment"),
        Binding("enter", "watch", "look inside", show=False, tooltip="this experiment on the Live screen"),
        Binding("y", "copy", "copy id", show=False),
        Binding("r", "search", "read again", show=False),
        Binding("escape", "back", "clear", show=False),
    ]
    DEFAULT_CSS = """
    RunsScreen {
        layers: base edit;
        #search { height: 1; background: $surface; }
        #search > #slash { width: 3; padding: 0 1; color: $primary; }
        #search > #filter { width: 1fr; height: 1; border: none; padding: 0; background: $surface; }
        #search > #count { width: auto; padding: 0 1; color: $text-muted; }
        #said { height: auto; max-height: 2; padding: 0 1; color: $text-error; display: none; }
        #said.-shown { display: block; }
        #both { height: 1fr; }
        #runs { width: 1fr; padding: 0 1; }
        #card { width: 38; height: 100%; padding: 0 1; border-left: vkey $panel-lighten-1; overflow-y: auto; }
        #editor { layer: edit; }
    }
    RunsScreen.-normal #card { width: 36; }
    RunsScreen.-narrow {
        #both { layout: vertical; }
        #runs { height: 1fr; }
        #card { width: 100%; height: 3; border-left: none; background: $surface; overflow-y: hidden; }
    }
    RunsScreen.-flat #card { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._editing: tuple[str, str] | None = None  # what, experiment id
        self._pause: Any = None
        self._look_closer: Any = None

    @property
    def marks(self) -> Marks:
        return self.dashboard.marks

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Static("/", id="slash"),
            Input(placeholder=_HINT, id="filter", compact=True),
            Static("", id="count"),
            id="search",
        )
        yield Horizontal(RunList(lambda cell: self.marks.letter(cell), id="runs"), RunCard(id="card"), id="both")
        yield Static("", id="said")

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield RowEditor(id="editor")

    def on_mount(self) -> None:
        self._list.show_columns()
        self._list.focus()
        self.action_search()
        self.set_interval(_LOOK_S, self._look)

    def on_screen_resume(self) -> None:
        self._show_marks()

    def receive(self, **what: Any) -> None:
        """`text`: what to filter by."""
        self._filter.value = str(what.get("text", ""))

    @property
    def _list(self) -> RunList:
        return self.query_one(RunList)

    @property
    def _filter(self) -> Input:
        return self.query_one("#filter", Input)

    # Searching

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_TYPING_S, self.action_search)

    @on(Input.Submitted, "#filter")
    def _entered(self) -> None:
        self._list.focus()

    def action_search(self, stay: bool = True) -> None:
        try:
            self._list.search(self.dashboard.database, self._filter.value, stay=stay)
        except BenchError as problem:
            self._say(problem)

    @on(RunList.Searched)
    def _searched(self, event: RunList.Searched) -> None:
        self._say(event.problem)
        self._count()

    @on(RunList.Paged)
    def _paged(self, event: RunList.Paged) -> None:
        self._say(event.problem)

    def _look(self) -> None:
        """Reads again where the file has changed since, and this screen is the one that is seen."""
        if self.is_current and self._editing is None and self._list.outdated:
            self.action_search()

    def _show_marks(self) -> None:
        self._list.redraw()
        self._count()

    def _count(self) -> None:
        total = len(self._list.identifiers)
        marks = [f"[$series-1]A[/] {short_id(self.marks.a)}"] if self.marks.a else []
        marks += [f"[$series-2]B[/] {short_id(self.marks.b)}"] if self.marks.b else []
        text = f"{total:,}".replace(",", " ") + (" run" if total == 1 else " runs")
        self.query_one("#count", Static).update("  ".join([*marks, text]))

    # The run under the cursor

    @on(RunList.Looked)
    def _looked(self, event: RunList.Looked) -> None:
        """Its card at once, with what the list knows; all its metrics when the cursor stays."""
        run = event.run
        self.query_one(RunCard).show(run)
        if self._look_closer is not None:
            self._look_closer.stop()
        if run is not None:
            identifier = run.id
            self._look_closer = self.set_timer(_CARD_S, lambda: self._read_card(self.dashboard.database, identifier))

    @property
    def _current(self) -> RunSummary | None:
        return self._list.current

    @work(thread=True, group="card", exclusive=True, exit_on_error=False)
    def _read_card(self, path: Path, run_id: str) -> None:
        try:
            with Store(path, busy_timeout_s=0.5) as store:
                metrics = store.run(run_id).metrics
        except BenchError:
            return  # what the list has of it is shown already
        self.post_message(CardRead(run_id, metrics))

    @on(CardRead)
    def _card_came(self, card: CardRead) -> None:
        run = self._current
        if run is not None and run.id == card.run_id:
            self.query_one(RunCard).show(run, card.metrics)

    # Keys

    def action_filter(self) -> None:
        self._filter.focus()

    def action_back(self) -> None:
        """Out of the filter, then no filter."""
        if self._filter.has_focus:
            self._list.focus()
        else:
            self._filter.value = ""

    def action_mark(self) -> None:
        run = self._current
        if run is None:
            return
        self.marks.toggle(run.cell_id)
        self._show_marks()
        if self.marks.both:
            self.notify("A and B are marked: c compares them", timeout=3)

    def action_pin(self) -> None:
        run = self._current
        if run is not None:
            self.marks.pin(run.cell_id)
            self._show_marks()

    async def action_compare(self) -> None:
        run = self._current
        if not self.marks.both and run is not None and run.cell_id not in (self.marks.a, self.marks.b):
            self.marks.toggle(run.cell_id)
        await self.dashboard.open("compare", a=self.marks.a, b=self.marks.b)

    async def action_curves(self) -> None:
        run = self._current
        if run is not None:
            await self.dashboard.open("curves", experiment=run.experiment_id)

    @on(LongList.Chosen)
    async def _chosen(self) -> None:
        await self.action_watch()

    async def action_watch(self) -> None:
        from harness.dashboard.source import RecordedSource

        run = self._current
        if run is not None:
            await self.dashboard.follow(RecordedSource(self.dashboard.database, run.experiment_id))

    def action_copy(self) -> None:
        run = self._current
        if run is not None:
            self.app.copy_to_clipboard(run.id)
            self.notify(f"copied {run.id}", timeout=2)

    def action_sort(self) -> None:
        order = self._list.order
        names = (*run_rows.SORTABLE, *self._list.metrics)
        sign = {order.column: " ▾" if order.descending else " ▴"}
        choices = [(name, run_rows.LABELS.get(name, name).replace("_", " ") + sign.get(name, "")) for name in names]
        self.app.push_screen(Pick("Sort by", choices, chosen=order.column), self._sort_by)

    def action_reverse(self) -> None:
        self._sort_by(self._list.order.column)

    @on(LongList.Headed)
    def _headed(self, event: LongList.Headed) -> None:
        self._sort_by(event.key)

    def _sort_by(self, column: str | None) -> None:
        if column is not None and column != "mark":
            self._list.order_by(column)
            self.action_search(stay=False)

    # Changes

    def action_edit(self, what: str) -> None:
        run, rows = self._current, self._list
        if run is None or rows.cursor is None:
            return
        self._editing = (what, run.experiment_id)
        text = " ".join(run.tags) if what == "tags" else run.note or ""
        hint = "separated by spaces" if what == "tags" else "a remark on the experiment"
        self.query_one(RowEditor).begin(rows, rows.cursor, f"{what} of {short_id(run.experiment_id)}", text, hint)

    @on(RowEditor.Left)
    def _left(self) -> None:
        self._close_editor()

    @on(RowEditor.Saved)
    def _edited(self, event: RowEditor.Saved) -> None:
        if self._editing is None:
            return
        what, experiment = self._editing
        path, value = self.dashboard.database, event.value.strip()
        if what == "tags":
            tags = value.replace(",", " ").split()
            self._write(lambda: edits.set_tags(path, experiment, tags), f"tags of {short_id(experiment)} saved")
        else:
            self._write(lambda: edits.set_note(path, experiment, value), f"note of {short_id(experiment)} saved")

    @work(thread=True, group="edit", exit_on_error=False)
    def _write(self, change: Callable[[], None], done: str) -> None:
        try:
            change()
        except BenchError as problem:
            self.post_message(Edited(done, problem))
        else:
            self.post_message(Edited(done))

    @on(Edited)
    def _written(self, edited: Edited) -> None:
        if edited.problem is not None:
            self.query_one(RowEditor).resume()  # with what was typed
            self._say(edited.problem)
            return
        self.marks.forget(set(edited.gone))
        if self._editing is not None:
            self._close_editor()
        self.notify(edited.done, timeout=4)
        self.action_search()

    def _close_editor(self) -> None:
        self._editing = None
        self.query_one(RowEditor).end()
        self._say(None)
        self._list.focus()

    def action_delete(self) -> None:
        run = self._current
        if run is not None:
            self._weigh(self.dashboard.database, run.experiment_id)

    @work(thread=True, group="edit", exclusive=True, exit_on_error=False)
    def _weigh(self, path: Path, experiment_id: str) -> None:
        """Reads what would be lost, so that the question can say it."""
        try:
            loss = deleting.weigh(path, experiment_id)
        except BenchError as problem:
            self.app.call_from_thread(self.dashboard.tell, problem)
            return
        question = ConfirmScreen(loss.question, yes="delete it for good", no="keep it")

        def answered(sure: bool | None) -> None:
            if sure:
                self._delete(path, loss)

        self.app.call_from_thread(self.app.push_screen, question, answered)

    @work(thread=True, group="edit", exit_on_error=False)
    def _delete(self, path: Path, loss: deleting.Loss) -> None:
        try:
            done = deleting.delete(path, loss)
        except BenchError as problem:
            self.app.call_from_thread(self.dashboard.tell, problem)
        else:
            self.post_message(Edited(done, gone=loss.cells))

    def _say(self, problem: BenchError | None) -> None:
        if problem is None:
            self.query_one("#said", Static).remove_class("-shown")
            return
        text = Content.styled(problem.message, "$text-error")
        if problem.hint:
            text = Content.assemble(text, (f"  {problem.hint}", "$foreground 60%"))
        self.query_one("#said", Static).update(text)
        self.query_one("#said", Static).add_class("-shown")
