"""The panels of Live, each of which draws its part of a snapshot: throughput, quality, machine, and the tabs below."""

from __future__ import annotations

from textual.widgets import ContentSwitcher

from harness.dashboard.details import Details, RunDetails
from harness.dashboard.history import History
from harness.dashboard.views.happenings import event_rows
from harness.dashboard.views.machine import legend, machine_plot, machine_rows
from harness.dashboard.views.quality import loss_plot, quality_rows
from harness.dashboard.views.tabs import log_rows, setting_rows
from harness.dashboard.views.throughput import says_something, throughput_bars, throughput_plot, throughput_row
from harness.dashboard.views.words import cell_name
from harness.dashboard.widgets.line_chart import LineChart, Plot
from harness.dashboard.widgets.paint import Row
from harness.dashboard.widgets.panel import Panel
from harness.dashboard.widgets.rows import LinesView, RowsView
from harness.execution.snapshot import CellView, RunView, Snapshot

TABS = ("Events", "Log", "Settings")
_CHART_FROM = 8  # lines left in a panel, from which a chart says something
_SOME = 40  # cells, before the first layout has told how many there are


class ThroughputPanel(Panel):
    """The number so far, and the windows over those of earlier repeats; bars where a line would say nothing."""

    def __init__(self) -> None:
        super().__init__(
            2, "Throughput", RowsView(id="throughput-line"), LineChart(id="throughput-chart"), id="throughput"
        )

    def show(self, snapshot: Snapshot, cell: CellView, run: RunView, history: History) -> None:
        picked = f"repeat {run.repeat + 1}" if run.id != snapshot.current_run and len(cell.runs) > 1 else ""
        if len(snapshot.cells) > 1:
            picked = f"{cell_name(cell)} {picked}".strip()
        self.entitle(picked)
        line, chart = self.query_one(RowsView), self.query_one(LineChart)
        rates = throughput_plot(cell, run, history, lanes=snapshot.lanes)
        bars = throughput_bars(snapshot, cell, line.size.width or _SOME) if not says_something(rates) else ()
        _fit(line, (throughput_row(cell, run, history, lanes=snapshot.lanes), *bars))
        chart.set_class(bool(bars), "-hidden")
        if not bars:
            chart.show(rates)

    def clear(self, why: str) -> None:
        self.query_one(RowsView).show(())
        self.query_one(LineChart).show(Plot(empty=why))


class QualityPanel(Panel):
    """The loss as it falls, qualities beside their optimum, hit ratios."""

    def __init__(self) -> None:
        super().__init__(3, "Quality", RowsView(id="quality-rows"), LineChart(id="loss-chart"), id="quality")

    def show(self, snapshot: Snapshot, cell: CellView, run: RunView) -> None:
        rows, chart = self.query_one(RowsView), self.query_one(LineChart)
        _fit(rows, quality_rows(snapshot, cell, run, rows.size.width or _SOME))
        losses = loss_plot(cell, run)
        chart.set_class(losses is None, "-hidden")
        if losses is not None:
            chart.show(losses)

    def clear(self) -> None:
        self.query_one(RowsView).show(())
        self.query_one(LineChart).show(Plot(empty=""))


class MachinePanel(Panel):
    """Readings of device and host, and below them the last minute, where there is room for it."""

    def __init__(self) -> None:
        super().__init__(
            4,
            "Machine",
            RowsView(id="machine-rows"),
            RowsView(id="machine-legend"),
            LineChart(id="machine-chart"),
            id="machine",
        )

    def show(self, snapshot: Snapshot | None, history: History) -> None:
        room = self.content_size
        rows = machine_rows(snapshot, history, room.width or _SOME, room.height)
        _fit(self.query_one("#machine-rows", RowsView), rows)
        plot = machine_plot(snapshot, history) if room.height - len(rows) >= _CHART_FROM else None
        chart, names = self.query_one(LineChart), self.query_one("#machine-legend", RowsView)
        chart.set_class(plot is None, "-hidden")
        names.set_class(plot is None, "-hidden")
        if plot is not None:
            names.show(((), legend(plot)))
            chart.show(plot)


class TabsPanel(Panel):
    """Events, the log of the run that is looked at, and settings with their origins; only the one in sight is drawn."""

    def __init__(self) -> None:
        self.tab = TABS[0]
        views = (LinesView(id="events"), LinesView(id="log"), LinesView(id="settings", follow=False))
        super().__init__(5, TABS[0], ContentSwitcher(*views, initial="events", id="views"), id="bottom")

    def turn_to(self, name: str) -> None:
        self.tab = name
        self.query_one(ContentSwitcher).current = name.lower()

    def show(
        self, snapshot: Snapshot | None, cell: CellView | None, log: RunDetails | None, details: Details | None
    ) -> None:
        self.choose(TABS, self.tab)
        if snapshot is None:
            return
        if self.tab == "Events":
            self.query_one("#events", LinesView).show(event_rows(snapshot))
        elif self.tab == "Log":
            self.query_one("#log", LinesView).show(log_rows(log))
        elif cell is not None:
            self.query_one("#settings", LinesView).show(setting_rows(details, snapshot, cell.id))


def _fit(view: RowsView, rows: tuple[Row, ...]) -> None:
    """Shows the rows, and makes the view as high as they are."""
    view.show(rows)
    if view.styles.height is None or view.styles.height.value != len(rows):
        view.styles.height = len(rows)
