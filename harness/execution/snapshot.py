"""What every face draws: one immutable picture of an experiment, sent at most four times a second.

Plain data only, JSON in and out. A face that attaches late gets the whole picture at once.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ExperimentState = Literal["starting", "waiting", "running", "stopping", "done", "failed", "interrupted"]
MAX_WINDOWS = 240  # of the current run and of each earlier one, for charts
MAX_LINES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowView:
    """One window of throughput. `number` counts up over the whole experiment, so a face prints each line once."""

    number: int
    run_id: str
    phase: str
    index: int
    at_s: float  # since the run began
    samples: int  # in the window
    seconds: float
    loss: float | None = None
    total: int | None = None  # samples of the run at the window's end, warm-up counted

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricView:
    name: str
    value: float | None
    unit: str
    better: str = "none"
    role: str = "info"
    phase: str = "measure"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineView:
    """A line for people: a log line, a notice, an error. `number` counts up over the experiment."""

    number: int
    at: str  # wall clock, HH:MM:SS
    level: Literal["info", "warning", "error"]
    text: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One repeat. `eta_s` is None until it can be told honestly; `windows` are the newest ones."""

    id: str
    cell_id: str
    repeat: int
    status: str
    phase: str | None = None
    started_at: str | None = None
    elapsed_s: float | None = None
    step: int = 0
    samples: int = 0
    epoch: float = 0.0
    progress_done: float | None = None
    progress_total: float | None = None
    progress_unit: str = ""
    eta_s: float | None = None
    throughput: float | None = None  # samples a second of the measure phase so far
    contended: bool | None = None
    reason: str | None = None
    windows: tuple[WindowView, ...] = ()
    metrics: tuple[MetricView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    id: str
    index: int
    label: str
    workload: str
    mode: str
    device: str
    device_kind: str | None = None
    repeats: int = 1
    profile: str | None = None
    rate_unit: str = "samples/s"  # of throughput: what the mode calls a sample
    runs: tuple[RunView, ...] = ()

    @property
    def sample(self) -> str:
        """What the samples of this cell are called: samples, requests, rows."""
        return self.rate_unit.removesuffix("/s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The experiment now. `telemetry` holds the newest readings of host and device, None where not readable."""

    experiment_id: str
    command: str
    database: str
    state: ExperimentState
    started_at: str
    elapsed_s: float
    eta_s: float | None = None
    waiting_for: str | None = None
    message: str | None = None  # why it ended, in one sentence
    hint: str | None = None
    exit_code: int | None = None  # set once it is over
    forgotten: bool = False  # it was wrong input: nothing was measured, and nothing is in the database
    current_run: str | None = None  # of several the one that began first
    lanes: int = 1  # so many runs go on side by side
    cells: tuple[CellView, ...] = ()
    lines: tuple[LineView, ...] = ()
    telemetry: Mapping[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.exit_code is not None

    @property
    def going(self) -> tuple[RunView, ...]:
        """The runs that go on now, in the order of their cells."""
        return tuple(run for cell in self.cells for run in cell.runs if run.status == "running")

    def run(self, run_id: str | None) -> RunView | None:
        return next((run for cell in self.cells for run in cell.runs if run.id == run_id), None)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Snapshot:
        """Unknown fields are ignored, so that an older face can watch a newer orchestrator."""
        made: Snapshot = _build(cls, data)
        return made


def _build(kind: Any, data: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    known = {item.name for item in dataclasses.fields(kind)}
    return kind(**{name: _value(hints[name], value) for name, value in data.items() if name in known})


def _value(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list | tuple):
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, part) for part in value)
    if origin in (typing.Union, types.UnionType) or not dataclasses.is_dataclass(hint):
        return value
    return _build(hint, value)
