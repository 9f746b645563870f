"""How good what runs is: the loss as it falls, qualities beside their known optimum, hit ratios as bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from statistics import median

from harness.dashboard.views.bars import LONGEST, bar_rows
from harness.dashboard.views.words import by_key, names_of
from harness.dashboard.widgets.line_chart import Line, Plot
from harness.dashboard.widgets.paint import (
    FAINT,
    MUTED,
    STRONG,
    TEXT,
    Row,
    Span,
    clipped,
    width_of,
)
from harness.execution.snapshot import CellView, MetricView, RunView, Snapshot
from harness.report.numbers import amount, brief, share
from harness.store.records import metric_key

_QUALITIES = ("auc", "gauc", "log_loss", "normalized_entropy", "accuracy", "calibration")
_RATIOS = ("hit_ratio", "unique_hit_ratio", "accelerator_utilization")
_COSTS = ("latency_p50_s", "latency_p99_s", "bandwidth", "memory_peak_bytes", "energy_j_per_sample", "roofline_share")
_NAMES = {
    "latency_p50_s": "p50", "latency_p99_s": "p99", "memory_peak_bytes": "peak memory",
    "energy_j_per_sample": "energy a sample",
}  # fmt: skip
_KNOWN = {"_bayes": "best possible", "_majority": "majority alone"}


def loss_plot(cell: CellView, run: RunView) -> Plot | None:
    """The loss of the windows over the samples seen, earlier repeats behind; None where no window has one."""
    lines = []
    for other in cell.runs:
        if other.id == run.id or other.repeat >= run.repeat:
            continue
        line = _loss_line(other, FAINT, behind=True)
        if line is not None:
            lines.append(line)
    own = _loss_line(run, "series-2")
    if own is None and not lines:
        return None
    return Plot((*lines[-5:], *([own] if own else [])), x_unit="samples", empty="no loss yet")


def _loss_line(run: RunView, style: str, *, behind: bool = False) -> Line | None:
    if not any(window.loss is not None for window in run.windows):
        return None
    until = list(accumulate(window.samples for window in run.windows))
    before = max(0, run.samples - until[-1])
    return Line(
        tuple(float(before + seen) for seen in until),
        tuple(window.loss for window in run.windows),
        style,
        behind=behind,
    )


def quality_rows(snapshot: Snapshot, cell: CellView, run: RunView, width: int) -> tuple[Row, ...]:
    """The newest loss, each quality with its optimum, ratios as bars (of all cells, in a sweep), then costs."""
    metrics = by_key(run)
    rows: list[Row] = []
    loss = next((window.loss for window in reversed(run.windows) if window.loss is not None), None)
    if loss is not None:
        rows.append(_fact("loss", f"{loss:.4f}", " in the last window"))
    earlier = _earlier(cell, run) if run.status in ("running", "pending") else {}
    alone: list[Span] = []
    for name in _QUALITIES:
        known = metrics if name in metrics else earlier
        metric = known.get(name)
        if metric is None:
            continue
        if metric.value is None or any(name + suffix in known for suffix in _KNOWN) or metric.role == "primary":
            row = _quality(metric, known, before="" if known is metrics else ", earlier repeats")
            rows.append(row if width_of(row) <= width else row[:-1])
        elif known is metrics:
            alone += [(f" {name.replace('_', ' ')} ", MUTED), (_number(metric), STRONG), (" ", TEXT)]
    if alone:
        rows.append(clipped(tuple(alone), width))
    rows += _ratio_rows(snapshot, cell, metrics, width)
    costs: list[Span] = []
    for name in _COSTS:
        metric = metrics.get(name)
        if metric is not None and metric.value is not None:
            costs += [("  " if costs else " ", TEXT), *_cost(name, metric)]
    if costs:
        rows.append(clipped(tuple(costs), width))
    if not rows:
        text = "quality is measured in the evaluation" if run.status in ("running", "pending") else "none recorded"
        rows.append(((f" {text}", MUTED),))
    return tuple(rows)


def _cost(name: str, metric: MetricView) -> Row:
    if name == "roofline_share":
        return (share(metric.value), TEXT), (" of the machine's limit", MUTED)
    return (f"{_NAMES.get(name, name)} ", MUTED), (_number(metric), TEXT)


def _earlier(cell: CellView, run: RunView) -> dict[str, MetricView]:
    """The median of each quality over the other repeats, while this one has not measured its own."""
    ended = [by_key(other) for other in cell.runs if other.id != run.id and other.status == "ok"]
    found: dict[str, MetricView] = {}
    for key in dict.fromkeys(key for metrics in ended for key in metrics):
        known = [one for metrics in ended if (one := metrics.get(key)) is not None and one.value is not None]
        if known:
            found[key] = replace(known[0], value=median(one.value for one in known if one.value is not None))
    return found


def _quality(metric: MetricView, metrics: Mapping[str, MetricView], before: str = "") -> Row:
    """`auc 0.7931  best possible 0.8125  −0.0194`."""
    label = metric.name.replace("_", " ") + before
    if metric.value is None:
        return _fact(label, "–", "  undefined on these rows")
    for suffix, words in _KNOWN.items():
        beside = metrics.get(metric.name + suffix)
        if beside is not None and beside.value is not None:
            gap = f"{metric.value - beside.value:+.4f}".replace("-", "−")
            return (*_fact(label, _number(metric), f"  {words} "), (_number(beside), TEXT), (f"  {gap}", MUTED))
    return _fact(label, _number(metric))


def _ratio_rows(snapshot: Snapshot, cell: CellView, metrics: Mapping[str, MetricView], width: int) -> list[Row]:
    if len(snapshot.cells) < 2:
        return _ratio_bars(metrics, width)
    return [row for name in _RATIOS for row in _over_cells(snapshot, cell, name, width)]


def _over_cells(snapshot: Snapshot, current: CellView, name: str, width: int) -> list[Row]:
    """The same ratio of every cell that has one, the highest first."""
    found: list[tuple[float, CellView]] = []
    for cell in snapshot.cells:
        values = [
            metric.value
            for run in cell.runs
            for metric in run.metrics
            if metric_key(metric.name, metric.labels) == name and metric.value is not None
        ]
        if values:
            found.append((median(values), cell))
    if not found:
        return []
    found.sort(key=lambda pair: -pair[0])
    names = names_of(snapshot.cells, LONGEST)
    bars = [(names[cell.id], value, f"{100 * value:.2f} %", cell.id == current.id) for value, cell in found]
    return [((f" {name.replace('_', ' ')}", MUTED),), *bar_rows(bars, width, top=1.0)]


def _ratio_bars(metrics: Mapping[str, MetricView], width: int) -> list[Row]:
    found = [
        (_shown(key), metric.value, f"{100 * metric.value:.2f} %", False)
        for key, metric in metrics.items()
        if metric.name in _RATIOS and metric.value is not None
    ]
    return bar_rows(found, width, top=1.0)


def _fact(label: str, number: str, words: str = "") -> Row:
    return ((f" {label} ", MUTED), (number, STRONG), (words, MUTED))


def _number(metric: MetricView) -> str:
    if metric.unit == "" and metric.value is not None:
        return f"{metric.value:.4f}" if abs(metric.value) < 10 else brief(metric.value, "")
    return brief(metric.value, metric.unit) if metric.unit != "nat" else amount(metric.value, "")


def _shown(key: str) -> str:
    return key.replace("_", " ").replace("{", " ").replace("}", "")
