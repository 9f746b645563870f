"""The rows of results.db: one frozen dataclass a table, its fields named as the columns.

A writer puts them, in an order in which parents come before children (experiment, cell, environment, run, the
rest): foreign keys are enforced. Mappings and tuples are stored as JSON text; None and numbers that are not finite
are stored as NULL. Times of day are UTC in ISO 8601, as `utc_now` writes them; `t_s` are monotonic seconds since the
run (or, without a run, the experiment) began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from harness.store.records import Better, Kind, Role, RunStatus


def utc_now() -> str:
    """The time of day as the database keeps it: `2026-11-03T14:05:09.123Z`, so that text sorts as time does."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A moment (with a time zone) as the database keeps it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRow:
    """A fingerprint of machine and software, kept once however many runs had it."""

    table: ClassVar[str] = "environment"
    key: ClassVar[tuple[str, ...]] = ("hash",)
    hash: str
    values: Mapping[str, Any]
    first_seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRow:
    """One invocation. Put it once; later news go through `ResultWriter.change`, which leaves an edited note alone."""

    table: ClassVar[str] = "experiment"
    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    command: str
    created_at: str
    argv: tuple[str, ...] = ()
    status: str = "running"
    interleaved: bool = False
    data_seed: int = 0
    harness_version: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    shared: bool = False
    host: str | None = None
    face: str | None = None
    plan: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentTagRow:
    table: ClassVar[str] = "experiment_tag"
    key: ClassVar[tuple[str, ...]] = ("experiment_id", "tag")
    experiment_id: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One configuration. `data` and `engine` are learnt from the worker and changed in later."""

    table: ClassVar[str] = "cell"
    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    experiment_id: str
    index: int
    label: str
    workload: str
    workload_version: int
    mode: str
    mode_kind: str
    device: str
    timing_scope: str
    params: Mapping[str, Any]
    params_hash: str
    protocol: Mapping[str, Any]
    device_kind: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    profile: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One repeat of a cell. `contention` holds the measured load that `contended` was judged by."""

    table: ClassVar[str] = "run"
    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    cell_id: str
    repeat: int
    order_index: int
    seed: int
    status: RunStatus = "pending"
    started_at: str | None = None
    ended_at: str | None = None
    wall_s: float | None = None
    reason: str | None = None
    exit_code: int | None = None
    contended: bool | None = None
    contention_reason: str | None = None
    contention: Mapping[str, Any] = field(default_factory=dict)
    environment_hash: str | None = None
    face: str | None = None
    log_path: str | None = None
    resumed_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRow:
    """An operating-system process of a run: one a rank."""

    table: ClassVar[str] = "process"
    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    run_id: str
    rank: int = 0
    pid: int | None = None
    python: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    environment_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    table: ClassVar[str] = "metric"
    key: ClassVar[tuple[str, ...]] = ("run_id", "name", "labels", "phase")
    run_id: str
    name: str
    value: float | None
    unit: str
    labels: Mapping[str, str] = field(default_factory=dict)
    phase: str = "measure"
    better: Better = "none"
    role: Role = "info"
    kind: Kind = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """Points to append: x[0], y[0] is point number `start_index` of the series (run, name, labels).

    A point put twice keeps its last value, so a repeated message does no harm.
    """

    table: ClassVar[str] = "series"
    key: ClassVar[tuple[str, ...]] = ("run_id", "name", "labels")
    run_id: str
    name: str
    axis: str
    unit: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    start_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryRow:
    """What one source (`host`, `nvidia:0`, …) said at one time; `values` are numbers by name."""

    table: ClassVar[str] = "telemetry"
    key: ClassVar[tuple[str, ...]] = ("run_id", "source", "t_s")
    run_id: str
    t_s: float
    source: str
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRow:
    table: ClassVar[str] = "artifact"
    key: ClassVar[tuple[str, ...]] = ("run_id", "kind", "path")
    run_id: str
    kind: str
    path: str
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened, in the order it was put. It has no key: putting it twice records it twice."""

    table: ClassVar[str] = "event"
    key: ClassVar[tuple[str, ...]] = ()
    experiment_id: str
    run_id: str | None = None
    t_s: float | None = None
    wall: str  # UTC, ISO 8601
    level: str = "info"
    kind: str
    text: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRow:
    table: ClassVar[str] = "checkpoint"
    key: ClassVar[tuple[str, ...]] = ("run_id", "path")
    run_id: str
    path: str
    created_at: str
    step: int | None = None
    samples: int | None = None
    epoch: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CeilingRow:
    """What a machine can do at most. Each measurement is kept; a query takes the newest. `value` None: could not be."""

    table: ClassVar[str] = "ceiling"
    key: ClassVar[tuple[str, ...]] = ("machine", "device", "threads", "name", "measured_at")
    machine: str
    device: str
    threads: int
    name: str
    value: float | None
    unit: str
    measured_at: str
    contended: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """How far a metric moves between experiments that should agree, as `bench calibrate` found it."""

    table: ClassVar[str] = "drift"
    key: ClassVar[tuple[str, ...]] = ("machine", "device", "metric", "measured_at")
    machine: str
    device: str
    metric: str
    value: float | None
    n_experiments: int
    measured_at: str
    body: Mapping[str, Any] = field(default_factory=dict)


Row = (
    EnvironmentRow
    | ExperimentRow
    | ExperimentTagRow
    | CellRow
    | RunRow
    | ProcessRow
    | MetricRow
    | SeriesRow
    | TelemetryRow
    | ArtifactRow
    | EventRow
    | CheckpointRow
    | CeilingRow
    | DriftRow
)
