"""The plain face: one aligned line a window, a line for each end of a run; for a CI log and for a terminal.

It is fed snapshots and prints what is new in them, so it may attach late. On a terminal a line below shows how far a
long set-up is; elsewhere nothing ever moves the cursor. Runs side by side get a line at their end, and one at their
beginning where they take long enough to be seen; each line says whose it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.analysis.words import counted
from harness.execution.snapshot import CellView, LineView, MetricView, RunView, Snapshot, WindowView
from harness.ids import short_id
from harness.report.lines import say
from harness.report.numbers import amount, clock, duration
from harness.report.quantity import split_quantity

_ENDED = ("ok", "failed", "crashed", "timeout", "interrupted", "skipped", "lost")
_SHOWN_QUALITIES = ("auc", "gauc", "hit_ratio")  # the panel shows them all


class PlainFace:
    """Prints the news of an experiment. Use it as a context manager, so that a terminal is left clean."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = False
        self._last_window = -1
        self._last_line = -1
        self._run: str | None = None
        self._phase: str | None = None
        self._told_tenths = 0
        self._told_waiting: str | None = None
        self._noted: set[str] = set()
        self._ended: dict[str, str] = {}  # run id -> the reason that was told
        self._ordinals: dict[str, int] = {}  # of runs side by side
        self._told: dict[str, tuple[str | None, int]] = {}  # of each of those, phase and tenths
        self._live: Live | None = None

    def __enter__(self) -> PlainFace:
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Prints what this snapshot has beyond the last."""
        if not self._started:
            self._started = True
            self._say(_opening(snapshot), hang=2)
        if snapshot.waiting_for and snapshot.waiting_for != self._told_waiting:
            self._say(Text(f"waiting for {snapshot.waiting_for}", style="yellow"), hang=2)
        self._told_waiting = snapshot.waiting_for
        many = sum(cell.repeats for cell in snapshot.cells)
        ordinal = 0
        for cell, run in _in_order(snapshot):
            if run.status == "pending" or _never_begun(run):
                continue
            ordinal += 1
            if run.id in self._ended:
                continue
            if snapshot.lanes > 1:
                self._beside(cell, run, many)
            else:
                self._one_run(cell, run, ordinal, many, snapshot)
        self._not_begun(snapshot)
        for line in snapshot.lines:
            if snapshot.waiting_for and snapshot.waiting_for in line.text:
                self._last_line = max(self._last_line, line.number)  # told above
            else:
                self._one_line(line)
        if self._live is not None:
            self._live.update(_status(snapshot), refresh=True)

    def note(self, text: str, *, instead_of: str = "") -> None:
        """A sentence of the face itself, such as what Ctrl-C did. `instead_of`: a line that need not come any more."""
        self._noted.add(instead_of)
        self._say(Text(text, style="yellow"), hang=2)

    def _not_begun(self, snapshot: Snapshot) -> None:
        """One line for all the runs that were skipped before they had begun, for each reason."""
        news = [run for cell in snapshot.cells for run in cell.runs if _never_begun(run) and run.id not in self._ended]
        counts = Counter(run.reason or "" for run in news)
        self._ended.update({run.id: run.reason or "" for run in news})
        for reason, count in counts.items():
            text = Text(f"{counted(count, 'run')} not begun", style="yellow")
            self._say(text.append(f": {reason}" if reason else "", style="default"), hang=2)

    def _one_run(self, cell: CellView, run: RunView, ordinal: int, many: int, snapshot: Snapshot) -> None:
        if run.id != self._run:
            self._run, self._phase, self._told_tenths = run.id, None, 0
            self._say(_run_heading(cell, run, ordinal, many, len(snapshot.cells) > 1))
        for window in run.windows:
            if window.number > self._last_window:
                self._last_window = window.number
                self._say(_window_line(window, run, cell))
        if run.phase != self._phase:
            self._phase, self._told_tenths = run.phase, 0
        windowed = run.phase in ("warmup", "measure")
        if self._live is None and not windowed and run.progress_total and run.progress_done is not None:
            done = run.progress_done / run.progress_total
            if (tenths := int(10 * done + 1e-9)) > self._told_tenths:
                self._told_tenths = tenths
                self._say(Text(f"  {run.phase or 'setup':<9} {100 * done:.0f} % {_progress_text(run)}", style="dim"))
        if run.status in _ENDED:
            self._ended[run.id] = run.reason or ""
            self._say(_run_ending(cell, run), hang=4)

    def _beside(self, cell: CellView, run: RunView, many: int) -> None:
        """News of a run that others go on beside."""
        first = run.id not in self._ordinals
        ordinal = self._ordinals.setdefault(run.id, len(self._ordinals) + 1)
        whose = Text(f"run {ordinal} of {many}", style="bold").append(f"  {_whose(cell, run)}", style="not bold")
        if run.status in _ENDED:
            self._ended[run.id] = run.reason or ""
            self._say(whose.append_text(_ending_beside(run)), hang=4)
            return
        if first:
            self._say(whose.append("  begun", style="dim not bold"), hang=4)
        phase, told = self._told.get(run.id, (None, 0))
        told = told if phase == run.phase else 0
        if self._live is None and run.progress_total and run.progress_done is not None:
            done = run.progress_done / run.progress_total
            if (tenths := int(10 * done + 1e-9)) > told:
                told = tenths
                text = f"  run {ordinal}: {run.phase or 'setup'} {100 * done:.0f} % {_progress_text(run)}"
                self._say(Text(text, style="dim"), hang=4)
        self._told[run.id] = (run.phase, told)

    def _one_line(self, line: LineView) -> None:
        if line.number <= self._last_line:
            return
        self._last_line = line.number
        told = self._ended.get(line.run_id or "")
        if told is not None and (line.level == "error" or (told and told in line.text)):
            return  # the end of the run has said it
        if line.text in self._noted:
            return
        ordinal = self._ordinals.get(line.run_id or "")
        whose = f"  run {ordinal}: " if ordinal is not None else "  "
        if line.level == "info":
            self._say(Text(f"{whose}{line.text}", style="dim"), hang=4)
        else:
            style = "yellow" if line.level == "warning" else "bold red"
            self._say(Text(f"{whose}{line.level}: {line.text}", style=style), hang=4)

    def _say(self, text: Text, *, hang: int = 0) -> None:
        say(self._console, text, hang=hang)


def _opening(snapshot: Snapshot) -> Text:
    cells = snapshot.cells
    text = Text(f"experiment {short_id(snapshot.experiment_id)}", style="bold")
    if len(cells) == 1:
        cell = cells[0]
        runs = f"{cell.repeats} runs" if cell.repeats != 1 else "1 run"
        text.append(f"  {cell.workload} {cell.mode} on {cell.device}, {runs}", style="not bold")
        if cell.profile:
            text.append(f", profile {cell.profile}", style="not bold")
    else:
        text.append(f"  {len(cells)} cells, {sum(cell.repeats for cell in cells)} runs", style="not bold")
    if snapshot.lanes > 1:
        text.append(f", {snapshot.lanes} side by side", style="not bold")
    return text.append(f"  → {snapshot.database}", style="not bold dim")


def _run_heading(cell: CellView, run: RunView, ordinal: int, many: int, several: bool) -> Text:
    text = Text(f"run {ordinal} of {many}", style="bold")
    if several:
        text.append(f"  {cell.label}, repeat {run.repeat + 1} of {cell.repeats}", style="not bold")
    counts, rates = _widths(cell)
    columns = f"{'time':>7}  {'phase':<8}{cell.sample:>{counts}}  {cell.rate_unit:>{rates}}  {'loss':>8}  {'left':>8}"
    return text.append(f"\n{columns}", style="not bold dim")


def _widths(cell: CellView) -> tuple[int, int]:
    """Of the columns of samples and of samples a second, which are called as the mode calls them."""
    return max(9, len(cell.sample) + 1), max(10, len(cell.rate_unit))


def _window_line(window: WindowView, run: RunView, cell: CellView) -> Text:
    counts, rates = _widths(cell)
    newest = run.windows and window.number == run.windows[-1].number
    left = clock(run.eta_s) if newest and run.eta_s is not None else ""
    loss = f"{window.loss:.4f}" if window.loss is not None else "–"
    text = Text(f"{clock(window.at_s):>7}  {window.phase:<8}{_short(window.total):>{counts}}  ")
    text.append(f"{_short(window.rate):>{rates}}", style="bold" if window.phase == "measure" else "dim")
    return text.append(f"  {loss:>8}  {left:>8}".rstrip())


def _run_ending(cell: CellView, run: RunView) -> Text:
    if run.status != "ok":
        text = Text(f"  {run.status}", style="bold red" if run.status not in ("interrupted", "skipped") else "yellow")
        return text.append(f": {run.reason}" if run.reason else "", style="not bold default")
    parts = [f"{_short(run.throughput)} {cell.rate_unit}" if run.throughput is not None else "no throughput"]
    metrics = {metric.name: metric for metric in run.metrics if not metric.labels}
    parts += [_metric_text(metrics[name], metrics.get(f"{name}_bayes")) for name in _SHOWN_QUALITIES if name in metrics]
    if run.elapsed_s is not None:
        parts.append(duration(run.elapsed_s))
    text = Text.assemble(("  ok", "green"), "  " + " · ".join(parts))
    if run.contended:
        text.append("  contended", style="bold yellow")
        if run.reason:
            text.append(f": {run.reason}", style="yellow")
    return text


def _whose(cell: CellView, run: RunView) -> str:
    repeat = f"repeat {run.repeat + 1} of {cell.repeats}" if cell.repeats > 1 else ""
    return ", ".join(part for part in (cell.label, repeat) if part)


def _ending_beside(run: RunView) -> Text:
    """As `_run_ending`, of a run that is not timed."""
    if run.status != "ok":
        style = "yellow not bold" if run.status in ("interrupted", "skipped") else "bold red"
        text = Text(f"  {run.status}", style=style)
        return text.append(f": {run.reason}" if run.reason else "", style="not bold default")
    metrics = {metric.name: metric for metric in run.metrics if not metric.labels}
    parts = [_metric_text(metrics[name], metrics.get(f"{name}_bayes")) for name in _SHOWN_QUALITIES if name in metrics]
    parts += [duration(run.elapsed_s)] if run.elapsed_s is not None else []
    return Text.assemble(("  ok", "green not bold"), ("  " + " · ".join(parts), "not bold"))


def _metric_text(metric: MetricView, best: MetricView | None) -> str:
    text = f"{metric.name.replace('_', ' ')} {amount(metric.value, metric.unit)}"
    if best is not None and best.value is not None:
        text += f" (best possible {amount(best.value, best.unit)})"
    return text


def _status(snapshot: Snapshot) -> RenderableType:
    """The line below the lines: phase, progress, time left."""
    if snapshot.lanes > 1 and not snapshot.over:
        return _status_beside(snapshot)
    run = snapshot.run(snapshot.current_run)
    if snapshot.over or run is None:
        return Text("")
    text = Text.assemble((f"  {run.phase or snapshot.state}", "bold cyan"))
    if run.elapsed_s is not None:
        text.append(f"  {clock(run.elapsed_s)}")
    if snapshot.eta_s is not None:
        text.append(f"  {duration(snapshot.eta_s)} left", style="dim")
    if not run.progress_total or run.progress_done is None:
        return text
    line = Table.grid(padding=(0, 2))
    line.add_row(
        text,
        ProgressBar(total=run.progress_total, completed=run.progress_done, width=24),
        Text(_progress_text(run), style="dim"),
    )
    return Group(line)


def _status_beside(snapshot: Snapshot) -> RenderableType:
    """How many runs go on, how many are done, time left."""
    runs = [run for cell in snapshot.cells for run in cell.runs]
    done = sum(run.status in _ENDED for run in runs)
    text = Text.assemble((f"  {counted(len(snapshot.going), 'run')} side by side", "bold cyan"))
    text.append(f"  {clock(snapshot.elapsed_s)}")
    if snapshot.eta_s is not None:
        text.append(f"  {duration(snapshot.eta_s)} left", style="dim")
    line = Table.grid(padding=(0, 2))
    line.add_row(text, ProgressBar(total=len(runs), completed=done, width=24), Text(f"{done} of {len(runs)}", "dim"))
    return Group(line)


def _progress_text(run: RunView) -> str:
    unit = run.progress_unit
    if unit in ("B", "bytes"):
        return f"{amount(run.progress_done, 'bytes')} of {amount(run.progress_total, 'bytes')}"
    return f"{_short(run.progress_done)} of {_short(run.progress_total)} {unit}".rstrip()


def _short(value: float | None) -> str:
    return split_quantity(None if value is None else float(value), "")[0]


def _never_begun(run: RunView) -> bool:
    return run.status == "skipped" and run.started_at is None


def _in_order(snapshot: Snapshot) -> Iterator[tuple[CellView, RunView]]:
    """Every run that has begun, by the time it began; those to come last."""
    pairs = [(cell, run) for cell in snapshot.cells for run in cell.runs]
    yield from sorted(pairs, key=lambda pair: (pair[1].started_at is None, pair[1].started_at or ""))
