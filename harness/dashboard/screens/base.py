"""What the dashboard's screens share: the bar at the top, the footer, and their place in the help.

A screen gives its `body`, names its terms for the help in `TERMS`, and may bring a style sheet (`CSS_PATH`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult, SystemCommand
from textual.screen import Screen
from textual.widget import Widget

from harness.dashboard.widgets.fitted_footer import FittedFooter
from harness.dashboard.widgets.top_bar import TopBar

if TYPE_CHECKING:
    from harness.dashboard.app import Dashboard


class BenchScreen(Screen[None]):
    """A screen of the dashboard. `NAME` is its name in `SCREENS`."""

    NAME: ClassVar[str]
    SUMMARY: ClassVar[str] = ""  # a sentence or two, the first thing in the help
    TERMS: ClassVar[Mapping[str, str]] = {}  # word -> what it means here, for the help

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        yield TopBar(self.NAME)
        yield from self.body()
        yield FittedFooter()

    def body(self) -> Iterable[Widget]:
        """The widgets between the bar at the top and the footer."""
        raise NotImplementedError

    def receive(self, **what: Any) -> None:
        """Takes what another screen sent along with `app.open(name, **what)`."""

    def palette(self) -> Iterable[SystemCommand]:
        """This screen's own commands in the command palette: its bindings, unless it says otherwise."""
        for binding in self._bindings.key_to_bindings.values():
            for one in binding:
                if one.description and not one.system:
                    yield SystemCommand(
                        one.description.capitalize(),
                        f"{one.tooltip or self.NAME} ({self.app.get_key_display(one)})",
                        self._runner(one.action),
                    )

    def _runner(self, action: str) -> Callable[[], None]:
        def run() -> None:
            self.call_later(self.run_action, action)

        return run
