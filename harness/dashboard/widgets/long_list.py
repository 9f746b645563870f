"""A list of any length: it draws the rows that are seen, and asks for those that it does not have yet.

Who owns it answers `LongList.Wanted` with `put`; a hundred thousand rows cost what one screen of them costs. Columns
that do not fit are left out, the least important first, and what is left over goes to those that can use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from harness.dashboard.widgets.cells import fitted

Tone = Literal["", "dim", "strong", "good", "bad", "warn", "busy", "a", "b", "reference", "group"]
TONES: tuple[Tone, ...] = ("dim", "strong", "good", "bad", "warn", "busy", "a", "b", "reference", "group")
Cell = tuple[str, Tone]
_GAP = 2
_PAGE = 100
_MOST_KNOWN = 5000  # rows kept as text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`width` cells at least; `grow` shares what is left over; columns of the highest `drop` go first when narrow."""

    key: str
    title: str
    width: int
    right: bool = False
    grow: int = 0
    most: int | None = None
    drop: int = 0


class LongList(ScrollView, can_focus=True, inherit_bindings=False):
    """The list. `cursor` is the row that keys act on, None while there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "jump(0)", "first", show=False),
        Binding("end", "jump(-1)", "last", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--header", "rows--sorted", "rows--cursor", "rows--cursor-idle", "rows--hover",
        *(f"rows--{tone}" for tone in TONES),
    }  # fmt: skip
    DEFAULT_CSS = """
    LongList {
        scrollbar-size-horizontal: 0; scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto;
        scrollbar-background: $surface; scrollbar-color: $panel-lighten-2;
    }
    LongList > .rows--header { color: $text-muted; }
    LongList > .rows--sorted { color: $text; text-style: bold; }
    LongList > .rows--cursor { background: $primary 35%; }
    LongList > .rows--cursor-idle { background: $foreground 10%; }
    LongList > .rows--hover { background: $foreground 5%; }
    LongList > .rows--dim { color: $text-muted; }
    LongList > .rows--strong { text-style: bold; }
    LongList > .rows--good { color: $text-success; }
    LongList > .rows--bad { color: $text-error; }
    LongList > .rows--warn { color: $text-warning; }
    LongList > .rows--busy { color: $text-accent; }
    LongList > .rows--a { color: $series-1; text-style: bold; }
    LongList > .rows--b { color: $series-2; text-style: bold; }
    LongList > .rows--reference { color: $text-secondary; }
    LongList > .rows--group { color: $text-muted; text-style: bold; }
    """

    cursor: reactive[int | None] = reactive(None, repaint=False)
    hover: reactive[int | None] = reactive(None, repaint=False)

    @dataclass
    class Wanted(Message):
        """Rows from `first` on, `count` of them, are needed."""

        rows: LongList
        first: int
        count: int

        @property
        def control(self) -> LongList:
            return self.rows

    @dataclass
    class Moved(Message):
        """The cursor stands elsewhere."""

        rows: LongList
        index: int | None

        @property
        def control(self) -> LongList:
            return self.rows

    @dataclass
    class Chosen(Message):
        """A click on the row of the cursor. What enter does, the screen says."""

        rows: LongList
        index: int

        @property
        def control(self) -> LongList:
            return self.rows

    @dataclass
    class Headed(Message):
        """A click on the heading of a column."""

        rows: LongList
        key: str

        @property
        def control(self) -> LongList:
            return self.rows

    def __init__(
        self,
        columns: Sequence[Column] = (),
        *,
        header: bool = True,
        nothing: str = "nothing here",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self.header = header
        self.nothing = nothing
        self.total = 0
        self.sorted_by: tuple[str, bool] | None = None
        self._known: dict[int, Sequence[Cell]] = {}
        self._asked: set[int] = set()

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._columns

    @columns.setter
    def columns(self, columns: Sequence[Column]) -> None:
        if self._columns != tuple(columns):
            self._columns = tuple(columns)
            self._known.clear()
            self._asked.clear()
        self.refresh()

    def show(self, total: int, cursor: int | None = None) -> None:
        """There are so many rows now. Those on the screen are asked for anew and stay until they come."""
        self.total = total
        self._asked.clear()
        self._resize()
        self.cursor = None if total == 0 else min(max(cursor or 0, 0), total - 1)
        self._follow()
        self.refresh()

    def forget(self) -> None:
        """Rows that were read are of another list now."""
        self._known.clear()
        self._asked.clear()
        self.refresh()

    def ask_again(self) -> None:
        """Those that could not be read."""
        self._asked.clear()
        self.refresh()

    def put(self, first: int, rows: Sequence[Sequence[Cell]]) -> None:
        """Rows that were wanted. Cells are in the order of the columns; one cell alone is a heading."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
            self._asked.clear()
        for index, cells in enumerate(rows, first):
            self._known[index] = cells
            self._asked.add(index)
        self.refresh()

    def put_all(self, rows: Sequence[Sequence[Cell]], cursor: int | None = None) -> None:
        """A list that is short enough to be given whole."""
        self._known.clear()
        self.show(len(rows), self.cursor if cursor is None else cursor)
        self.put(0, rows)

    def region_of_row(self, index: int) -> Region | None:
        """Where a row is on the widget, None where it is not seen."""
        line = index - self.scroll_offset.y + self.header
        if not self.header <= line < self.size.height:
            return None
        return Region(0, line, self._room, 1)

    def place_of(self, key: str) -> tuple[int, int] | None:
        """(first cell, width) of a column as it is drawn, None where it is left out."""
        at = 0
        for column, width in self._layout(self._room):
            if column.key == key:
                return at, width
            at += width + _GAP
        return None

    def render_line(self, y: int) -> Strip:
        width = self._room
        if self.header and y == 0:
            return self._header_line(width)
        index = y - self.header + self.scroll_offset.y
        if self.total == 0 and y == self.header:
            blank = Segment(" " + self.nothing, self.rich_style + self._tone("dim"))
            return Strip([blank]).adjust_cell_length(width, self.rich_style)
        if index >= self.total or index < 0:
            return Strip.blank(width, self.rich_style)
        return self._row_line(index, width)

    def watch_cursor(self, before: int | None, after: int | None) -> None:
        if before != after:
            self._follow()
            self._redraw(before, after)
            self.post_message(self.Moved(self, after))

    def watch_hover(self, before: int | None, after: int | None) -> None:
        self._redraw(before, after)

    def _redraw(self, *indices: int | None) -> None:
        """These rows alone: drawing a row costs a third of a millisecond, and a screen has forty."""
        regions = [region for index in indices if index is not None and (region := self.region_of_row(index))]
        if regions:
            self.refresh(*regions)

    def watch_has_focus(self, value: bool) -> None:
        super().watch_has_focus(value)
        self.refresh()

    def action_move(self, by: int) -> None:
        if self.total:
            self.cursor = min(max((self.cursor or 0) + by, 0), self.total - 1)

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.size.height - self.header - 1))

    def action_jump(self, index: int) -> None:
        if self.total:
            self.cursor = index % self.total

    def action_choose(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Chosen(self, self.cursor))

    def on_click(self, event: events.Click) -> None:
        if self.header and event.y == 0:
            at = 0
            for column, width in self._layout(self._room):
                if at <= event.x < at + width + _GAP:
                    self.post_message(self.Headed(self, column.key))
                at += width + _GAP
            return
        index = event.y - self.header + self.scroll_offset.y
        if 0 <= index < self.total:
            if index == self.cursor:
                self.action_choose()
            self.cursor = index

    def on_mouse_move(self, event: events.MouseMove) -> None:
        index = event.y - self.header + self.scroll_offset.y
        self.hover = index if event.y >= self.header and index < self.total else None

    def on_leave(self) -> None:
        self.hover = None

    def on_resize(self) -> None:
        self._resize()
        self._follow()

    @property
    def _room(self) -> int:
        """The width without the scroll bar."""
        return self.scrollable_content_region.width

    def _resize(self) -> None:
        self.virtual_size = Size(0, self.total + self.header)

    def _follow(self) -> None:
        """The cursor's row is seen, and a heading above the first one too."""
        if self.cursor is None or not self.size.height:
            return
        seen = self.size.height - self.header
        top = self.scroll_offset.y
        if self.cursor < top or (self.cursor == 1 and top == 1):
            self.scroll_to(y=0 if self.cursor <= 1 else self.cursor, animate=False, force=True)
        elif self.cursor >= top + seen:
            self.scroll_to(y=self.cursor - seen + 1, animate=False, force=True)

    def _layout(self, width: int) -> list[tuple[Column, int]]:
        """The columns that fit, with their widths."""
        kept = list(self._columns)
        while len(kept) > 1 and sum(column.width for column in kept) + _GAP * (len(kept) - 1) > width:
            worst = max(kept, key=lambda column: column.drop)
            if worst.drop == 0:
                break
            kept.remove(worst)
        widths = {column.key: column.width for column in kept}
        spare = width - sum(widths.values()) - _GAP * (len(kept) - 1)
        growing = [column for column in kept if column.grow]
        while spare > 0 and growing:
            column = min(growing, key=lambda one: (widths[one.key] - one.width) / one.grow)
            if column.most is not None and widths[column.key] >= column.most:
                growing.remove(column)
                continue
            widths[column.key] += 1
            spare -= 1
        return [(column, widths[column.key]) for column in kept]

    def _header_line(self, width: int) -> Strip:
        segments = []
        for column, room in self._layout(width):
            title, name = column.title, "rows--header"
            if self.sorted_by is not None and self.sorted_by[0] == column.key:
                title, name = f"{title}{'▾' if self.sorted_by[1] else '▴'}", "rows--sorted"
            style = self.get_component_rich_style(name)
            segments += [
                Segment(fitted(title, room, right=column.right), style),
                Segment(" " * _GAP, self.rich_style),
            ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _row_line(self, index: int, width: int) -> Strip:
        if index not in self._asked:
            self._ask(index)
        cells = self._known.get(index)
        base = self.rich_style
        if index == self.cursor:
            base += self._background("rows--cursor" if self.has_focus else "rows--cursor-idle")
        elif index == self.hover:
            base += self._background("rows--hover")
        if cells is None:
            return Strip([Segment(" …", base)]).adjust_cell_length(width, base)
        if len(cells) == 1:
            text, tone = cells[0]
            return Strip([Segment(fitted(text, width), base + self._tone(tone))]).adjust_cell_length(width, base)
        by_key = {column.key: cell for column, cell in zip(self._columns, cells, strict=True)}
        segments = []
        for column, room in self._layout(width):
            text, tone = by_key[column.key]
            segments += [
                Segment(fitted(text, room, right=column.right), base + self._tone(tone)),
                Segment(" " * _GAP, base),
            ]
        return Strip(segments).adjust_cell_length(width, base)

    def _tone(self, tone: Tone) -> Style:
        """The colour and weight alone: the row's own background stays."""
        if not tone:
            return Style()
        style = self.get_component_rich_style(f"rows--{tone}")
        return Style(color=style.color, bold=style.bold)

    def _background(self, name: str) -> Style:
        return Style(bgcolor=self.get_component_rich_style(name).bgcolor)

    def _ask(self, index: int) -> None:
        first = index - index % _PAGE
        count = min(_PAGE, self.total - first)
        self._asked.update(range(first, first + count))
        # A message made while the screen draws counts as the screen's own, and would not reach it from its child.
        self.call_next(self._want, first, count)

    def _want(self, first: int, count: int) -> None:
        self.post_message(self.Wanted(self, first, count))
