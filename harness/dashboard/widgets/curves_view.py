"""One of several charts of curves, with a cursor that reads every curve's value: title, chart, legend."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from harness.dashboard import curves
from harness.dashboard.curves import Chart, Curve
from harness.dashboard.strips import MUTED
from harness.dashboard.widgets.cells import fitted
from harness.dashboard.widgets.line_chart import Line, LineChart, Plot
from harness.report.numbers import amount, clock
from harness.report.quantity import quantity

_LEGEND = 24  # cells of one entry's name
_VALUE = 10


class CurvesView(Vertical):
    """`charts` are those that can be turned to; the one that is looked at is kept by its key while they change."""

    DEFAULT_CSS = """
    CurvesView > #title { height: 1; }
    CurvesView > #legend { height: auto; max-height: 8; }
    .-tall CurvesView > #legend { max-height: 14; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.charts: tuple[Chart, ...] = ()
        self.cursor: float | None = None
        self._wanted: tuple[str, str] | None = None
        self._empty = ""

    def compose(self) -> ComposeResult:
        yield Static("", id="title")
        yield LineChart(id="chart")
        yield Static("", id="legend")

    @property
    def chart(self) -> Chart | None:
        """The one that is shown."""
        return next((one for one in self.charts if one.key == self._wanted), None) or next(iter(self.charts), None)

    def show(self, charts: Sequence[Chart], empty: str) -> None:
        """`empty` stands where there is none."""
        self.charts, self._empty = tuple(charts), empty
        self.draw()

    def say(self, text: str) -> None:
        self.query_one("#title", Static).update(Content.styled(text, "$text-warning"))

    def step(self, by: int) -> None:
        """The cursor goes so many points on."""
        chart = self.chart
        if chart is None or not chart.places:
            return
        at = curves.nearest(chart.places, self.cursor if self.cursor is not None else chart.places[0]) + by
        self.cursor = chart.places[min(max(at, 0), len(chart.places) - 1)]
        self.draw()

    def turn(self, by: int) -> None:
        """To another chart, around the end."""
        chart = self.chart
        if chart is not None:
            self.turn_to((self.charts.index(chart) + by) % len(self.charts))

    def turn_to(self, place: int) -> None:
        if place < len(self.charts):
            self._wanted = self.charts[place].key
            self.cursor = None
            self.draw()

    def on_click(self, event: events.Click) -> None:
        """A click on the chart puts the cursor there."""
        chart, widget = self.chart, self.query_one(LineChart)
        if chart is None or event.widget is not widget or not chart.places:
            return
        left = widget.region.width // 12  # about what the labels take
        share = min(1.0, max(0.0, (event.x - left) / max(1, widget.region.width - left)))
        low, high = chart.places[0], chart.places[-1]
        value = low * (high / low) ** share if chart.logarithmic else low + (high - low) * share
        self.cursor = chart.places[curves.nearest(chart.places, value)]
        self.draw()

    def draw(self) -> None:
        chart, widget = self.chart, self.query_one(LineChart)
        if chart is None:
            widget.show(Plot(empty=self._empty))
            self.say("")
            self.query_one("#legend", Static).update("")
            return
        if self.cursor is None or not chart.places or not chart.places[0] <= self.cursor <= chart.places[-1]:
            self.cursor = _beginning(chart)
        widget.show(
            Plot(
                lines=tuple(Line(one.x, one.y, f"series-{one.colour}") for one in chart.curves),
                x_unit=chart.axis_unit,
                y_unit=chart.unit,
                log_x=chart.logarithmic,
                y_range=(0.0, 1.0) if chart.is_ratio else None,
                cursor=self.cursor,
            )
        )
        several = f"  {self.charts.index(chart) + 1} of {len(self.charts)}" if len(self.charts) > 1 else ""
        unit = f", {chart.unit}" if chart.unit else ""
        self.query_one("#title", Static).update(
            Content.assemble((chart.title.capitalize(), "bold"), (f"{unit}{several}", MUTED),
                             (f"   at {_where(chart, self.cursor)}", "$text-primary")),
            layout=False,
        )  # fmt: skip
        below, words = self.query_one("#legend", Static), legend(chart, self.cursor, max(30, self.content_region.width))
        below.update(words, layout=words.plain.count("\n") + 1 != below.size.height)  # a layout draws all anew


def legend(chart: Chart, cursor: float | None, width: int) -> Content:
    """Every curve with its value at the cursor, in as many columns as fit."""
    name = min(_LEGEND, max(6, max((len(one.name) for one in chart.curves), default=0)))
    per_line = max(1, width // (name + 2 + _VALUE + 1 + 2))
    entries = [_entry(one, chart, cursor, name) for one in chart.curves]
    rows = -(-len(entries) // per_line)
    lines = []
    for row in range(rows):
        parts: list[Content | str] = []
        for one in entries[row::rows]:
            parts += [one, "  "]
        lines.append(Content.assemble(*parts))
    if chart.left_out:
        lines.append(Content.styled(f"{chart.left_out} more curves are not drawn", MUTED))
    return Content("\n").join(lines)


def _beginning(chart: Chart) -> float:
    """Where the cursor stands at first: the middle of the sizes, or the end that all curves reach."""
    end = curves.last_common(chart.curves) or chart.places[-1]
    middle = (chart.places[0] * chart.places[-1]) ** 0.5 if chart.logarithmic else end
    return chart.places[curves.nearest(chart.places, middle)]


def _where(chart: Chart, cursor: float | None) -> str:
    if cursor is None:
        return "–"
    if chart.axis == "seconds":
        return clock(cursor) if cursor >= 60 else f"{cursor:.1f} s"
    return quantity(cursor, chart.axis)


def _entry(one: Curve, chart: Chart, cursor: float | None, name: int) -> Content:
    value = one.value_at(cursor) if cursor is not None else None
    text = f"{value:.4f}" if chart.is_ratio and value is not None else amount(value, chart.unit)
    text = text.removesuffix(f" {chart.unit}") if chart.unit else text
    return Content.assemble(("━ ", f"bold $series-{one.colour}"), (fitted(one.name, name), MUTED), " ",
                            (fitted(text, _VALUE, right=True), "bold"))  # fmt: skip
