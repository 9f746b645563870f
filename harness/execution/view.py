"""The orchestrator's living picture of its experiment, and what of it is new to a face.

Sending the whole Snapshot four times a second would cost more than the experiment may take from the machine, so a
face gets it once and then changes: the runs that changed, the windows and lines that are new.
`harness.execution.mirror` puts them together again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from harness.execution.plan import Plan, PlannedCell, PlannedRun
from harness.execution.snapshot import (
    MAX_LINES,
    MAX_WINDOWS,
    CellView,
    ExperimentState,
    LineView,
    MetricView,
    RunView,
    Snapshot,
    WindowView,
)
from harness.store.records import metric_key

T = TypeVar("T", WindowView, LineView)


RUNS_WITH_WINDOWS = 20  # a face that attaches late to a long sweep must not cost the measurement a second


@dataclass
class LiveRun:
    """A RunView that can change. `started` is monotonic; `changed` is the revision of its last change."""

    id: str
    cell_id: str
    repeat: int
    status: str = "pending"
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
    throughput: float | None = None
    contended: bool | None = None
    reason: str | None = None
    windows: deque[WindowView] = field(default_factory=lambda: deque(maxlen=MAX_WINDOWS))
    metrics: dict[str, MetricView] = field(default_factory=dict)
    started: float | None = None
    changed: int = 0

    def plain(self) -> dict[str, Any]:
        """The fields of a RunView, but for its windows and metrics."""
        return {name: getattr(self, name) for name in _PLAIN}


_PLAIN = tuple(name for name in RunView.__dataclass_fields__ if name not in ("windows", "metrics"))


@dataclass(slots=True)
class Cursor:
    """How much of the view a face has seen."""

    revision: int = 0
    window: int = 0
    line: int = 0


class LiveView:
    """All that faces see. Changed by the event loop only; `revision` counts the changes."""

    def __init__(
        self, plan: Plan, started_at: str, rate_units: Mapping[str, str] | None = None, lanes: int = 1
    ) -> None:
        self._plan = plan
        self._rate_units = rate_units or {}  # by cell id
        self._lanes = lanes
        self._started_at = started_at
        self._began = time.monotonic()
        self.revision = 1
        self.state: ExperimentState = "starting"
        self.eta_s: float | None = None
        self.waiting_for: str | None = None
        self.message: str | None = None
        self.hint: str | None = None
        self.forgotten = False
        self.exit_code: int | None = None
        self._telemetry: dict[str, Any] = {}
        self._device_kinds: dict[str, str] = {}
        self._kinds_changed = 0
        self._lines: deque[LineView] = deque(maxlen=MAX_LINES)
        self._line_number = 0
        self._window_number = 0
        self.runs: dict[str, LiveRun] = {}
        for run in plan.order:
            self.add_run(run)

    @property
    def current_run(self) -> str | None:
        """The run that goes on; of several the one that began first, so that a face stays with it."""
        going = [run for run in self.runs.values() if run.status == "running"]
        return min(going, key=lambda run: run.started or 0.0).id if going else None

    def add_run(self, run: PlannedRun) -> None:
        self.runs[run.id] = LiveRun(run.id, run.cell_id, run.repeat)
        self.touch(run.id)

    def touch(self, run_id: str | None = None) -> None:
        """Something changed, in `run_id` or in the experiment itself."""
        self.revision += 1
        if run_id is not None:
            self.runs[run_id].changed = self.revision

    def set_state(
        self,
        state: ExperimentState,
        *,
        waiting_for: str | None = None,
        message: str | None = None,
        hint: str | None = None,
        exit_code: int | None = None,
        forgotten: bool = False,
    ) -> None:
        self.state, self.waiting_for = state, waiting_for
        self.message = message or self.message
        self.hint, self.forgotten = hint or self.hint, forgotten
        self.exit_code = exit_code
        if exit_code is not None:
            self.eta_s = None
        self.touch()

    def update(self, run_id: str, **fields: Any) -> None:
        """Sets fields of a run."""
        run = self.runs[run_id]
        for name, value in fields.items():
            setattr(run, name, value)
        self.touch(run_id)

    def device_kind(self, cell_id: str, kind: str) -> None:
        self.touch()
        self._device_kinds[cell_id] = kind
        self._kinds_changed = self.revision

    def line(self, level: Literal["info", "warning", "error"], text: str, run_id: str | None = None) -> None:
        self._line_number += 1
        at = time.strftime("%H:%M:%S")
        self._lines.append(LineView(number=self._line_number, at=at, level=level, text=text, run_id=run_id))
        self.touch()

    def window(
        self,
        run_id: str,
        phase: str,
        index: int,
        at_s: float,
        samples: int,
        seconds: float,
        loss: float | None,
        total: int | None = None,
    ) -> None:
        self._window_number += 1
        self.runs[run_id].windows.append(
            WindowView(
                number=self._window_number,
                run_id=run_id,
                phase=phase,
                index=index,
                at_s=at_s,
                samples=samples,
                seconds=seconds,
                loss=loss,
                total=total,
            )
        )
        self.touch(run_id)

    def metric(self, run_id: str, metric: MetricView) -> None:
        self.runs[run_id].metrics[metric_key(metric.name, metric.labels)] = metric
        self.touch(run_id)

    def telemetry(self, source: str, values: Mapping[str, Any]) -> None:
        self._telemetry[source] = dict(values)
        self.touch()

    def _elapse(self) -> None:
        now = time.monotonic()
        for run in self.runs.values():
            if run.started is not None and run.status == "running":
                run.elapsed_s = now - run.started

    def _head(self) -> dict[str, Any]:
        return {
            "experiment_id": self._plan.experiment_id,
            "command": self._plan.command,
            "database": str(self._plan.database),
            "state": self.state,
            "started_at": self._started_at,
            "elapsed_s": round(time.monotonic() - self._began, 3),
            "eta_s": self.eta_s,
            "waiting_for": self.waiting_for,
            "message": self.message,
            "hint": self.hint,
            "forgotten": self.forgotten,
            "exit_code": self.exit_code,
            "current_run": self.current_run,
            "lanes": self._lanes,
            "telemetry": self._telemetry,
        }

    def snapshot(self) -> Snapshot:
        """The whole picture, with the windows of the newest runs."""
        self._elapse()
        with_windows = [run.id for run in self.runs.values() if run.windows][-RUNS_WITH_WINDOWS:]
        return Snapshot(
            **{**self._head(), "telemetry": dict(self._telemetry)},
            cells=tuple(self._cell(cell, with_windows) for cell in self._plan.cells),
            lines=tuple(self._lines),
        )

    def _cell(self, cell: PlannedCell, with_windows: list[str]) -> CellView:
        return CellView(
            id=cell.id,
            index=cell.index,
            label=cell.spec.label,
            workload=cell.spec.workload,
            mode=cell.spec.mode,
            device=cell.spec.device,
            device_kind=self._device_kinds.get(cell.id),
            repeats=cell.spec.settings.repeats,
            profile=cell.spec.profile,
            rate_unit=self._rate_units.get(cell.id, "samples/s"),
            runs=tuple(
                RunView(
                    **run.plain(),
                    windows=tuple(run.windows) if run.id in with_windows else (),
                    metrics=tuple(run.metrics.values()),
                )
                for run in self.runs.values()
                if run.cell_id == cell.id
            ),
        )

    def whole(self, cursor: Cursor) -> dict[str, Any]:
        """The fields of a `snapshot` message; `cursor` is moved to now."""
        self._move(cursor)
        return {"snapshot": self.snapshot().to_json()}

    def change(self, cursor: Cursor) -> dict[str, Any]:
        """The fields of a `change` message with all that `cursor` has not seen; it is moved to now."""
        self._elapse()
        body: dict[str, Any] = {
            "experiment": self._head(),
            "runs": [self._changed(run, cursor) for run in self.runs.values() if run.changed > cursor.revision],
            "lines": [asdict(line) for line in _newer(self._lines, cursor.line)],
        }
        if self._kinds_changed > cursor.revision:
            body["device_kinds"] = self._device_kinds
        self._move(cursor)
        return body

    def _changed(self, run: LiveRun, cursor: Cursor) -> dict[str, Any]:
        return {
            **run.plain(),
            "windows": [asdict(window) for window in _newer(run.windows, cursor.window)],
            "metrics": [asdict(metric) for metric in run.metrics.values()],
        }

    def _move(self, cursor: Cursor) -> None:
        cursor.revision, cursor.window, cursor.line = self.revision, self._window_number, self._line_number


def _newer(numbered: deque[T], seen: int) -> list[T]:
    found: list[T] = []
    for item in reversed(numbered):
        if item.number <= seen:
            break
        found.append(item)
    found.reverse()
    return found
