"""Words, signs and styles that several views share: how a run stands, and what its number is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.dashboard.widgets.paint import BAD, FAINT, GOOD, LIVE, MUTED, WARN
from harness.execution.snapshot import CellView, MetricView, RunView, Snapshot
from harness.report.numbers import brief
from harness.report.quantity import split_quantity
from harness.store.records import metric_key

# A sign for each status: also without colours they tell apart.
SIGNS: Mapping[str, tuple[str, str]] = {
    "pending": ("○", FAINT),
    "running": ("◐", LIVE),
    "ok": ("●", GOOD),
    "failed": ("✗", BAD),
    "crashed": ("✗", BAD),
    "timeout": ("✗", BAD),
    "lost": ("✗", BAD),
    "interrupted": ("◌", WARN),
    "skipped": ("–", MUTED),
}
CONTENDED_SIGN = ("▲", WARN)
RETRIABLE = frozenset(("failed", "crashed", "timeout", "lost", "interrupted", "skipped"))
MEASURED_PHASES = ("warmup", "measure")


def sign(run: RunView) -> tuple[str, str]:
    """The sign of a run; another one where the machine was busy with something else."""
    text, style = SIGNS.get(run.status, ("?", BAD))
    return CONTENDED_SIGN if run.status == "ok" and run.contended else (text, style)


def headline(run: RunView) -> str:
    """The number that a run is known by: its throughput, else its first primary metric that was measured."""
    if run.throughput is not None:
        return split_quantity(run.throughput, "")[0]
    metric = next((metric for metric in run.metrics if metric.role == "primary" and metric.value is not None), None)
    return brief(metric.value, metric.unit) if metric is not None else ""


def result(run: RunView, rate_unit: str) -> str:
    """The same with its unit: `61.2k samples/s`."""
    return brief(run.throughput, rate_unit) if run.throughput is not None else headline(run)


def by_key(run: RunView) -> dict[str, MetricView]:
    return {metric_key(metric.name, metric.labels): metric for metric in run.metrics}


def cell_of(snapshot: Snapshot, run_id: str | None) -> CellView | None:
    return next((cell for cell in snapshot.cells for run in cell.runs if run.id == run_id), None)


def cell_name(cell: CellView) -> str:
    return cell.label or f"{cell.workload} {cell.mode} on {cell.device}"


def names_of(cells: Sequence[CellView], room: int) -> dict[str, str]:
    """What each cell is called, by id; where that takes more than `room`, its settings by their values alone."""
    names = {cell.id: cell_name(cell) for cell in cells}
    if max(map(len, names.values()), default=0) <= room:
        return names
    short = {key: ", ".join(part.partition("=")[2] or part for part in name.split(", ")) for key, name in names.items()}
    return short if len(set(short.values())) == len(set(names.values())) else names


def runs_of(snapshot: Snapshot) -> Iterator[RunView]:
    for cell in snapshot.cells:
        yield from cell.runs


def shown_run(snapshot: Snapshot) -> RunView | None:
    """The run to look at while nobody chose one: the current one, else the last that began."""
    current = snapshot.run(snapshot.current_run)
    if current is not None:
        return current
    begun = [run for run in runs_of(snapshot) if run.started_at is not None]
    return max(begun, key=lambda run: run.started_at or "", default=next(runs_of(snapshot), None))
