"""The one line at the top: the screens with the key of each, and the database that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import events
from textual.content import Content
from textual.widget import Widget

if TYPE_CHECKING:
    from harness.dashboard.app import Dashboard, ScreenEntry


class TopBar(Widget):
    """Clickable; `current` is the screen's own name."""

    DEFAULT_CSS = """
    TopBar { height: 1; background: $panel; color: $text-muted; dock: top; }
    """
    ALLOW_SELECT = False

    def __init__(self, current: str) -> None:
        super().__init__()
        self._current = current
        self._places: list[tuple[int, int, str]] = []

    def render(self) -> Content:
        from harness.dashboard.app import SCREENS

        width = self.size.width
        parts: list[Content | tuple[str, str] | str] = [(" recbench ", "bold $primary"), " "]
        at = len(" recbench ") + 1
        self._places = []
        for entry in SCREENS:
            text = f" {entry.title} "
            self._places.append((at, at + len(text), entry.name))
            parts.append(_title(entry, current=entry.name == self._current))
            at += len(text)
        name = cast("Dashboard", self.app).database.name
        room = width - at - 1
        if room >= len(name) + 2:
            parts += [" " * (room - len(name)), (name, "$text-muted"), " "]
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        for low, high, name in self._places:
            if low <= event.x < high:
                self.app.call_later(cast("Dashboard", self.app).open, name)


def _title(entry: ScreenEntry, *, current: bool) -> Content:
    """The title with its key underlined."""
    place = entry.title.lower().find(entry.key.lower())
    base = "bold $text on $surface-lighten-2" if current else "$text-muted"
    if place < 0:
        return Content.styled(f" {entry.title} ", base)
    before, letter, behind = entry.title[:place], entry.title[place], entry.title[place + 1 :]
    return Content.assemble((f" {before}", base), (letter, f"{base} underline"), (f"{behind} ", base))
