"""From what happens in an experiment to the rows of results.db. Nothing else in this folder makes rows.

Series that the harness itself records, of every run: `throughput` (samples/s by `seconds` since the run began, label
`phase`), `window_s` (the length of the same windows) and `loss` (by `samples`). With several ranks each rank has its
own, under the label `rank`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import harness
from harness.execution.events import Event
from harness.execution.plan import Plan, PlannedCell, PlannedRun
from harness.ids import new_id
from harness.settings import jsonable
from harness.store.records import RunStatus, metric_key
from harness.store.rows import (
    ArtifactRow,
    CeilingRow,
    CellRow,
    CheckpointRow,
    EnvironmentRow,
    EventRow,
    ExperimentRow,
    ExperimentTagRow,
    MetricRow,
    ProcessRow,
    RunRow,
    SeriesRow,
    TelemetryRow,
    utc_now,
)
from harness.store.writer import ResultWriter


def experiment_row(plan: Plan, created_at: str, git: tuple[str, bool] | None) -> ExperimentRow:
    """An experiment at its beginning."""
    return ExperimentRow(
        id=plan.experiment_id,
        command=plan.command,
        created_at=created_at,
        argv=plan.argv,
        interleaved=plan.interleaved,
        data_seed=plan.cells[0].spec.settings.data_seed if plan.cells else 0,
        harness_version=harness.__version__,
        git_commit=git[0] if git else None,
        git_dirty=git[1] if git else None,
        shared=plan.share,
        host=socket.gethostname(),
        face=plan.face,
        plan=plan.to_json(),
        note=plan.note,
    )


def cell_row(plan: Plan, cell: PlannedCell, device_kind: str | None) -> CellRow:
    spec = cell.spec
    return CellRow(
        id=cell.id,
        experiment_id=plan.experiment_id,
        index=cell.index,
        label=spec.label,
        workload=spec.workload,
        workload_version=spec.workload_version,
        mode=spec.mode,
        mode_kind=spec.mode_kind,
        device=spec.device,
        device_kind=device_kind,
        timing_scope=spec.settings.timing_scope,
        params=spec.params,
        params_hash=spec.params_hash,
        protocol=spec.protocol,
        settings=jsonable(spec.settings),
        origins=spec.origins,
        profile=spec.profile,
    )


class Recorder:
    """Puts rows for one experiment. Only the event loop calls it."""

    def __init__(self, writer: ResultWriter, plan: Plan) -> None:
        self._writer = writer
        self._plan = plan
        self._points: dict[tuple[str, str], int] = {}
        self._environments: set[str] = set()

    def begin(
        self, created_at: str, git: tuple[str, bool] | None, device_kinds: Mapping[str, str | None], first_index: int
    ) -> None:
        """The experiment, its cells and its runs, all of them pending. A resumed one only gets its new runs."""
        plan = self._plan
        if plan.resumed:
            self.experiment(status="running", message=None, ended_at=None, exit_code=None)
        else:
            self._writer.put(experiment_row(plan, created_at, git))
            self._writer.put(*(ExperimentTagRow(experiment_id=plan.experiment_id, tag=tag) for tag in plan.tags))
            self._writer.put(*(cell_row(plan, cell, device_kinds.get(cell.spec.device)) for cell in plan.cells))
        for index, run in enumerate(plan.order, start=first_index):
            self.pending(run, index)

    def pending(self, run: PlannedRun, order_index: int) -> None:
        """A run that will happen."""
        self._writer.put(
            RunRow(
                id=run.id,
                cell_id=run.cell_id,
                repeat=run.repeat,
                order_index=order_index,
                seed=self._plan.cell(run.cell_id).spec.settings.seed + run.repeat,
                face=self._plan.face,
                resumed_from=run.resumes,
            )
        )

    def experiment(self, **columns: Any) -> None:
        """New values of the experiment's own columns."""
        self._writer.change("experiment", {"id": self._plan.experiment_id}, **columns)

    def cell(self, cell_id: str, **columns: Any) -> None:
        self._writer.change("cell", {"id": cell_id}, **columns)

    def run(self, run_id: str, **columns: Any) -> None:
        self._writer.change("run", {"id": run_id}, **columns)

    def skipped(self, run_id: str, reason: str, status: RunStatus = "skipped") -> None:
        self.run(run_id, status=status, reason=reason)

    def environment(self, run_id: str, identifier: str, values: Mapping[str, Any]) -> None:
        """The environment of a run."""
        if identifier not in self._environments:
            self._environments.add(identifier)
            self._writer.put(EnvironmentRow(hash=identifier, values=values, first_seen=utc_now()))
        self.run(run_id, environment_hash=identifier)

    def ceilings(self, rows: Iterable[CeilingRow]) -> None:
        """What this machine can do at most."""
        self._writer.put(*rows)

    def process(self, run_id: str, rank: int, pid: int, python: str) -> str:
        """A rank that has started, under a row id of its own."""
        identifier = new_id()
        self._writer.put(
            ProcessRow(id=identifier, run_id=run_id, rank=rank, pid=pid, python=python, started_at=utc_now())
        )
        return identifier

    def process_ended(self, identifier: str, exit_code: int | None, signal: int | None) -> None:
        self._writer.change("process", {"id": identifier}, ended_at=utc_now(), exit_code=exit_code, signal=signal)

    def window(
        self,
        run_id: str,
        *,
        at_s: float,
        phase: str,
        samples: int,
        seconds: float,
        loss: float | None,
        so_far: int,
        labels: Mapping[str, str],
        timed: bool = True,
        rate_unit: str = "samples/s",
    ) -> None:
        """One window of one rank; `so_far` are the samples of the run until its end. Not `timed`: its loss alone."""
        told = {**labels, "phase": phase}
        rate = samples / seconds if seconds > 0 else None
        if timed:
            self.series(run_id, "throughput", "seconds", rate_unit, (at_s,), (rate,), told)
            self.series(run_id, "window_s", "seconds", "s", (at_s,), (seconds,), told)
        if loss is not None:
            self.series(run_id, "loss", "samples", "", (float(so_far),), (loss,), labels)

    def series(
        self,
        run_id: str,
        name: str,
        axis: str,
        unit: str,
        x: Sequence[float],
        y: Sequence[float | None],
        labels: Mapping[str, str],
    ) -> None:
        """Points behind those that the series has already."""
        key = (run_id, metric_key(name, labels))
        start = self._points.get(key, 0)
        self._points[key] = start + len(x)
        self._writer.put(
            SeriesRow(
                run_id=run_id, name=name, axis=axis, unit=unit, x=tuple(x), y=tuple(y), labels=labels, start_index=start
            )
        )

    def metric(self, row: MetricRow) -> None:
        self._writer.put(row)

    def telemetry(self, run_id: str, t_s: float, source: str, values: Mapping[str, float | None]) -> None:
        self._writer.put(TelemetryRow(run_id=run_id, t_s=round(t_s, 3), source=source, values=values))

    def artifact(self, row: ArtifactRow) -> None:
        self._writer.put(row)

    def checkpoint(self, run_id: str, event: Event) -> None:
        self._writer.put(
            CheckpointRow(
                run_id=run_id,
                path=event["path"],
                created_at=utc_now(),
                step=event.step,
                samples=event.samples,
                epoch=event.epoch,
            )
        )

    def event(
        self,
        kind: str,
        text: str,
        *,
        run_id: str | None = None,
        t_s: float | None = None,
        level: str = "info",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """Something that happened, for people who ask later."""
        self._writer.put(
            EventRow(
                experiment_id=self._plan.experiment_id,
                run_id=run_id,
                t_s=t_s,
                wall=utc_now(),
                level=level,
                kind=kind,
                text=text,
                body=body or {},
            )
        )
