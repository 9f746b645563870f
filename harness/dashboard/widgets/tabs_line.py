"""Names of tabs on one line, clickable; which one is chosen is the screen's business."""

from __future__ import annotations

from textual import events
from textual.message import Message

from harness.dashboard.widgets.paint import FAINT, MUTED, STRONG, Row
from harness.dashboard.widgets.rows import RowsView


class TabsLine(RowsView):
    """`Events · Log · Settings`."""

    DEFAULT_CSS = "TabsLine { height: 1; }"

    class Chosen(Message):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, names: tuple[str, ...], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = names

    def choose(self, chosen: str, more: str = "") -> None:
        row: list[tuple[str, str]] = [(" ", MUTED)]
        for name in self._names:
            row += [(name, f"{STRONG} underline" if name == chosen else MUTED), ("   ", MUTED)]
        made: Row = (*row, (more, FAINT))
        self.show((made,))

    def on_click(self, event: events.Click) -> None:
        at = 1
        for name in self._names:
            if at <= event.x < at + len(name) + 3:
                self.post_message(self.Chosen(name))
                return
            at += len(name) + 3
