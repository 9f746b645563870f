"""One of a few choices, by arrows, the beginning of its name, or the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Pick(ModalScreen[str | None]):
    """The value of the chosen (value, text), None where the person left it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]
    DEFAULT_CSS = """
    Pick { align: center middle; }
    Pick OptionList {
        width: auto; min-width: 30; max-width: 94%; height: auto; max-height: 80%; background: $surface;
        border: round $primary; border-title-color: $text-primary; padding: 0 1;
    }
    """

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], chosen: str | None = None) -> None:
        super().__init__()
        self._title, self._choices, self._chosen = title, tuple(choices), chosen

    def compose(self) -> ComposeResult:
        options = OptionList(*(Option(text, id=f"c{place}") for place, (_, text) in enumerate(self._choices)),
                             markup=False)  # fmt: skip
        options.border_title = self._title
        values = [value for value, _ in self._choices]
        options.highlighted = values.index(self._chosen) if self._chosen in values else 0
        yield options

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def action_leave(self) -> None:
        self.dismiss(None)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[event.option_index][0])

    def on_key(self, event: events.Key) -> None:
        """A letter goes to the next choice that begins with it."""
        if event.character is None or not event.character.isalnum():
            return
        options = self.query_one(OptionList)
        start = (options.highlighted or 0) + 1
        order = [*range(start, len(self._choices)), *range(start)]
        for place in order:
            if self._choices[place][1].lower().startswith(event.character.lower()):
                options.highlighted = place
                event.stop()
                return
