"""One run while it happens: its events become windows, metrics, phases and rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.api import MetricSpec
from harness.execution.eta import Estimator, Progress
from harness.execution.events import Event
from harness.execution.plan import PlannedCell, PlannedRun
from harness.execution.record import Recorder
from harness.execution.snapshot import MetricView
from harness.execution.summary import RunTally, is_rate, is_timing, metric_of_event
from harness.execution.view import LiveView
from harness.execution.watch import Meters
from harness.store.rows import ArtifactRow, MetricRow, utc_now

_LEVELS: Mapping[str, Literal["info", "warning", "error"]] = {
    "info": "info", "warning": "warning", "error": "error",
}  # fmt: skip


@dataclass(slots=True)
class _Phase:
    name: str
    begun: float


class RunInProgress:
    """Hears the events of one run. `meters` is None where the machine is not watched.

    `beside`: how many other runs may go on at the same time. Then no time of it is a measurement, and none is kept.
    """

    def __init__(
        self,
        run: PlannedRun,
        cell: PlannedCell,
        *,
        view: LiveView,
        recorder: Recorder,
        meters: Meters | None,
        declared: Mapping[str, MetricSpec],
        log_path: Path,
        beside: int = 0,
    ) -> None:
        self.run, self.cell, self.beside = run, cell, beside
        self.tally = RunTally.of(cell.spec.settings.ranks)
        self.error: Mapping[str, Any] | None = None
        self.over = [False] * cell.spec.settings.ranks  # which ranks are through with this cell
        self.started = time.monotonic()
        self.measured_at: float | None = None  # when the measure phase ended, monotonic
        self.evaluated_at: float | None = None  # when an evaluation behind it ended
        self.outermost_s: dict[str, float] = {}
        self.artifacts: list[ArtifactRow] = []
        self.meters, self.engine = meters, dict[str, Any]()
        self.view, self.recorder, self.declared = view, recorder, declared
        self._phases: list[_Phase] = []
        self._progress: Progress | None = None
        self._measure_step = 0
        self._told_progress = False
        self._samples = [0] * cell.spec.settings.ranks
        self._windows: dict[tuple[str, int], list[Event]] = {}
        self._data: dict[str, Any] = {}
        started_at = utc_now()
        recorder.run(run.id, status="running", started_at=started_at, log_path=str(log_path))
        view.update(run.id, status="running", started_at=started_at, started=self.started)

    @property
    def phase(self) -> str | None:
        """The phase of rank 0, the innermost one."""
        return self._phases[-1].name if self._phases else None

    def hear(self, rank: int, event: Event) -> None:
        """One event of this run."""
        if rank == 0:
            self.view.update(self.run.id, step=event.step, epoch=event.epoch)
        self._samples[rank] = event.samples
        self.view.update(self.run.id, samples=sum(self._samples))
        handler = getattr(self, f"_hear_{event.type}", None)
        if handler is not None:
            handler(rank, event)

    def complete(self, stopped_at: float | None) -> bool:
        """Whether it did all its work, although it was asked at `stopped_at` (monotonic) to stop."""
        if stopped_at is None:
            return True
        return self.measured_at is not None and self.measured_at < stopped_at and self.evaluated_at is not None

    def eta_s(self, estimator: Estimator, now: float) -> float | None:
        """Seconds until its end; None until known."""
        outer = self._phases[0] if self._phases else None
        left = self._progress.left_s(now) if self._progress is not None and len(self._phases) == 1 else None
        return estimator.run_left_s(
            self.cell.id, outer.name if outer else None, now - self.started, now - outer.begun if outer else 0.0, left
        )

    def record(self, row: MetricRow) -> None:
        """A metric, for the database and the faces."""
        if self.beside and is_timing(row):
            row = replace(row, value=None)
        self.recorder.metric(row)
        self.view.metric(
            self.run.id,
            MetricView(
                name=row.name,
                value=row.value,
                unit=row.unit,
                better=row.better,
                role=row.role,
                phase=row.phase,
                labels=row.labels,
            ),
        )

    def say(self, kind: str, level: Literal["info", "warning", "error"], text: str) -> None:
        """A line of this run, now and later."""
        self.view.line(level, text, self.run.id)
        t_s = time.monotonic() - self.started
        self.recorder.event(kind, text, run_id=self.run.id, t_s=t_s, level=level)

    def _hear_phase(self, rank: int, event: Event) -> None:
        name, begins = event["name"], event["state"] == "begin"
        if not begins:
            self.tally.ranks[rank].phase_ended(event)
        if rank != 0:
            return
        measured = self._on_the_clock()
        if begins:
            self._phases.append(_Phase(name, time.monotonic()))
            self._progress, self._told_progress = None, False
            if name == "measure":
                self._measure_step = event.step
        else:
            while self._phases and self._phases.pop().name != name:
                pass
            self._phase_over(name, event)
        if self.meters is not None and self._on_the_clock() != measured:
            (self.meters.end if measured else self.meters.begin)()
        self.view.update(
            self.run.id, phase=self.phase, progress_done=None, progress_total=None, progress_unit="", eta_s=None
        )
        t_s = event.t - self.started
        body = {key: value for key, value in event.body.items() if key not in ("name", "state")}
        self.recorder.event("phase", f"{name} {event['state']}", run_id=self.run.id, t_s=t_s, body=body)

    def _on_the_clock(self) -> bool:
        """Whether a measured segment is open: evaluations inside the measure phase stop the clock, unless the timing
        scope is the whole."""
        if self.cell.spec.settings.timing_scope == "end_to_end":
            return any(phase.name == "measure" for phase in self._phases)
        return self.phase == "measure"

    def _phase_over(self, name: str, event: Event) -> None:
        seconds = event.get("seconds")
        if not self._phases and isinstance(seconds, int | float):
            self.outermost_s[name] = self.outermost_s.get(name, 0.0) + seconds
        if name == "measure":
            self.measured_at = time.monotonic()
        elif name == "evaluate" and self.measured_at is not None:
            self.evaluated_at = time.monotonic()

    def _hear_window(self, rank: int, event: Event) -> None:
        self.tally.ranks[rank].window(event)
        ranks = len(self.tally.ranks)
        self.recorder.window(
            self.run.id,
            at_s=event.t - self.started,
            phase=event["phase"],
            samples=event["window_samples"],
            seconds=event["seconds"],
            loss=_float(event.get("loss")),
            so_far=_total(event),
            labels={"rank": str(rank)} if ranks > 1 else {},
            rate_unit=self.declared["throughput"].unit,
            timed=not self.beside,
        )
        if self.beside:
            self._infer_progress(event)
            return
        parts = self._windows.setdefault((event["phase"], event["index"]), [])
        parts.append(event)
        if len(parts) < ranks:
            return
        del self._windows[event["phase"], event["index"]]
        self.view.window(
            self.run.id,
            event["phase"],
            event["index"],
            max(part.t for part in parts) - self.started,
            sum(part["window_samples"] for part in parts),
            max(part["seconds"] for part in parts),
            next((loss for part in parts if (loss := _float(part.get("loss"))) is not None), None),
            sum(_total(part) for part in parts),
        )
        self.view.update(self.run.id, throughput=self.tally.throughput_so_far())
        self._infer_progress(event)

    def _infer_progress(self, event: Event) -> None:
        """How far the measure phase is by the nearest of its stop conditions; a pass also ends with its work."""
        if self._told_progress or event["phase"] != "measure" or self.phase != "measure":
            return
        settings = self.cell.spec.settings
        all_samples = None
        if self.cell.spec.mode_kind == "pass" and event.epoch > 0:
            all_samples = round(event.samples / event.epoch)
        conditions = (
            (float(event.samples), all_samples, self.declared["throughput"].unit.removesuffix("/s")),
            (self.tally.ranks[0].window_seconds, settings.seconds, "s"),
            (float(event.step - self._measure_step), settings.steps, "steps"),
            (float(event.samples), settings.samples, "samples"),
            (event.epoch, settings.epochs, "epochs"),
        )
        known = [(done, float(total), unit) for done, total, unit in conditions if total]
        if known and settings.target is None:
            done, total, unit = max(known, key=lambda condition: condition[0] / condition[1])
            self._advance(done, total, unit, None)

    def _hear_progress(self, rank: int, event: Event) -> None:
        if rank != 0:
            return
        total = _float(event.get("total"))
        self._told_progress = self._told_progress or total is not None
        if total is not None:
            self._advance(float(event["done"]), total, event["unit"], _float(event.get("eta")))

    def _advance(self, done: float, total: float, unit: str, told_s: float | None) -> None:
        now = time.monotonic()
        if self._progress is None:
            self._progress = Progress(begun=now, first_done=done, done=done, total=total, at=now)
        progress = self._progress
        progress.done, progress.total, progress.at, progress.told_s = done, total, now, told_s
        self.view.update(self.run.id, progress_done=done, progress_total=total, progress_unit=unit)

    def _hear_metric(self, rank: int, event: Event) -> None:
        if rank == 0 or event["name"] == "memory_peak_bytes":
            self.record(metric_of_event(self.run.id, event, {"rank": str(rank)} if rank else {}))

    def _hear_series(self, rank: int, event: Event) -> None:
        x, y = event["x"], event["y"]
        if self.beside and is_rate(str(event.get("unit") or "")):
            return
        if rank != 0 or len(x) != len(y) or not all(isinstance(place, int | float) for place in x):
            return
        labels = event.get("labels")
        self.recorder.series(
            self.run.id,
            event["name"],
            event["axis"],
            str(event.get("unit") or ""),
            x,
            [_float(value) for value in y],
            {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {},
        )

    def _hear_data(self, rank: int, event: Event) -> None:
        if rank == 0:
            self._data.update(event.body)
            self.recorder.cell(self.cell.id, data=dict(self._data))

    def _hear_engine(self, rank: int, event: Event) -> None:
        if rank != 0:
            return
        self.engine.update(event["values"])
        if isinstance(self.engine.get("work"), Mapping):
            self.tally.work = self.engine["work"]
        self.recorder.cell(self.cell.id, engine=dict(self.engine))

    def _hear_log(self, rank: int, event: Event) -> None:
        level = _LEVELS.get(event["level"], "info")
        self.say("log", level, event["text"] if rank == 0 else f"rank {rank}: {event['text']}")

    def _hear_artifact(self, rank: int, event: Event) -> None:
        size = event.get("bytes")
        row = ArtifactRow(
            run_id=self.run.id,
            kind=event["kind"],
            path=event["path"],
            sha256=event.get("sha256"),
            bytes=size if isinstance(size, int) else None,
        )
        self.artifacts.append(row)
        self.recorder.artifact(row)

    def _hear_checkpoint(self, rank: int, event: Event) -> None:
        if rank == 0:
            self.recorder.checkpoint(self.run.id, event)

    def _hear_error(self, rank: int, event: Event) -> None:
        if self.error is None:
            self.error = dict(event.body)
            t_s = event.t - self.started
            self.recorder.event(
                "error", event["message"], run_id=self.run.id, t_s=t_s, level="error", body=dict(event.body)
            )

    def _hear_cell(self, rank: int, event: Event) -> None:
        if event["state"] in ("end", "failed"):
            self.over[rank] = True


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _total(window: Event) -> int:
    """Samples of the rank at the window's end: an asynchronous device tells of a window when more were asked for."""
    told = window.get("total")
    return told if isinstance(told, int) else window.samples
