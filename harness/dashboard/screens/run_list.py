"""The list of runs that pages from SQLite: a search gives ids, and only what is scrolled to is read and drawn.

Reading happens in thread workers, each with a connection of its own; a search that a newer one replaces is
interrupted (`harness.store.browse`). A hundred thousand runs cost what one page of them costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from harness.dashboard import run_rows
from harness.dashboard.widgets.long_list import Cell, LongList
from harness.errors import BenchError, StoreError
from harness.store.browse import Browser, Order, query
from harness.store.listing import SHOWN_METRICS
from harness.store.records import RunSummary

SHOWN = 2  # metrics in columns of their own
_NAMED = 1000  # runs, of whose metrics the columns are chosen
_MOST_KEPT = 5000  # runs in memory
_AGAIN_S = 2.0  # until a page that could not be read is asked for again


@dataclass
class _Found(Message):
    """What a search found, or why it found nothing. `changed` is what the file looked like."""

    identifiers: tuple[str, ...]
    metrics: tuple[str, ...]
    generation: int
    changed: tuple[float, ...]
    problem: BenchError | None = None


@dataclass
class _PageRead(Message):
    """Runs that the list wanted."""

    first: int
    identifiers: Sequence[str]
    runs: Mapping[str, RunSummary]
    generation: int


class RunList(LongList):
    """`letter` gives the mark of a cell. `search` begins; `current` is the run under the cursor."""

    @dataclass
    class Searched(Message):
        """The list is new, or could not be made."""

        problem: BenchError | None

    @dataclass
    class Paged(Message):
        """Rows came, or could not be read."""

        problem: BenchError | None

    @dataclass
    class Looked(Message):
        """What is under the cursor now, or is known of it now."""

        run: RunSummary | None

    def __init__(self, letter: Callable[[str], str], *, id: str) -> None:
        super().__init__(id=id, nothing="reading…")
        self._letter = letter
        self._database = Path()
        self._identifiers: tuple[str, ...] = ()
        self._runs: dict[str, RunSummary] = {}
        self._generation = 0
        self._browser: Browser | None = None
        self._changed: tuple[float, ...] = ()
        self._stay_on: str | None = None
        self.order = Order()
        self.metrics: tuple[str, ...] = ()  # in columns of their own
        self.filtered = False

    @property
    def identifiers(self) -> Sequence[str]:
        return self._identifiers

    @property
    def current(self) -> RunSummary | None:
        return self._at(self.cursor)

    @property
    def outdated(self) -> bool:
        """The file has changed since it was searched."""
        return _looks(self._database) != self._changed

    def search(self, database: Path, text: str, *, stay: bool = True) -> None:
        """Reads the list anew; the cursor stays on its run where that is still in it. UsageError for a wrong filter."""
        filters = query(text)
        self._database, self.filtered = database, bool(text)
        self._generation += 1
        if self._browser is not None:
            self._browser.interrupt()
        cursor = self.cursor if stay else None
        self._stay_on = self._identifiers[cursor] if cursor is not None and cursor < len(self._identifiers) else None
        self._find(database, filters, self.order, self._generation)

    def order_by(self, column: str) -> None:
        """The same column again turns the order around. Takes effect with the next search."""
        text = column in run_rows.TEXTS
        descending = not self.order.descending if column == self.order.column else not text
        self.order = Order(column, descending)
        self.cursor = 0  # who sorts wants to see what comes first

    @work(thread=True, group="search", exclusive=True, exit_on_error=False)
    def _find(self, path: Path, filters: Sequence[Any], order: Order, generation: int) -> None:
        worker = get_current_worker()
        changed = _looks(path)
        try:
            with Browser(path) as browser:
                self._browser = browser
                try:
                    identifiers = browser.identifiers(filters, order)
                    metrics = browser.metric_names(identifiers[:_NAMED])
                finally:
                    self._browser = None
            found = _Found(identifiers, metrics, generation, changed)
        except StoreError as problem:
            found = _Found((), (), generation, changed, problem)
        if not worker.is_cancelled:
            self.post_message(found)

    @on(_Found)
    def _searched(self, found: _Found) -> None:
        found.stop()
        if found.generation != self._generation:
            return
        self._changed = found.changed
        if found.problem is not None:
            missing = not self._database.exists()
            self.nothing = "no results yet: S starts an experiment" if missing else "the database cannot be read"
            if missing or not self._identifiers:
                self.show(0)
            self.post_message(self.Searched(None if missing else found.problem))
            return
        names = [name for name in SHOWN_METRICS if name in found.metrics]
        self.metrics = tuple([name for name in found.metrics if name in names][:SHOWN])
        before, self._identifiers = self._identifiers, found.identifiers
        if before != found.identifiers:
            self.forget()
        self._runs.clear()
        self.show_columns()
        self.nothing = "no run passes this filter" if self.filtered else "no results yet"
        cursor = 0
        if self._stay_on is not None and self._stay_on in found.identifiers:
            cursor = found.identifiers.index(self._stay_on)
        self.show(len(found.identifiers), cursor)
        self.post_message(self.Searched(None))
        self.post_message(self.Looked(self._at(cursor)))

    @on(LongList.Wanted)
    def _wanted(self, event: LongList.Wanted) -> None:
        event.stop()
        some = self._identifiers[event.first : event.first + event.count]
        metrics = (*self.metrics, *([self.order.column] if self._sorts_by_metric else []))
        self._read_page(self._database, event.first, some, metrics, self._generation)

    @work(thread=True, group="pages", exit_on_error=False)
    def _read_page(
        self, path: Path, first: int, identifiers: Sequence[str], metrics: Sequence[str], generation: int
    ) -> None:
        try:
            with Browser(path) as browser:
                runs = browser.page(identifiers, metrics)
        except StoreError as problem:
            self.post_message(self.Paged(problem))
            self.app.call_from_thread(self.set_timer, _AGAIN_S, self.ask_again)
            return
        self.post_message(_PageRead(first, identifiers, runs, generation))

    @on(_PageRead)
    def _page_came(self, page: _PageRead) -> None:
        page.stop()
        if page.generation != self._generation:
            return
        self.post_message(self.Paged(None))
        if len(self._runs) > _MOST_KEPT:
            self._runs.clear()
        self._runs.update(page.runs)
        self.put(page.first, [self._row(page.runs.get(identifier)) for identifier in page.identifiers])
        if self.cursor is not None and page.first <= self.cursor < page.first + len(page.identifiers):
            self.post_message(self.Looked(self.current))

    @on(LongList.Moved)
    def _moved(self, event: LongList.Moved) -> None:
        event.stop()
        self.post_message(self.Looked(self._at(event.index)))

    def redraw(self) -> None:
        """Draws known rows anew: marks have changed."""
        for place, identifier in enumerate(self._identifiers[:_MOST_KEPT]):
            if identifier in self._runs:
                self.put(place, [self._row(self._runs[identifier])])

    def show_columns(self) -> None:
        self.columns = run_rows.columns(self._shown_metrics)
        self.sorted_by = (self.order.column, self.order.descending)

    @property
    def _sorts_by_metric(self) -> bool:
        return self.order.column not in run_rows.SORTABLE

    @property
    def _shown_metrics(self) -> tuple[str, ...]:
        """The one that is sorted by first: the first is never left out."""
        if not self._sorts_by_metric:
            return self.metrics
        others = [name for name in self.metrics if name != self.order.column]
        return (self.order.column, *others[: SHOWN - 1])

    def _row(self, run: RunSummary | None) -> Sequence[Cell]:
        return run_rows.GONE if run is None else run_rows.row(run, self._shown_metrics, self._letter(run.cell_id))

    def _at(self, index: int | None) -> RunSummary | None:
        if index is None or index >= len(self._identifiers):
            return None
        return self._runs.get(self._identifiers[index])


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
