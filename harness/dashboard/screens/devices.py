"""`bench doctor` as a screen: what can run here, what cannot, and what to do about it.

Every device is asked in a process of its own, all at once, from a thread worker; the screen stays usable meanwhile.
"""

from __future__ import annotations

import platform
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import get_current_worker

import harness
from harness import paths
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.widgets.cells import fitted
from harness.dashboard.words import shown_path
from harness.devices.doctor import DeviceReport, examine
from harness.errors import BenchError
from harness.report.numbers import duration
from harness.report.quantity import quantity

_MUTED = "$foreground 60%"
_STATES: Mapping[str, tuple[str, str]] = {
    "available": ("●", "$text-success"), "not installed": ("○", _MUTED), "no card": ("○", "$text-warning"),
    "not built": ("○", "$text-warning"), "broken": ("✗", "$text-error"),
}  # fmt: skip
_TICK_S = 0.5
_NAME = 9
_STATE = 15
_UNITS = {"_bytes": "bytes", "_hz": "Hz", "_w": "W", "_s": "s"}


@dataclass
class Examined(Message):
    """What every device said, or why none could be asked."""

    reports: tuple[DeviceReport, ...]
    took_s: float
    problem: BenchError | None = None


class DevicesScreen(BenchScreen):
    NAME = "devices"
    SUMMARY = "What this machine offers: each device is asked in a process of its own, as `bench doctor` does."
    TERMS: ClassVar[Mapping[str, str]] = {
        "available": "a run may start on it now",
        "not installed": "its packages are missing; the hint says how to get them",
        "no card": "the packages are there, the hardware is not",
        "broken": "asking it failed, or took too long",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "examine", "ask again"),
        Binding("y", "copy", "copy"),
    ]
    DEFAULT_CSS = """
    DevicesScreen #page { height: 1fr; padding: 0 2; scrollbar-size-vertical: 1; scrollbar-background: $surface;
        scrollbar-color: $panel-lighten-2; }
    DevicesScreen #state { height: 1; margin-bottom: 1; }
    DevicesScreen #reports { height: auto; }
    DevicesScreen.-narrow #page { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._reports: tuple[DeviceReport, ...] = ()
        self._since: float | None = None
        self._state_text = ""

    def body(self) -> Iterable[Widget]:
        yield VerticalScroll(Static("", id="state"), Static("", id="reports"), id="page")

    def on_mount(self) -> None:
        self.query_one("#page").focus()
        self.set_interval(_TICK_S, self._tick)
        self.action_examine()

    def on_resize(self) -> None:
        if self._reports:
            self.call_after_refresh(self._draw)

    def action_examine(self) -> None:
        if self._since is not None:
            return
        self._since = time.monotonic()
        self._tick()
        self._ask()

    @work(thread=True, group="devices", exclusive=True, exit_on_error=False)
    def _ask(self) -> None:
        worker = get_current_worker()
        began = time.monotonic()
        try:
            reports = tuple(examine(self.dashboard.registry))
            found = Examined(reports, time.monotonic() - began)
        except BenchError as problem:
            found = Examined((), time.monotonic() - began, problem)
        if not worker.is_cancelled:
            self.post_message(found)

    @on(Examined)
    def _examined(self, found: Examined) -> None:
        self._since = None
        if found.problem is not None:
            self.dashboard.tell(found.problem)
            self._say("the devices could not be asked: r asks again")
            return
        self._reports = found.reports
        ready = sum(one.state == "available" for one in found.reports)
        self._say(f"{ready} of {len(found.reports)} devices can run here; asked in {duration(found.took_s)}")
        self._draw()

    def _tick(self) -> None:
        if self._since is not None and self.is_current:
            names = ", ".join(self.dashboard.registry.device_names())
            self._say(f"asking {names}, each in a process of its own… {time.monotonic() - self._since:.0f} s")

    def _say(self, text: str) -> None:
        if text != self._state_text:
            self._state_text = text
            self.query_one("#state", Static).update(Content.styled(text, _MUTED))

    def _draw(self) -> None:
        width = max(40, self.query_one("#page").content_region.width - 1)  # a scroll bar may come
        lines: list[Content] = []
        for one in self._reports:
            lines += [*_device(one, width), Content("")]
        lines += [*_packages(self._reports, width), Content(""), *self._places()]
        self.query_one("#reports", Static).update(Content("\n").join(lines))

    def _places(self) -> list[Content]:
        def there(path: Any) -> Content:
            missing = "" if path.exists() else "  (not there yet)"
            return Content.assemble(shown_path(path), (missing, _MUTED))

        rows = [
            ("recbench", Content(f"{harness.__version__}, Python {platform.python_version()} ({sys.executable})")),
            ("results", there(self.dashboard.database)),
            ("configuration", there(paths.config_file())),
            ("profiles", there(paths.user_profiles_dir())),
            ("cache", there(paths.cache_dir())),
        ]
        return [Content.assemble((name.ljust(_STATE), _MUTED), value) for name, value in rows]

    def action_copy(self) -> None:
        if not self._reports:
            return
        lines = [f"{one.name}: {one.state}: {one.sentence}" + (f" ({one.hint})" if one.hint else "")
                 for one in self._reports]  # fmt: skip
        self.app.copy_to_clipboard("\n".join(lines) + "\n")
        self.notify("copied", timeout=2)


def _device(one: DeviceReport, width: int) -> list[Content]:
    sign, style = _STATES.get(one.state, ("?", _MUTED))
    head = [(f"{sign} ", style), (fitted(one.name, _NAME), "bold"), (fitted(one.state, _STATE), style)]
    indent = " " * (2 + _NAME + _STATE) if width >= 100 else "  "
    sentences = textwrap.wrap(one.sentence, max(20, width - len(indent)))
    if width >= 100:
        lines = [Content.assemble(*head, sentences[0] if sentences else "")]
        lines += [Content(indent + part) for part in sentences[1:]]
    else:
        lines = [Content.assemble(*head), *(Content(indent + part) for part in sentences)]
    if one.hint:
        for place, part in enumerate(textwrap.wrap(one.hint, max(20, width - len(indent) - 2))):
            lines.append(Content.assemble(indent, ("→ " if place == 0 else "  ", "$text-primary"),
                                          (part, "$text-primary")))  # fmt: skip
    details = [f"{_words(key)} {_value(key, value)}" for key, value in one.details.items() if _tells(key, value, one)]
    line = ""
    for part in details:
        if line and len(indent) + len(line) + len(part) + 3 > width:
            lines.append(Content.assemble(indent, (line, _MUTED)))
            line = ""
        line = f"{line} · {part}" if line else part
    if line:
        lines.append(Content.assemble(indent, (line, _MUTED)))
    return lines


def _tells(key: str, value: Any, one: DeviceReport) -> bool:
    """Not what the sentence says already, and nothing that is not known."""
    return key not in ("summary", "name") and value not in (None, "", [], {}) and str(value) not in one.sentence


def _words(key: str) -> str:
    for ending in _UNITS:
        key = key.removesuffix(ending)
    return key.replace("_", " ").replace(".", " ")


def _value(key: str, value: Any) -> str:
    unit = next((unit for ending, unit in _UNITS.items() if key.endswith(ending)), "")
    if isinstance(value, int | float) and not isinstance(value, bool) and unit:
        return quantity(float(value), unit)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _packages(reports: tuple[DeviceReport, ...], width: int) -> list[Content]:
    versions: dict[str, str | None] = {}
    for one in reports:
        versions.update({name: version for name, version in one.versions.items() if version or name not in versions})
    if not versions:
        return []
    shown = textwrap.wrap(", ".join(f"{name} {version or '–'}" for name, version in versions.items()), width - _STATE)
    heads = ["packages", *[""] * (len(shown) - 1)]
    return [Content.assemble((head.ljust(_STATE), _MUTED), part) for head, part in zip(heads, shown, strict=True)]
