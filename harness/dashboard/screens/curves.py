"""Series drawn over each other: miss ratios over the cache's size, throughput over time, losses over samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.worker import get_current_worker

from harness.dashboard import curves
from harness.dashboard.curves import Chart
from harness.dashboard.screens.base import BenchScreen
from harness.dashboard.screens.chooser import CellChooser
from harness.dashboard.screens.pick import Pick
from harness.dashboard.sides import Choice
from harness.dashboard.widgets.curves_view import CurvesView
from harness.dashboard.widgets.long_list import Cell, Column, LongList, Tone
from harness.dashboard.words import local_time
from harness.errors import BenchError

_MOST_CELLS = 8


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
        #drawing { width: 1fr; padding: 0 1; }
    }
    CurvesScreen.-normal #choose { width: 34; }
    CurvesScreen.-narrow #choose { width: 100%; border-right: none; }
    CurvesScreen.-list-hidden #choose { display: none; }
    CurvesScreen.-narrow.-list-shown #drawing { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._cells: list[str] = []
        self._list: bool | None = None
        self._asked = False  # what to draw came from another screen, or was chosen here

    def body(self) -> Iterable[Widget]:
        columns = (
            Column(key="mark", title="", width=1), Column(key="date", title="date", width=11, drop=2),
            Column(key="what", title="workload", width=11, grow=1, most=18),
            Column(key="device", title="on", width=4, grow=1, most=8, drop=1),
            Column(key="name", title="name", width=7, grow=3),
        )  # fmt: skip
        yield Horizontal(CellChooser(columns, self._row), CurvesView(id="drawing"))

    @property
    def _chooser(self) -> CellChooser:
        return self.query_one(CellChooser)

    @property
    def view(self) -> CurvesView:
        return self.query_one(CurvesView)

    def on_mount(self) -> None:
        self._chooser.rows.focus()
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

    def action_read(self) -> None:
        if self._chooser.read() and self._cells:
            self._read_charts(self.dashboard.database, tuple(self._cells))

    @on(CellChooser.Failed)
    def _nothing(self, event: CellChooser.Failed) -> None:
        self.view.say(event.reason)

    @on(CellChooser.Came)
    def _came(self, event: CellChooser.Came) -> None:
        if not self._asked and not self._cells and event.choices:
            self._draw_cells(self._first(event.choices))

    def _first(self, choices: Sequence[Choice]) -> list[str]:
        """What is drawn unless the person says otherwise: what is marked, else the newest experiment that ended."""
        marked = [cell for cell in (self.dashboard.marks.a, self.dashboard.marks.b) if cell is not None]
        if marked:
            return marked
        newest = next((one for one in choices if one.ok), choices[0]).summary.experiment_id
        return [one.cell_id for one in choices if one.summary.experiment_id == newest][:_MOST_CELLS]

    def _row(self, one: Choice) -> Sequence[Cell]:
        run = one.summary
        taken = one.cell_id in self._cells
        plain: Tone = "" if taken else "dim"
        return (
            ("●" if taken else "", "strong"), (local_time(run.started_at or run.created_at), "dim"),
            (f"{run.workload} {run.mode}", "strong" if taken else ""), (run.device, plain), (one.name, plain),
        )  # fmt: skip

    # Charts

    @work(thread=True, group="charts", exclusive=True, exit_on_error=False)
    def _of_experiment(self, path: Path, experiment: str) -> None:
        cells = curves.cells_of(path, experiment)[:_MOST_CELLS]
        self.app.call_from_thread(self._draw_cells, list(cells))

    def _draw_cells(self, cells: list[str]) -> None:
        self._cells = cells
        self._chooser.redraw()
        if cells:
            self._read_charts(self.dashboard.database, tuple(cells))
        else:
            self.view.show((), "space takes in a configuration")
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
        if read.cells == tuple(self._cells):
            problem = read.problem.message if read.problem is not None else None
            self.view.show(read.charts, problem or "these runs have no series")

    def _arrange(self) -> None:
        """On a narrow screen the list makes room for the chart, and the other way round."""
        shown = self._list if self._list is not None else not self.has_class("-narrow") or not self._cells
        self._chooser.settle(shown)
        self.call_after_refresh(self.view.draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self._arrange)

    # Keys

    def action_take(self) -> None:
        one = self._chooser.current
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
        current = self._chooser.current
        if self.has_class("-narrow") and self._cells:
            self._list = False
            self._arrange()
        elif current is not None:
            self._asked = True
            self._draw_cells([current.cell_id])

    def action_step(self, by: int) -> None:
        self.view.step(by)

    def action_turn(self, by: int) -> None:
        self.view.turn(by)

    def action_choose(self) -> None:
        charts, shown = self.view.charts, self.view.chart
        choices = [(str(place), one.title.capitalize()) for place, one in enumerate(charts)]
        if choices and shown is not None:
            self.app.push_screen(Pick("Which series", choices, str(charts.index(shown))), self._go_to)

    def _go_to(self, place: str | None) -> None:
        if place is not None:
            self.view.turn_to(int(place))

    def action_list(self) -> None:
        self._list = not self.has_class("-list-shown")
        self._arrange()

    def action_filter(self) -> None:
        self._list = True
        self._arrange()
        self._chooser.field.focus()

    def action_back(self) -> None:
        if not self._chooser.step_back() and self._cells:
            self._asked = True
            self._draw_cells([])
