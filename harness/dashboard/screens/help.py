"""Keys and terms of the screen below: made from its bindings and its `TERMS`, so that it cannot be out of date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from harness.dashboard.views.wrap import wrapped
from harness.dashboard.widgets.paint import LIVE, MUTED, STRONG, TEXT, Row
from harness.dashboard.widgets.rows import LinesView

_LEFT = 14


class HelpScreen(ModalScreen[None]):
    """Scrolls; any of the usual keys closes it."""

    DEFAULT_CSS = """
    HelpScreen > .dialog { width: 90%; max-width: 84; height: 90%; }
    HelpScreen LinesView { height: 1fr; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter", "dismiss(None)", "close", show=False)
    ]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self._below = below

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = f"Help · {getattr(self._below, 'NAME', 'dialog').capitalize()}"
            box.border_subtitle = "esc closes"
            yield LinesView(follow=False)

    def on_mount(self) -> None:
        self.query_one(LinesView).focus()
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        lines = self.query_one(LinesView)
        lines.show(help_rows(self._below, lines.size.width - 2))


def help_rows(screen: Screen[Any], width: int) -> tuple[Row, ...]:
    """What the screen is for, its keys, the keys that hold everywhere, its terms."""
    rows: list[Row] = [()]
    summary = getattr(screen, "SUMMARY", "")
    rows += [((f" {line}", TEXT),) for line in wrapped(summary, width - 2)]
    rows += _keys("Keys here", _bindings([screen]), width)
    rows += _keys("Everywhere", _bindings([screen.app]), width)
    terms = getattr(screen, "TERMS", {})
    if terms:
        rows += [(), ((" Words", STRONG),)]
        for word, meaning in terms.items():
            rows += _entry(word, meaning, width)
    return tuple(rows)


def _bindings(owners: Iterable[Any]) -> list[tuple[str, str]]:
    """(keys, what they do) of each binding that has words, several keys of one action together."""
    found: dict[str, tuple[list[str], str]] = {}
    for owner in owners:
        for bindings in owner._bindings.key_to_bindings.values():
            for binding in bindings:
                if not binding.description or binding.action.startswith(("screen.", "app.focus")):
                    continue
                shown = owner.app.get_key_display(binding) if hasattr(owner, "app") else binding.key
                text = binding.description + (f": {binding.tooltip}" if binding.tooltip else "")
                keys, _ = found.setdefault(binding.action, ([], text))
                if shown not in keys:
                    keys.append(shown)
    return [(" ".join(keys), text) for keys, text in found.values()]


def _keys(title: str, entries: list[tuple[str, str]], width: int) -> list[Row]:
    rows: list[Row] = [(), ((f" {title}", STRONG),)] if entries else []
    for keys, text in entries:
        rows += _entry(keys, text, width)
    return rows


def _entry(left: str, text: str, width: int) -> list[Row]:
    lines = wrapped(text, max(10, width - _LEFT - 3)) or [""]
    first: Row = ((f"   {left:<{_LEFT - 2}} ", LIVE), (lines[0], TEXT))
    return [first, *(((" " * (_LEFT + 2), MUTED), (line, TEXT)) for line in lines[1:])]
