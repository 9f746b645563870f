"""Every run of the database: filtered while one types, sorted, tagged, noted, deleted, and marked as A and B.

Reading happens in thread workers, each with a connection of its own; a search that a newer one replaces is
interrupted. The list holds ids and reads a page of runs when it is scrolled to (`harness.store.browse`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from textual.worker import get_current_worker

from harness.analysis.words import counted
from harness.dashboard import run_rows
from harness.dashboard.marks import Marks
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.widgets.long_list import Cell, LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.dashboard.widgets.run_card import RunCard
from harness.dashboard.words import local_time
from harness.errors import BenchError, StoreError
from harness.ids import short_id
from harness.store import edits
from harness.store.browse import KEYS, Browser, Order, query
from harness.store.listing import SHOWN_METRICS
from harness.store.queries import Store
from harness.store.records import MetricRecord, RunSummary

_TYPING_S = 0.12  # a search begins when the person pauses for so long
_LOOK_S = 2.0  # how often the file is looked at for changes
_SHOWN = 2  # metrics in columns of their own
_HINT = "filter: words, device:cuda, status:ok, tag:baseline, since:7d"


@dataclass
class Found(Message):
    """What a search found, or why it found nothing. `changed` is what the file looked like."""

    identifiers: tuple[str, ...]
    metrics: tuple[str, ...]
    generation: int
    changed: tuple[float, ...]
    problem: BenchError | None = None


@dataclass
class PageRead(Message):
    """Runs that the list wanted."""

    first: int
    identifiers: Sequence[str]
    runs: Mapping[str, RunSummary]
    generation: int


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
        self._identifiers: tuple[str, ...] = ()
        self._runs: dict[str, RunSummary] = {}
        self._metrics: tuple[str, ...] = ()
        self._order = Order()
        self._generation = 0
        self._browser: Browser | None = None
        self._changed: tuple[float, ...] = ()
        self._editing: tuple[str, str] | None = None  # what, experiment id
        self._pause: Any = None
        self._look_closer: Any = None
        self._stay_on: str | None = None

    @property
    def marks(self) -> Marks:
        return self.dashboard.marks

    def body(self) -> Iterable[Widget]:
        yield Horizontal(
            Static("/", id="slash"),
            Input(
                placeholder="filter: words, device:cuda, status:ok, tag:baseline, since:7d", id="filter", compact=True
            ),
            Static("", id="count"),
            id="search",
        )
        yield Horizontal(LongList(id="runs", nothing="reading…"), RunCard(id="card"), id="both")
        yield Static("", id="said")

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield RowEditor(id="editor")

    def on_mount(self) -> None:
        self._show_columns()
        self.query_one(LongList).focus()
        self.action_search()
        self.set_interval(_LOOK_S, self._look)

    def on_screen_resume(self) -> None:
        self._show_rows()

    def receive(self, **what: Any) -> None:
        """`text`: what to filter by."""
        self.query_one("#filter", Input).value = str(what.get("text", ""))

    # Searching

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_TYPING_S, self.action_search)

    @on(Input.Submitted, "#filter")
    def _entered(self) -> None:
        self.query_one(LongList).focus()

    def action_search(self, stay: bool = True) -> None:
        """Reads the list anew; the cursor stays on its run where that is still in it."""
        text = self.query_one("#filter", Input).value
        try:
            filters = query(text)
        except BenchError as problem:
            self._say(problem)
            return
        self._generation += 1
        if self._browser is not None:
            self._browser.interrupt()
        cursor = self.query_one(LongList).cursor if stay else None
        self._stay_on = self._identifiers[cursor] if cursor is not None and cursor < len(self._identifiers) else None
        self._find(self.dashboard.database, filters, self._order, self._generation)

    @work(thread=True, group="search", exclusive=True, exit_on_error=False)
    def _find(self, path: Path, filters: Sequence[Any], order: Order, generation: int) -> None:
        worker = get_current_worker()
        changed = _looks(path)
        try:
            with Browser(path) as browser:
                self._browser = browser
                try:
                    identifiers = browser.identifiers(filters, order)
                    metrics = browser.metric_names(identifiers[:1000])
                finally:
                    self._browser = None
            found = Found(identifiers, metrics, generation, changed)
        except StoreError as problem:
            found = Found((), (), generation, changed, problem)
        if not worker.is_cancelled:
            self.post_message(found)

    @on(Found)
    def _searched(self, found: Found) -> None:
        if found.generation != self._generation:
            return
        rows = self.query_one(LongList)
        self._changed = found.changed
        if found.problem is not None:
            missing = not self.dashboard.database.exists()
            rows.nothing = "no results yet: S starts an experiment" if missing else "the database cannot be read"
            if missing or not self._identifiers:
                rows.show(0)
            self._say(None if missing else found.problem)
            return
        self._say(None)
        names = [name for name in SHOWN_METRICS if name in found.metrics]
        self._metrics = tuple([name for name in found.metrics if name in names][:_SHOWN])
        before, self._identifiers = self._identifiers, found.identifiers
        if before != found.identifiers:
            rows.forget()
        self._runs.clear()
        self._show_columns()
        rows.nothing = "no run passes this filter" if self.query_one("#filter", Input).value else "no results yet"
        cursor = 0
        if self._stay_on is not None and self._stay_on in found.identifiers:
            cursor = found.identifiers.index(self._stay_on)
        rows.show(len(found.identifiers), cursor)
        self._count()
        self._look_at(cursor if found.identifiers else None)

    def _look(self) -> None:
        """Reads again where the file has changed since, and this screen is the one that is seen."""
        if self.is_current and self._editing is None and _looks(self.dashboard.database) != self._changed:
            self.action_search()

    # Pages

    @on(LongList.Wanted)
    def _wanted(self, event: LongList.Wanted) -> None:
        some = self._identifiers[event.first : event.first + event.count]
        metrics = (*self._metrics, *([self._order.column] if self._sorts_by_metric else []))
        self._read_page(self.dashboard.database, event.first, some, metrics, self._generation)

    @work(thread=True, group="pages", exit_on_error=False)
    def _read_page(
        self, path: Path, first: int, identifiers: Sequence[str], metrics: Sequence[str], generation: int
    ) -> None:
        try:
            with Browser(path) as browser:
                runs = browser.page(identifiers, metrics)
        except StoreError as problem:
            self.app.call_from_thread(self._say, problem)
            self.app.call_from_thread(self.set_timer, _LOOK_S, self.query_one(LongList).ask_again)
            return
        self.post_message(PageRead(first, identifiers, runs, generation))

    @on(PageRead)
    def _page_came(self, page: PageRead) -> None:
        if page.generation != self._generation:
            return
        self._say(None)
        if len(self._runs) > 5000:
            self._runs.clear()
        self._runs.update(page.runs)
        rows = self.query_one(LongList)
        rows.put(page.first, [self._row(page.runs.get(identifier)) for identifier in page.identifiers])
        if rows.cursor is not None and page.first <= rows.cursor < page.first + len(page.identifiers):
            self._look_at(rows.cursor)

    def _show_rows(self) -> None:
        """Draws known rows anew: marks have changed."""
        rows = self.query_one(LongList)
        for place, identifier in enumerate(self._identifiers):
            if identifier in self._runs:
                rows.put(place, [self._row(self._runs[identifier])])
            if place > 5000:
                break
        self._count()

    def _show_columns(self) -> None:
        rows = self.query_one(LongList)
        rows.columns = run_rows.columns(self._shown_metrics)
        rows.sorted_by = (self._order.column, self._order.descending)

    @property
    def _sorts_by_metric(self) -> bool:
        return self._order.column not in run_rows.SORTABLE

    @property
    def _shown_metrics(self) -> tuple[str, ...]:
        """The one that is sorted by first: the first is never left out."""
        if not self._sorts_by_metric:
            return self._metrics
        others = [name for name in self._metrics if name != self._order.column]
        return (self._order.column, *others[: _SHOWN - 1])

    def _row(self, run: RunSummary | None) -> Sequence[Cell]:
        if run is None:
            return run_rows.GONE
        return run_rows.row(run, self._shown_metrics, self.marks.letter(run.cell_id))

    def _count(self) -> None:
        total = len(self._identifiers)
        marks = [f"[$series-1]A[/] {short_id(self.marks.a)}"] if self.marks.a else []
        marks += [f"[$series-2]B[/] {short_id(self.marks.b)}"] if self.marks.b else []
        text = f"{total:,}".replace(",", " ") + (" run" if total == 1 else " runs")
        self.query_one("#count", Static).update("  ".join([*marks, text]))

    # The run under the cursor

    @on(LongList.Moved)
    def _moved(self, event: LongList.Moved) -> None:
        self._look_at(event.index)

    def _look_at(self, index: int | None) -> None:
        run = self._at(index)
        self.query_one(RunCard).show(run)
        if self._look_closer is not None:
            self._look_closer.stop()
        if run is not None:
            identifier = run.id
            self._look_closer = self.set_timer(0.1, lambda: self._read_card(self.dashboard.database, identifier))

    def _at(self, index: int | None) -> RunSummary | None:
        if index is None or index >= len(self._identifiers):
            return None
        return self._runs.get(self._identifiers[index])

    @property
    def _current(self) -> RunSummary | None:
        return self._at(self.query_one(LongList).cursor)

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
        self.query_one("#filter", Input).focus()

    def action_back(self) -> None:
        """Out of the filter, then no filter."""
        rows, filter_input = self.query_one(LongList), self.query_one("#filter", Input)
        if filter_input.has_focus:
            rows.focus()
        else:
            filter_input.value = ""

    def action_mark(self) -> None:
        run = self._current
        if run is None:
            return
        self.marks.toggle(run.cell_id)
        self._show_rows()
        if self.marks.both:
            self.notify("A and B are marked: c compares them", timeout=3)

    def action_pin(self) -> None:
        run = self._current
        if run is not None:
            self.marks.pin(run.cell_id)
            self._show_rows()

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
        names = (*run_rows.SORTABLE, *self._metrics)
        sign = {self._order.column: " ▾" if self._order.descending else " ▴"}
        choices = [(name, run_rows.LABELS.get(name, name).replace("_", " ") + sign.get(name, "")) for name in names]
        self.app.push_screen(Pick("Sort by", choices, chosen=self._order.column), self._sort_by)

    def action_reverse(self) -> None:
        self._sort_by(self._order.column)

    @on(LongList.Headed)
    def _headed(self, event: LongList.Headed) -> None:
        self._sort_by(event.key)

    def _sort_by(self, column: str | None) -> None:
        """The same column again turns the order around."""
        if column is None or column == "mark":
            return
        text = column in run_rows.TEXTS
        descending = not self._order.descending if column == self._order.column else not text
        self._order = Order(column, descending)
        self.query_one(LongList).cursor = 0  # who sorts wants to see what comes first
        self.action_search(stay=False)

    # Changes

    def action_edit(self, what: str) -> None:
        run, rows = self._current, self.query_one(LongList)
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
        self.query_one(LongList).focus()

    def action_delete(self) -> None:
        run = self._current
        if run is not None:
            self._weigh(self.dashboard.database, run.experiment_id)

    @work(thread=True, group="edit", exclusive=True, exit_on_error=False)
    def _weigh(self, path: Path, experiment_id: str) -> None:
        """Reads what would be lost, so that the question can say it."""
        try:
            with Store(path) as store:
                experiment = store.experiment(experiment_id)
        except BenchError as problem:
            self.app.call_from_thread(self.dashboard.tell, problem)
            return
        runs = sum(len(cell.runs) for cell in experiment.cells)
        first = experiment.cells[0] if experiment.cells else None
        what = f"{first.workload} {first.mode} on {first.device}, " if first else ""
        lines = [
            f"{what}{counted(len(experiment.cells), 'configuration')}, {counted(runs, 'run')}, "
            f"{local_time(experiment.created_at)}",
            *([f"tags: {', '.join(experiment.tags)}"] if experiment.tags else []),
            *([f"note: {experiment.note}"] if experiment.note else []),
            "Files that it wrote (logs, checkpoints) stay where they are.",
        ]
        cells = frozenset(cell.id for cell in experiment.cells)
        text = "\n".join([f"Delete experiment {short_id(experiment_id)}?", *lines])
        question = ConfirmScreen(text, yes="delete it for good", no="keep it")

        def answered(sure: bool | None) -> None:
            if sure:
                self._delete(path, experiment_id, cells)

        self.app.call_from_thread(self.app.push_screen, question, answered)

    @work(thread=True, group="edit", exit_on_error=False)
    def _delete(self, path: Path, experiment_id: str, cells: frozenset[str]) -> None:
        try:
            files = edits.delete_experiment(path, experiment_id)
        except BenchError as problem:
            self.app.call_from_thread(self.dashboard.tell, problem)
            return
        left = f"; {counted(len(files), 'file')} of it left on the disk" if files else ""
        self.post_message(Edited(f"experiment {short_id(experiment_id)} deleted{left}", gone=cells))

    def _say(self, problem: BenchError | None) -> None:
        if problem is None:
            self.query_one("#said", Static).remove_class("-shown")
            return
        text = Content.styled(problem.message, "$text-error")
        if problem.hint:
            text = Content.assemble(text, (f"  {problem.hint}", "$foreground 60%"))
        self.query_one("#said", Static).update(text)
        self.query_one("#said", Static).add_class("-shown")


def _looks(path: Path) -> tuple[float, ...]:
    """Sizes and times of the database and its log: they differ after every change."""
    found: list[float] = []
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            facts = name.stat()
            found += [facts.st_mtime_ns, facts.st_size]
        except OSError:
            found += [0, 0]
    return tuple(found)
