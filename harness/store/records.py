"""What a query returns: frozen records of experiments, cells, runs and metrics, read by analysis and report.

Nothing here knows SQL, and nothing here imports the rest of the store, so that comparison can be tested on
records made by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower", "none"]
Role = Literal["primary", "gate", "info"]
Kind = Literal["ratio", "difference", "exact"]
RunStatus = Literal[
    "pending",  # planned, not started
    "running",
    "ok",
    "failed",  # it raised, or its channel could not be trusted
    "crashed",  # killed by a signal or ended without a word
    "timeout",  # no event within its limit
    "interrupted",  # the person stopped it; what was measured until then counts as a partial run
    "skipped",
    "lost",  # the orchestrator itself died
]


def metric_key(name: str, labels: Mapping[str, str]) -> str:
    """`name`, or `name{a=1,b=2}` with the labels in alphabetical order."""
    if not labels:
        return name
    return name + "{" + ",".join(f"{key}={labels[key]}" for key in sorted(labels)) + "}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecord:
    """One number of one run. `value` is None where it was not measured or is undefined; zero means zero."""

    name: str
    value: float | None
    unit: str
    better: Better = "none"
    phase: str = "measure"
    role: Role = "info"
    kind: Kind = "ratio"
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return metric_key(self.name, self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One repeat of a cell. `order_index` is its place in the experiment's real order of execution."""

    id: str
    cell_id: str
    repeat: int
    order_index: int
    status: RunStatus
    seed: int
    started_at: str | None = None  # UTC, ISO 8601
    ended_at: str | None = None
    wall_s: float | None = None
    reason: str | None = None  # why it did not end `ok`, in one sentence
    contended: bool | None = None  # None: could not be judged
    contention_reason: str | None = None
    environment_hash: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    face: str | None = None  # dashboard, plain or none
    exit_code: int | None = None
    contention: Mapping[str, Any] = field(default_factory=dict)  # the measured load that `contended` was judged by
    log_path: str | None = None
    resumed_from: str | None = None  # the checkpoint it went on from
    metrics: tuple[MetricRecord, ...] = ()

    def metric(self, key: str) -> MetricRecord | None:
        return next((metric for metric in self.metrics if metric.key == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One configuration in an experiment, with its runs.

    `params` are the workload's resolved settings; `protocol` is how it was measured (stop conditions, warm-up,
    evaluation, data protocol); `data` identifies the rows (`fingerprint`, `kind`, `rows`, `path`); `engine` is
    what the worker really used (`engine_resolved`, precision, threads).
    """

    id: str
    experiment_id: str
    index: int
    label: str
    workload: str
    workload_version: int
    mode: str
    device: str
    device_kind: str | None
    timing_scope: str
    params: Mapping[str, Any]
    params_hash: str
    protocol: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    mode_kind: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of them, in the workload's words."""
        return tuple(str(text) for text in self.engine.get("warnings") or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRecord:
    """One invocation of `bench run`, `sweep`, `ab` or `calibrate`. `interleaved`: repeats alternate between cells."""

    id: str
    command: str  # run, sweep, ab, calibrate
    created_at: str
    status: Literal["running", "done", "failed", "interrupted", "lost"]
    interleaved: bool = False
    argv: tuple[str, ...] = ()
    data_seed: int = 0
    harness_version: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    shared: bool = False  # run beside another measurement on purpose (--share)
    tags: tuple[str, ...] = ()
    note: str | None = None
    host: str | None = None
    face: str | None = None
    message: str | None = None  # why it did not end `done`
    ended_at: str | None = None
    exit_code: int | None = None
    cells: tuple[CellRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecord:
    """Numbers over an axis inside a run: `axis` names x (`seconds`, `samples`, `rows`)."""

    name: str
    axis: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run in a list. `metrics` holds those that were asked for and are there, by key."""

    id: str
    cell_id: str
    experiment_id: str
    created_at: str
    command: str
    workload: str
    mode: str
    label: str
    device: str
    device_kind: str | None
    timing_scope: str
    profile: str | None
    params_hash: str
    repeat: int
    order_index: int
    status: RunStatus
    reason: str | None = None
    started_at: str | None = None
    wall_s: float | None = None
    contended: bool | None = None
    contention_reason: str | None = None
    host: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    metrics: Mapping[str, MetricRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSummary:
    """One experiment in a list, with what its cells have in common as sets and its runs as counts."""

    id: str
    command: str
    created_at: str
    status: Literal["running", "done", "failed", "interrupted", "lost"]
    workloads: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    cells: int = 0
    runs: int = 0
    runs_ok: int = 0
    runs_contended: int = 0
    argv: tuple[str, ...] = ()
    interleaved: bool = False
    host: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    message: str | None = None
    ended_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRecord:
    """A published result, kept with its source: compared by ratio, never mistaken for a run."""

    name: str
    workload: str
    device: str
    dataset: str
    metric: str
    value: float
    unit: str
    source: str
    better: Better
    mode: str = "train"
    kind: Kind = "ratio"
    device_count: int | None = None
    framework: str | None = None
    framework_version: str | None = None
    protocol: str | None = None
    batch: int | None = None
    precision: str | None = None
    epochs: float | None = None
    timing_scope: str | None = None
    remark: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)  # the model's settings, under the workload's own keys
    comparable: bool = True  # False: its definition is lost, or it contradicts itself
