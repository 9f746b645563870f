"""What `q` and Ctrl-C ask while an experiment goes on: leave it running, stop it, end it at once, or stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from harness.ids import short_id

if TYPE_CHECKING:
    from harness.dashboard.app import Dashboard


class LeaveScreen(ModalScreen[None]):
    """Leaves by itself when the experiment that was stopped is over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,q", "choose('detach')", "detach", show=False),
        Binding("s", "choose('stop')", "stop", show=False),
        Binding("k", "choose('kill')", "kill", show=False),
        Binding("escape,c,n", "choose('stay')", "stay", show=False),
    ]

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def compose(self) -> ComposeResult:
        source = self.dashboard.source
        short = short_id(source.experiment_id) if source is not None else ""
        with Vertical(classes="dialog") as box:
            box.border_title = "Leave"
            yield Static(f"Experiment {short} is still running.", classes="question", markup=False)
            yield OptionList(
                Option("[b]d[/b]  detach   it goes on; `bench dashboard` attaches again", id="detach"),
                Option("[b]s[/b]  stop     after this window, keep what was measured, and leave", id="stop"),
                Option("[b]k[/b]  kill     end the worker at once, and leave", id="kill"),
                Option("[b]c[/b]  cancel   stay here", id="stay"),
                compact=True,
            )

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.action_choose(event.option_id or "stay")

    def action_choose(self, choice: str) -> None:
        app = self.dashboard
        self.dismiss()
        if choice == "detach":
            app.depart(detached=app.running)
        elif choice in ("stop", "kill"):
            app.leave_when_over = True
            app.command(choice)
