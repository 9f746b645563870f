"""The tree of an experiment as a list that scrolls: it follows what runs until somebody picks a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from harness.dashboard.views.tree import Node, nodes
from harness.dashboard.widgets.paint import strip_of
from harness.dashboard.widgets.rows import Painted
from harness.execution.snapshot import Snapshot


class RunTree(Painted, ScrollView, can_focus=True):
    """`chosen` is the run that somebody picked, None while the current one is followed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("home", "edge(-1)", "first", show=False),
        Binding("end", "edge(1)", "last", show=False),
        Binding("enter,space", "fold", "open or close a cell", show=False),
    ]

    class Picked(Message):
        """Somebody looks at this run now; None: the current one is followed again."""

        def __init__(self, run_id: str | None) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chosen: str | None = None
        self.nodes: tuple[Node, ...] = ()
        self._snapshot: Snapshot | None = None
        self._order: Sequence[str] = ()
        self._cursor: tuple[str, str | None] | None = None  # (cell, run) of the line picked
        self._folds: dict[str, bool] = {}  # cells that somebody opened or closed

    def show(self, snapshot: Snapshot | None, order: Sequence[str] = ()) -> None:
        if snapshot is None or (self._snapshot is not None and snapshot.experiment_id != self._snapshot.experiment_id):
            self.chosen = self._cursor = None
            self._folds = {}
        self._snapshot, self._order = snapshot, order
        self._lay_out()

    def follow(self) -> None:
        """Back to what runs."""
        self.chosen = self._cursor = None
        self._folds = {}
        self._lay_out()
        self.post_message(self.Picked(None))

    def on_resize(self) -> None:
        self._lay_out()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        old = self.nodes
        if self._snapshot is None:
            self.nodes = ()
        else:
            self.nodes = nodes(self._snapshot, width, open_cells=self._open_cells(self._snapshot), order=self._order)
        if len(old) != len(self.nodes):
            self.virtual_size = Size(0, len(self.nodes))
            self.refresh()
        else:
            top = self.scroll_offset.y
            changed = [
                Region(0, place - top, self.size.width, 1)
                for place, (one, other) in enumerate(zip(old, self.nodes, strict=True))
                if one != other and 0 <= place - top < self.size.height
            ]
            if changed:
                self.refresh(*changed)
        if self.chosen is None and (place := self._place()) is not None:
            self._into_sight(place)

    def _open_cells(self, snapshot: Snapshot) -> set[str]:
        """The cells of the runs that go on, and what was opened by hand."""
        followed = {snapshot.current_run, *(run.id for run in snapshot.going)}
        current = {cell.id for cell in snapshot.cells for run in cell.runs if run.id in followed}
        found = current | ({self._cursor[0]} if self._cursor is not None and self._cursor[1] is not None else set())
        for cell_id, opened in self._folds.items():
            (found.add if opened else found.discard)(cell_id)
        return found

    def _place(self) -> int | None:
        """The line of the cursor: the one picked, else that of the current run."""
        if self._cursor is not None:
            for place, node in enumerate(self.nodes):
                if (node.cell_id, node.run_id) == self._cursor:
                    return place
        current = self._snapshot.current_run if self._snapshot is not None else None
        return next((place for place, node in enumerate(self.nodes) if node.run_id == current is not None), None)

    def _into_sight(self, place: int) -> None:
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if height and not top <= place < top + height:
            self.scroll_to(y=max(0, place - height // 2), animate=False, immediate=True)

    def _pick(self, place: int) -> None:
        node = self.nodes[place]
        self._cursor = (node.cell_id, node.run_id)
        self.chosen = node.run_id or self._run_of_cell(node.cell_id)
        self._into_sight(place)
        self.refresh()
        self.post_message(self.Picked(self.chosen))

    def _run_of_cell(self, cell_id: str) -> str | None:
        """The run to show for a whole cell: its last one that has begun."""
        cell = next((cell for cell in self._snapshot.cells if cell.id == cell_id), None) if self._snapshot else None
        begun = [run for run in cell.runs if run.started_at is not None] if cell is not None else []
        if begun:
            return max(begun, key=lambda run: run.started_at or "").id
        return cell.runs[0].id if cell is not None and cell.runs else None

    def action_move(self, by: int) -> None:
        if self.nodes:
            place = self._place()
            self._pick(max(0, min(len(self.nodes) - 1, (place if place is not None else -1) + by)))

    def action_edge(self, way: int) -> None:
        if self.nodes:
            self._pick(0 if way < 0 else len(self.nodes) - 1)

    def action_fold(self) -> None:
        """Opens or closes the cell of the cursor."""
        place = self._place()
        if place is None or self._snapshot is None or len(self._snapshot.cells) < 2:
            return
        node = self.nodes[place]
        opened = node.cell_id in self._open_cells(self._snapshot)
        self._folds[node.cell_id] = not opened
        self._cursor = (node.cell_id, None)
        self._lay_out()

    def on_click(self, event: events.Click) -> None:
        place = self.scroll_offset.y + event.y
        if place < len(self.nodes):
            again = self._cursor == (self.nodes[place].cell_id, self.nodes[place].run_id)
            self._pick(place)
            if again or self.nodes[place].run_id is None:
                self.action_fold()

    def render_line(self, y: int) -> Strip:
        place = self.scroll_offset.y + y
        palette, width = self.palette(), self.scrollable_content_region.width
        strip = strip_of(self.nodes[place].row if place < len(self.nodes) else (), width, palette)
        if place < len(self.nodes) and place == self._place() and (self.has_focus or self.chosen is not None):
            return strip.apply_style(Style(reverse=True) if self.has_focus else Style(underline=True))
        return strip
