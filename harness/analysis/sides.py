"""What one side of a comparison has: its finished runs, the values of its metrics, and a summary for the report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from harness.analysis import words
from harness.analysis.comparison import Side, SideSummary
from harness.analysis.judge import Values
from harness.analysis.keys import ran_side_by_side
from harness.errors import NothingCompared
from harness.store.records import MetricRecord, RunRecord


def finished_runs(side: Side, letter: str) -> list[RunRecord]:
    """The last run that ended ok, for each repeat. Raises NothingCompared where there is none."""
    last: dict[int, RunRecord] = {}
    for run in sorted(side.cell.runs, key=lambda run: run.order_index):
        if run.status == "ok":
            last[run.repeat] = run
    if not last:
        left_out = Counter(run.status for run in side.cell.runs)
        counts = ", ".join(f"{count} {status}" for status, count in left_out.items()) or "it has no run at all"
        raise NothingCompared(f"{letter} ({side.name}) has no run that ended well: {counts}")
    return [last[repeat] for repeat in sorted(last)]


def declared_metrics(runs: Iterable[RunRecord]) -> dict[str, MetricRecord]:
    declared: dict[str, MetricRecord] = {}
    for run in runs:
        for metric in run.metrics:
            declared.setdefault(metric.key, metric)
    return declared


def values_of(runs: Sequence[RunRecord], key: str) -> Values:
    present: dict[int, float] = {}
    for run in runs:
        metric = run.metric(key)
        if metric is not None and metric.value is not None and math.isfinite(metric.value):
            present[run.repeat] = metric.value
    return Values(by_repeat=present, missing=len(runs) - len(present), seeds={run.repeat: run.seed for run in runs})


def why_missing(sides: tuple[Values, Values], given: tuple[Side, Side], letters: tuple[str, str]) -> str:
    empty = [letter for values, letter in zip(sides, letters, strict=True) if not values.n]
    shared = any(
        side.experiment.shared or ran_side_by_side(side.cell)
        for side, values in zip(given, sides, strict=True)
        if not values.n
    )
    why = " (cells ran side by side)" if shared else ""
    return f"not measured in {words.listed(empty)}{why}"


def summarise(side: Side, letter: str, runs: Sequence[RunRecord]) -> SideSummary:
    counted = {run.id for run in runs}
    left_out = Counter(str(run.status) for run in side.cell.runs if run.status != "ok")
    repeated = sum(run.status == "ok" and run.id not in counted for run in side.cell.runs)
    if repeated:
        left_out["run again"] = repeated
    contended = [run for run in runs if run.contended]
    return SideSummary(
        letter=letter,
        name=side.name,
        label=side.cell.label,
        device=side.cell.device,
        device_kind=side.cell.device_kind,
        experiment_id=side.experiment.id,
        cell_id=side.cell.id,
        runs=len(runs),
        contended=len(contended),
        unjudged=sum(run.contended is None and "side_by_side" not in run.contention for run in runs),
        contention_reasons=tuple(dict.fromkeys(run.contention_reason for run in contended if run.contention_reason)),
        left_out=dict(left_out),
    )
