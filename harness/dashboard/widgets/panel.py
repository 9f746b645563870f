"""A panel with a number in its title, which is also the key that makes it fill the screen."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget


class Panel(Vertical):
    """A titled frame around its children."""

    ALLOW_MAXIMIZE = True
    DEFAULT_CSS = """
    Panel {
        border: round $foreground 22%;
        border-title-color: $text-muted;
        border-title-style: none;
        border-subtitle-color: $text-muted;
        background: $background;
        link-color: $text-muted; link-style: none; link-background: transparent;
        &:focus-within { border: round $primary 70%; border-title-color: $text; border-title-style: bold; }
    }
    """

    def __init__(self, number: int, title: str, *children: Widget, id: str) -> None:
        super().__init__(*children, id=id)
        self.number, self.name_shown = number, title
        self._tabs = ""
        self.border_title = f"{number} {title}"

    def entitle(self, more: str = "") -> None:
        """The title, with what the panel is about now."""
        title = f"{self.number} {self.name_shown}" + (f" · {more}" if more else "")
        if str(self.border_title) != title:
            self.border_title = title

    def choose(self, names: tuple[str, ...], chosen: str) -> None:
        """Tabs in the title, clickable: the screen's `show_tab` action hears of it."""
        parts = [
            f"[bold $text]{name}[/]" if name == chosen else f"[@click=screen.show_tab('{name}')]{name}[/]"
            for name in names
        ]
        title = f"{self.number} " + "  ".join(parts)
        if title != self._tabs:
            self._tabs = title
            self.border_title = title
