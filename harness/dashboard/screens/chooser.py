"""The list of configurations that Compare and Curves choose from: filtered while one types, read in a thread worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input
from textual.worker import get_current_worker

from harness.dashboard import sides
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.sides import Choice
from harness.dashboard.widgets.long_list import Cell, Column, LongList
from harness.errors import BenchError
from harness.store.browse import query

_TYPING_S = 0.15  # a search begins when the person pauses for so long


@dataclass
class _Read(Message):
    choices: tuple[Choice, ...]
    problem: BenchError | None = None


class CellChooser(Vertical):
    """`row` gives the cells of one line. It says `Came` after every reading, and `Failed` where there is nothing."""

    DEFAULT_CSS = """
    CellChooser > #filter { height: 1; border: none; padding: 0 1; background: $surface; }
    CellChooser > #choices { padding: 0 1; }
    """

    @dataclass
    class Came(Message):
        """The list is new."""

        choices: tuple[Choice, ...]

    @dataclass
    class Failed(Message):
        """Nothing can be chosen: why."""

        reason: str

    def __init__(self, columns: Sequence[Column], row: Callable[[Choice], Sequence[Cell]]) -> None:
        super().__init__(id="choose")
        self._columns = tuple(columns)
        self._row = row
        self._pause: Any = None
        self._by_cell: dict[str, Choice] = {}
        self.choices: tuple[Choice, ...] = ()

    def compose(self) -> ComposeResult:
        yield Input(placeholder="/ filter", id="filter", compact=True)
        yield LongList(self._columns, id="choices", nothing="reading…")

    @property
    def rows(self) -> LongList:
        return self.query_one(LongList)

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    @property
    def current(self) -> Choice | None:
        """The one under the cursor."""
        cursor = self.rows.cursor
        return self.choices[cursor] if cursor is not None and cursor < len(self.choices) else None

    def find(self, cell_id: str | None) -> Choice | None:
        """The choice of that cell, None where the list does not have it."""
        return self._by_cell.get(cell_id) if cell_id is not None else None

    def read(self) -> bool:
        """Reads the list anew; False where the filter is wrong."""
        text = self.field.value
        try:
            query(text)
        except BenchError as problem:
            self.post_message(self.Failed(problem.message))
            return False
        self._read(cast(BenchScreen, self.screen).dashboard.database, text)
        return True

    def redraw(self) -> None:
        """The same choices: what is marked or taken has changed."""
        self.rows.put_all([self._row(one) for one in self.choices])

    def settle(self, shown: bool, otherwise: Any = None) -> None:
        """Shows or hides the list by classes of the screen; the keyboard goes to it, or to `otherwise`."""
        self.screen.set_class(shown, "-list-shown")
        self.screen.set_class(not shown, "-list-hidden")
        if not self.field.has_focus:
            target = self.rows if shown else otherwise
            if target is not None:
                target.focus()

    def step_back(self) -> bool:
        """Out of the filter, then no filter; False where neither was left to do."""
        if self.field.has_focus:
            self.rows.focus()
        elif self.field.value:
            self.field.value = ""
        else:
            return False
        return True

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_TYPING_S, self.read)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.rows.focus()

    @work(thread=True, group="choices", exclusive=True, exit_on_error=False)
    def _read(self, path: Path, text: str) -> None:
        worker = get_current_worker()
        try:
            read = _Read(sides.choices(path, text))
        except BenchError as problem:
            read = _Read((), problem)
        if not worker.is_cancelled:
            self.post_message(read)

    @on(_Read)
    def _came(self, read: _Read) -> None:
        read.stop()
        if read.problem is not None:
            missing = not cast(BenchScreen, self.screen).dashboard.database.exists()
            self.rows.nothing = "no results yet" if missing else "the database cannot be read"
            self.rows.refresh()
            reason = "no results yet: S starts an experiment" if missing else read.problem.message
            self.post_message(self.Failed(reason))
            return
        self.rows.nothing = "nothing passes this filter"
        self.choices = read.choices
        self._by_cell = {one.cell_id: one for one in read.choices}
        self.redraw()
        self.post_message(self.Came(read.choices))
