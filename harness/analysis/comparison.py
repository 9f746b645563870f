"""The words of a comparison as data: what is asked for (`Side`, `Options`) and what comes out (`Comparison`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.analysis.drift import Drift
from harness.analysis.judge import DIFFERENCE_TOLERANCE, RATIO_TOLERANCE, MetricComparison
from harness.analysis.keys import Difference, ParamClass
from harness.analysis.statistics import ALPHA
from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, ReferenceRecord

Design = Literal["interleaved", "separate", "reference"]
MOST_PRIMARY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What the person named: a cell, with the experiment it belongs to. `drift` is its machine's, if calibrated."""

    name: str
    experiment: ExperimentRecord
    cell: CellRecord
    drift: Drift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to compare. Keys of `tolerances` and `margins` are metric keys or names; `primary` replaces the declared."""

    force: bool = False
    alpha: float = ALPHA
    ratio_tolerance: float = RATIO_TOLERANCE
    difference_tolerance: float = DIFFERENCE_TOLERANCE
    tolerances: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)
    primary: tuple[str, ...] | None = None
    param_classes: Mapping[str, ParamClass] = field(default_factory=dict)

    def tolerance(self, metric: MetricRecord) -> float:
        own = self.tolerances.get(metric.key, self.tolerances.get(metric.name))
        if own is not None:
            return own
        return self.ratio_tolerance if metric.kind == "ratio" else self.difference_tolerance

    def margin(self, metric: MetricRecord) -> float | None:
        own = self.margins.get(metric.key, self.margins.get(metric.name))
        if own is None and metric.role == "gate" and metric.kind != "exact":
            return self.tolerance(metric)
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class SideSummary:
    """One side as a report shows it. `left_out` counts the runs that did not end `ok` by their status."""

    letter: str
    name: str
    label: str
    device: str
    device_kind: str | None
    experiment_id: str | None = None
    cell_id: str | None = None
    runs: int = 0
    contended: int = 0
    unjudged: int = 0  # runs of which nobody knows whether they were contended
    contention_reasons: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """B against the baseline A. `question` is what differs, in words; `refused` is what `force` overrode."""

    a: SideSummary
    b: SideSummary
    workload: str
    mode: str
    design: Design
    question: str
    identity: tuple[Difference, ...]
    subject: tuple[Difference, ...]
    nuisance: tuple[Difference, ...]
    metrics: tuple[MetricComparison, ...]
    one_sided: Mapping[str, str] = field(default_factory=dict)  # metric key -> why it is not compared
    drift: Drift | None = None
    refused: tuple[Difference, ...] = ()
    unranked: str | None = None
    reference: ReferenceRecord | None = None
    notes: tuple[str, ...] = ()

    @property
    def forced(self) -> bool:
        return bool(self.refused)

    def metric(self, key: str) -> MetricComparison | None:
        return next((metric for metric in self.metrics if metric.key == key), None)

    @property
    def judged(self) -> tuple[MetricComparison, ...]:
        return tuple(metric for metric in self.metrics if metric.verdict is not None)

    @property
    def headline(self) -> str:
        """The sentence to read if only one is read: the first primary metric's, else the first judged, else shown."""
        chosen = [metric for metric in self.metrics if metric.role == "primary"] or list(self.judged)
        return (chosen or list(self.metrics))[0].sentence
