"""Throughput of the run that is looked at: the number so far, and its windows over those of earlier repeats."""

from __future__ import annotations

from statistics import median

from harness.dashboard.history import History
from harness.dashboard.views.bars import LONGEST, bar_rows
from harness.dashboard.views.words import by_key, names_of
from harness.dashboard.widgets.line_chart import Line, Plot
from harness.dashboard.widgets.paint import FAINT, LIVE, MUTED, STRONG, TEXT, WARN, Row, Span
from harness.execution.snapshot import CellView, RunView, Snapshot, WindowView
from harness.report.numbers import brief

EARLIER_SHOWN = 5
_WHOLE = 0.6  # of the usual length of a window
_NARROWEST = 0.1  # of its top that the range of y covers at least, so that a steady rate looks steady
_LEAST_POINTS = 3
_BYTES = ("B", "bytes")
_CONDITIONS = ("", "s", "steps", "epochs")  # how far a stop condition is, which is no rate


def throughput_row(cell: CellView, run: RunView, history: History, *, lanes: int = 1) -> Row:
    """`61.3k samples/s  repeat 3` and how that compares with the median of the other repeats, where there are some.

    With several lanes runs go on side by side, and have none.
    """
    if lanes > 1:
        return (" ", TEXT), ("–", STRONG), (" runs side by side are not timed", MUTED)
    value, unit = _value(run, history, cell.rate_unit)
    row: list[Span] = [(" ", TEXT), (brief(value, unit) if value is not None else "–", STRONG)]
    if value is None:
        row.append((_why_none(run), MUTED))
    others = [
        known for other in cell.runs if other.id != run.id and other.status == "ok"
        and (known := _value(other, history, "")[0]) is not None
    ]  # fmt: skip
    if others and value is not None:
        middle = median(others)
        row.append((f"   others {brief(middle, '')}", MUTED))
        if middle:
            change = 100 * (value / middle - 1)
            row.append((f"  {change:+.1f} %", MUTED))
    if run.contended:
        row.append(("   contended", WARN))
    return tuple(row)


def throughput_plot(cell: CellView, run: RunView, history: History, *, lanes: int = 1) -> Plot:
    """Windows over the seconds since the first of them; warm-up is faint, earlier repeats lie behind."""
    if lanes > 1:
        return Plot(empty="")
    if not run.windows and run.progress_unit not in _CONDITIONS and (points := history.rates(run.id)):
        line = Line(tuple(at for at, _ in points), tuple(rate for _, rate in points), LIVE)
        return Plot((line,), x_unit="s", y_unit="bytes/s" if run.progress_unit in _BYTES else "")
    earlier = [other for other in cell.runs if other.id != run.id and other.windows and other.repeat < run.repeat]
    lines = [_line(other.windows, FAINT, behind=True) for other in earlier[-EARLIER_SHOWN:]]
    warm = [window for window in run.windows if window.phase == "warmup"]
    rest = [window for window in run.windows if window.phase != "warmup"]
    begin = _begin(run.windows)
    if warm:
        lines.append(_line((*warm, *rest[:1]), MUTED, begin=begin))
    if rest:
        lines.append(_line(tuple(rest), LIVE, begin=begin))
    return Plot(tuple(line for line in lines if line.x), x_unit="s", least_y_share=_NARROWEST, empty=_why_empty(run))


def _line(windows: tuple[WindowView, ...], style: str, *, behind: bool = False, begin: float | None = None) -> Line:
    """Windows as points; one that a phase's end cut short says little, and is left out."""
    start = _begin(windows) if begin is None else begin
    usual = median(window.seconds for window in windows)
    whole = [window for window in windows if window.seconds >= _WHOLE * usual]
    return Line(
        tuple(window.at_s - start for window in whole), tuple(window.rate for window in whole), style, behind=behind
    )


def _begin(windows: tuple[WindowView, ...]) -> float:
    return windows[0].at_s - windows[0].seconds if windows else 0.0


def _value(run: RunView, history: History, rate_unit: str) -> tuple[float | None, str]:
    """Throughput where there is one, else bytes per second."""
    if run.throughput is not None:
        return run.throughput, rate_unit
    metrics = by_key(run)
    for name in ("throughput", "bandwidth"):
        if name in metrics and metrics[name].value is not None:
            return metrics[name].value, metrics[name].unit
    if run.progress_unit not in _CONDITIONS:
        points = history.rates(run.id)
        return (points[-1][1] if points else None), f"{run.progress_unit}/s"
    return None, rate_unit


def _why_none(run: RunView) -> str:
    if run.status == "pending":
        return " not started"
    if run.status == "running":
        return " nothing measured yet"
    return " not measured"


def _why_empty(run: RunView) -> str:
    if run.status == "pending":
        return "waits for its turn"
    if run.status == "running":
        return "nothing to draw yet" if run.phase in ("warmup", "measure") else f"{run.phase or 'starting'} …"
    return "no windows were recorded"


def throughput_bars(snapshot: Snapshot, current: CellView, width: int) -> tuple[Row, ...]:
    """The median throughput of each cell that has one, in the order of the cells."""
    found = []
    names = names_of(snapshot.cells, LONGEST)
    for cell in snapshot.cells:
        rates = [run.throughput for run in cell.runs if run.throughput is not None]
        if rates:
            middle = median(rates)
            found.append((names[cell.id], middle, brief(middle, cell.rate_unit), cell.id == current.id))
    return ((), *bar_rows(found, width)) if len(found) > 1 else ()


def says_something(plot: Plot) -> bool:
    """A line that is more than a few points: a pass of milliseconds has a window or two, which bars show better."""
    return any(len(line.x) >= _LEAST_POINTS for line in plot.lines)
