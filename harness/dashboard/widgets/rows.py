"""Two widgets that draw rows: one of fixed place, one that scrolls. Only the lines that changed are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual import events
from textual.app import App
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from harness.dashboard.widgets.paint import Palette, Row, palette_of, strip_of


class Painted:
    """The palette of a widget, made once for a theme: its background is the theme's affair too."""

    _palette: tuple[str, bool, Palette] | None = None

    def palette(self) -> Palette:
        assert isinstance(self, Widget)
        app: App[Any] = self.app
        theme, ansi = app.theme, app.native_ansi_color
        kept = self._palette
        if kept is None or kept[0] != theme or kept[1] != ansi:
            made = palette_of(app.theme_variables, self.background_colors[1], ansi=ansi)
            kept = self._palette = (theme, ansi, made)
        return kept[2]


class RowsView(Painted, Widget):
    """As many rows as there is room for, from the top."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.rows: tuple[Row, ...] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Draws what differs from what is there."""
        old, self.rows = self.rows, tuple(rows)
        width = self.size.width
        changed = [
            Region(0, place, width, 1)
            for place in range(max(len(old), len(self.rows)))
            if old[place : place + 1] != self.rows[place : place + 1] and place < self.size.height
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        row = self.rows[y] if y < len(self.rows) else ()
        return strip_of(row, self.size.width, self.palette())


class LinesView(Painted, ScrollView, can_focus=True):
    """Rows that scroll. While the end is in sight it stays in sight, unless `follow` is off."""

    def __init__(self, *, id: str | None = None, follow: bool = True) -> None:
        super().__init__(id=id)
        self.rows: tuple[Row, ...] = ()
        self._follow = follow
        self._seen_end = True

    def show(self, rows: Sequence[Row]) -> None:
        new = tuple(rows)
        if new == self.rows:
            return
        grown = len(new) != len(self.rows)
        self.rows = new
        if grown:
            at_end = self._at_end
            self.virtual_size = Size(0, len(new))
            if at_end:
                self.call_after_refresh(self._to_end)
        self.refresh()

    @property
    def _at_end(self) -> bool:
        return self._follow and self.scroll_offset.y >= self.max_scroll_y

    def _to_end(self) -> None:
        self.scroll_end(animate=False, immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        """What was in sight at the end stays there when the room shrinks."""
        if self._follow and self._seen_end:
            self.call_after_refresh(self._to_end)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._seen_end = self._at_end

    def render_line(self, y: int) -> Strip:
        place = self.scroll_offset.y + y
        row = self.rows[place] if place < len(self.rows) else ()
        return strip_of(row, self.scrollable_content_region.width, self.palette())
