"""Edits a value where it stands: a line over a row of a list, left by enter (it is saved) or escape (it is not)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label

from harness.dashboard.widgets.long_list import LongList


class RowEditor(Widget):
    """Hidden until `begin`. It stays after `Saved` until its owner says `end`, or `resume` where saving failed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "save", "save", priority=True),
        Binding("escape", "leave", "leave as it was", priority=True),
    ]
    DEFAULT_CSS = """
    RowEditor {
        position: absolute; height: 1; display: none; background: $primary 30%;
        &.-shown { display: block; }
        & > Horizontal { height: 1; }
        & Label { width: auto; padding: 0 1; background: $primary; color: $background; text-style: bold; }
        & Input { width: 1fr; height: 1; border: none; padding: 0 1; background: transparent; }
        &.-saving Input { text-opacity: 50%; }
        &.-wrong Label { background: $error; }
    }
    """

    @dataclass
    class Typed(Message):
        value: str

    @dataclass
    class Saved(Message):
        value: str

    class Left(Message):
        """It shall stay as it was."""

    def compose(self) -> ComposeResult:
        yield Horizontal(Label("", markup=False), Input(compact=True, select_on_focus=False))

    @property
    def value(self) -> str:
        return self.query_one(Input).value

    def begin(self, rows: LongList, index: int, label: str, value: str, hint: str = "", indent: int = 0) -> None:
        """Over row `index` of `rows`, from column `indent` on."""
        region = rows.region_of_row(index)
        if region is None:
            return
        field = self.query_one(Input)
        self.query_one(Label).update(label)
        self.query_one(Label).display = bool(label)
        with self.prevent(Input.Changed):
            field.value = value
        field.placeholder = hint
        field.cursor_position = len(value)
        place = rows.content_region
        self.styles.offset = (place.x + indent, place.y + region.y)
        self.styles.width = region.width - indent
        self.remove_class("-saving", "-wrong")
        self.add_class("-shown")
        field.disabled = False
        field.focus()

    def resume(self) -> None:
        self.remove_class("-saving")
        self.query_one(Input).disabled = False
        self.query_one(Input).focus()

    def end(self) -> None:
        self.remove_class("-shown", "-saving", "-wrong")

    @property
    def shown(self) -> bool:
        return self.has_class("-shown")

    def action_save(self) -> None:
        if not self.has_class("-saving"):
            self.add_class("-saving")
            self.post_message(self.Saved(self.value))

    def action_leave(self) -> None:
        self.post_message(self.Left())

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
