"""Series drawn over each other: miss ratios over the cache's size, throughput over time, losses over samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from harness.dashboard import curves, sides
from harness.dashboard.curves import Chart, Curve
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.sides import Choice
from harness.dashboard.strips import MUTED
from harness.dashboard.widgets.cells import fitted
from harness.dashboard.widgets.line_chart import Line, LineChart, Plot
from harness.dashboard.widgets.long_list import Cell, Column, LongList, Tone
from harness.dashboard.words import local_time
from harness.errors import BenchError
from harness.report.numbers import amount, clock
from harness.report.quantity import quantity
from harness.store.browse import query

_TYPING_S = 0.15
_MOST_CELLS = 8
_LEGEND = 24  # cells of one entry's name
_VALUE = 10


@dataclass
class ChoicesRead(Message):
    choices: tuple[Choice, ...]
    problem: BenchError | None = None


@dataclass
class ChartsRead(Message):
    cells: tuple[str, ...]
    charts: tuple[Chart, ...]
    problem: BenchError | None = None


class CurvesScreen(BenchScreen):
    NAME = "curves"
    SUMMARY = (
        "Series of several runs over each other. Space takes a configuration in or out, [ and ] go from chart "
        "to chart, the arrows left and right move the cursor that reads values."
    )
    TERMS: ClassVar[Mapping[str, str]] = {
        "miss ratio": "lookups that were not in the cache, over all lookups; 1 minus the hit ratio",
        "#3": "repeat 3 of the configuration",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "take", "in or out"),
        Binding("left", "step(-1)", "cursor", key_display="←→"),
        Binding("right", "step(1)", "cursor right", show=False),
        Binding("shift+left", "step(-10)", "far left", show=False),
        Binding("shift+right", "step(10)", "far right", show=False),
        Binding("right_square_bracket", "turn(1)", "next chart", key_display="]"),
        Binding("left_square_bracket", "turn(-1)", "last chart", key_display="[", show=False),
        Binding("m", "choose", "charts"),
        Binding("l", "list", "list"),
        Binding("slash", "filter", "filter", key_display="/", show=False),
        Binding("enter", "enter", "only this one", show=False),
        Binding("r", "read", "read again", show=False),
        Binding("escape", "back", "clear", show=False),
    ]
    DEFAULT_CSS = """
    CurvesScreen {
        #choose { width: 44; border-right: vkey $panel-lighten-1; }
        #filter { height: 1; border: none; padding: 0 1; background: $surface; }
        #choices { padding: 0 1; }
        #drawing { width: 1fr; padding: 0 1; }
        #title { height: 1; }
        #legend { height: auto; max-height: 8; }
    }
    CurvesScreen.-tall #legend { max-height: 14; }
    CurvesScreen.-normal #choose { width: 34; }
    CurvesScreen.-narrow #choose { width: 100%; border-right: none; }
    CurvesScreen.-list-hidden #choose { display: none; }
    CurvesScreen.-narrow.-list-shown #drawing { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._choices: tuple[Choice, ...] = ()
        self._cells: list[str] = []
        self._charts: tuple[Chart, ...] = ()
        self._wanted: tuple[str, str] | None = None  # the chart that is looked at, kept while cells change
        self._cursor: float | None = None
        self._pause: Any = None
        self._list: bool | None = None
        self._asked = False  # what to draw came from another screen, or was chosen here

    def body(self) -> Iterable[Widget]:
        columns = (
            Column(key="mark", title="", width=1), Column(key="date", title="date", width=11, drop=2),
            Column(key="what", title="workload", width=11, grow=1, most=18),
            Column(key="device", title="on", width=4, grow=1, most=8, drop=1),
            Column(key="name", title="name", width=7, grow=3),
        )  # fmt: skip
        yield Horizontal(
            Vertical(
                Input(placeholder="/ filter", id="filter", compact=True),
                LongList(columns, id="choices", nothing="reading…"),
                id="choose",
            ),
            Vertical(Static("", id="title"), LineChart(id="chart"), Static("", id="legend"), id="drawing"),
        )

    def on_mount(self) -> None:
        self.query_one(LongList).focus()
        self.action_read()

    def on_screen_resume(self) -> None:
        self._arrange()

    def receive(self, **what: Any) -> None:
        """`cells`: the cells to draw, by id; or `experiment`: all of one."""
        self._asked = True
        self._list = None
        if "experiment" in what:
            self._of_experiment(self.dashboard.database, str(what["experiment"]))
        else:
            self._draw_cells(list(what.get("cells", ())))

    # What there is to choose

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._pause is not None:
            self._pause.stop()
        self._pause = self.set_timer(_TYPING_S, self.action_read)

    @on(Input.Submitted, "#filter")
    def _entered(self) -> None:
        self.query_one(LongList).focus()

    def action_read(self) -> None:
        text = self.query_one("#filter", Input).value
        try:
            query(text)
        except BenchError as problem:
            self._say(problem.message)
            return
        self._read_choices(self.dashboard.database, text)
        if self._cells:
            self._read_charts(self.dashboard.database, tuple(self._cells))

    @work(thread=True, group="choices", exclusive=True, exit_on_error=False)
    def _read_choices(self, path: Path, text: str) -> None:
        worker = get_current_worker()
        try:
            read = ChoicesRead(sides.choices(path, text))
        except BenchError as problem:
            read = ChoicesRead((), problem)
        if not worker.is_cancelled:
            self.post_message(read)

    @on(ChoicesRead)
    def _choices_came(self, read: ChoicesRead) -> None:
        rows = self.query_one(LongList)
        if read.problem is not None:
            missing = not self.dashboard.database.exists()
            rows.nothing = "no results yet" if missing else "the database cannot be read"
            self._say("no results yet: S starts an experiment" if missing else read.problem.message)
            rows.refresh()
            return
        rows.nothing = "nothing passes this filter"
        self._choices = read.choices
        if not self._asked and not self._cells and self._choices:
            self._draw_cells(self._first())
        self._show_choices()

    def _first(self) -> list[str]:
        """What is drawn unless the person says otherwise: what is marked, else the newest experiment that ended."""
        marked = [cell for cell in (self.dashboard.marks.a, self.dashboard.marks.b) if cell is not None]
        if marked:
            return marked
        newest = next((one for one in self._choices if one.ok), self._choices[0]).summary.experiment_id
        return [one.cell_id for one in self._choices if one.summary.experiment_id == newest][:_MOST_CELLS]

    def _show_choices(self) -> None:
        self.query_one(LongList).put_all([self._row(one) for one in self._choices])

    def _row(self, one: Choice) -> Sequence[Cell]:
        run = one.summary
        taken = one.cell_id in self._cells
        plain: Tone = "" if taken else "dim"
        return (
            ("●" if taken else "", "strong"), (local_time(run.started_at or run.created_at), "dim"),
            (f"{run.workload} {run.mode}", "strong" if taken else ""), (run.device, plain), (one.name, plain),
        )  # fmt: skip

    @property
    def _current(self) -> Choice | None:
        cursor = self.query_one(LongList).cursor
        return self._choices[cursor] if cursor is not None and cursor < len(self._choices) else None

    # Charts

    @work(thread=True, group="charts", exclusive=True, exit_on_error=False)
    def _of_experiment(self, path: Path, experiment: str) -> None:
        cells = curves.cells_of(path, experiment)[:_MOST_CELLS]
        self.app.call_from_thread(self._draw_cells, list(cells))

    def _draw_cells(self, cells: list[str]) -> None:
        self._cells = cells
        self._show_choices()
        if cells:
            self._read_charts(self.dashboard.database, tuple(cells))
        else:
            self._charts = ()
            self._draw()
        self._arrange()

    @work(thread=True, group="charts", exclusive=True, exit_on_error=False)
    def _read_charts(self, path: Path, cells: tuple[str, ...]) -> None:
        worker = get_current_worker()
        try:
            read = ChartsRead(cells, curves.read(path, cells))
        except BenchError as problem:
            read = ChartsRead(cells, (), problem)
        if not worker.is_cancelled:
            self.post_message(read)

    @on(ChartsRead)
    def _charts_came(self, read: ChartsRead) -> None:
        if read.cells != tuple(self._cells):
            return
        self._charts = read.charts
        self._draw(read.problem.message if read.problem is not None else None)

    @property
    def chart(self) -> Chart | None:
        """The one that is shown."""
        return next((one for one in self._charts if one.key == self._wanted), None) or next(iter(self._charts), None)

    def _draw(self, problem: str | None = None) -> None:
        chart, widget = self.chart, self.query_one(LineChart)
        if chart is None:
            empty = "space takes in a configuration" if not self._cells else "these runs have no series"
            widget.show(Plot(empty=problem or empty))
            self._say("")
            self.query_one("#legend", Static).update("")
            return
        if self._cursor is None or not chart.places or not chart.places[0] <= self._cursor <= chart.places[-1]:
            end = curves.last_common(chart.curves) or chart.places[-1]
            middle = (chart.places[0] * chart.places[-1]) ** 0.5 if chart.logarithmic else end
            self._cursor = chart.places[curves.nearest(chart.places, middle)]
        widget.show(
            Plot(
                lines=tuple(Line(one.x, one.y, f"series-{one.colour}") for one in chart.curves),
                x_unit=chart.axis_unit,
                y_unit=chart.unit,
                log_x=chart.logarithmic,
                y_range=(0.0, 1.0) if chart.is_ratio else None,
                cursor=self._cursor,
            )
        )
        place = self._charts.index(chart) + 1
        several = f"  {place} of {len(self._charts)}" if len(self._charts) > 1 else ""
        unit = f", {chart.unit}" if chart.unit else ""
        self.query_one("#title", Static).update(
            Content.assemble((chart.title.capitalize(), "bold"), (f"{unit}{several}", MUTED),
                             (f"   at {self._where(chart)}", "$text-primary"))
        )  # fmt: skip
        self.query_one("#legend", Static).update(self._legend(chart))

    def _where(self, chart: Chart) -> str:
        if self._cursor is None:
            return "–"
        if chart.axis == "seconds":
            return clock(self._cursor) if self._cursor >= 60 else f"{self._cursor:.1f} s"
        return quantity(self._cursor, chart.axis)

    def _legend(self, chart: Chart) -> Content:
        """Every curve with its value at the cursor, in as many columns as fit."""
        width = max(30, self.query_one("#drawing").content_region.width)
        most = max((len(one.name) for one in chart.curves), default=0)
        name = min(_LEGEND, max(6, most))
        entry = name + 2 + _VALUE + 1
        per_line = max(1, width // (entry + 2))
        entries = [self._entry(one, chart, name) for one in chart.curves]
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

    def _entry(self, one: Curve, chart: Chart, name: int) -> Content:
        value = one.value_at(self._cursor) if self._cursor is not None else None
        text = f"{value:.4f}" if chart.is_ratio and value is not None else amount(value, chart.unit)
        text = text.removesuffix(f" {chart.unit}") if chart.unit else text
        return Content.assemble(("━ ", f"bold $series-{one.colour}"), (fitted(one.name, name), MUTED), " ",
                                (fitted(text, _VALUE, right=True), "bold"))  # fmt: skip

    def _say(self, text: str) -> None:
        self.query_one("#title", Static).update(Content.styled(text, "$text-warning"))

    def _arrange(self) -> None:
        """On a narrow screen the list makes room for the chart, and the other way round."""
        shown = self._list if self._list is not None else not self.has_class("-narrow") or not self._cells
        self.set_class(shown, "-list-shown")
        self.set_class(not shown, "-list-hidden")
        if shown and not self.query_one("#filter", Input).has_focus:
            self.query_one(LongList).focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    # Keys

    def action_take(self) -> None:
        one = self._current
        if one is None or not self.has_class("-list-shown"):
            return
        self._asked = True
        cells = list(self._cells)
        if one.cell_id in cells:
            cells.remove(one.cell_id)
        elif len(cells) < _MOST_CELLS:
            cells.append(one.cell_id)
        else:
            self.notify(f"{_MOST_CELLS} configurations are drawn already: take one out first", severity="warning")
            return
        self._list = True if self.has_class("-narrow") else self._list
        self._draw_cells(cells)

    @on(LongList.Chosen)
    def _chosen(self) -> None:
        self.action_enter()

    def action_enter(self) -> None:
        """The one under the cursor alone; on a narrow screen, to the chart of those that were taken."""
        if self.has_class("-narrow") and self._cells:
            self._list = False
            self._arrange()
        elif self._current is not None:
            self._asked = True
            self._draw_cells([self._current.cell_id])

    def action_step(self, by: int) -> None:
        chart = self.chart
        if chart is None or not chart.places:
            return
        at = curves.nearest(chart.places, self._cursor if self._cursor is not None else chart.places[0]) + by
        self._cursor = chart.places[min(max(at, 0), len(chart.places) - 1)]
        self._draw()

    def action_turn(self, by: int) -> None:
        chart = self.chart
        if chart is not None:
            self._wanted = self._charts[(self._charts.index(chart) + by) % len(self._charts)].key
            self._cursor = None
            self._draw()

    def action_choose(self) -> None:
        choices = [(str(place), one.title.capitalize()) for place, one in enumerate(self._charts)]
        if choices:
            here = str(self._charts.index(self.chart)) if self.chart is not None else None
            self.app.push_screen(Pick("Which series", choices, here), self._go_to)

    def _go_to(self, place: str | None) -> None:
        if place is not None and int(place) < len(self._charts):
            self._wanted = self._charts[int(place)].key
            self._cursor = None
            self._draw()

    def action_list(self) -> None:
        self._list = not self.has_class("-list-shown")
        self._arrange()

    def action_filter(self) -> None:
        self._list = True
        self._arrange()
        self.query_one("#filter", Input).focus()

    def action_back(self) -> None:
        field = self.query_one("#filter", Input)
        if field.has_focus:
            self.query_one(LongList).focus()
        elif field.value:
            field.value = ""
        elif self._cells:
            self._asked = True
            self._draw_cells([])

    def on_click(self, event: events.Click) -> None:
        """A click on the chart puts the cursor there."""
        chart, widget = self.chart, self.query_one(LineChart)
        if chart is None or event.widget is not widget or not chart.places:
            return
        left = widget.region.width // 12  # about what the labels take
        share = min(1.0, max(0.0, (event.x - left) / max(1, widget.region.width - left)))
        low, high = chart.places[0], chart.places[-1]
        value = low * (high / low) ** share if chart.logarithmic else low + (high - low) * share
        self._cursor = chart.places[curves.nearest(chart.places, value)]
        self._draw()
