"""Reads results.db for comparison, reports, lists and the dashboard, with the standard library's sqlite3 only.

    with Store(Path("results.db")) as store:
        kind, identifier = store.resolve("@latest")
        experiment = store.experiment(identifier)

A Store belongs to the thread that opened it; opening one takes about a millisecond.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import UsageError
from harness.store import listing, resolve
from harness.store.database import BUSY_TIMEOUT_S, connect_reader, explained
from harness.store.encode import quoted, table_of
from harness.store.listing import SHOWN_METRICS, Filters, metric_of
from harness.store.migrations import readable
from harness.store.records import (
    CellRecord,
    ExperimentRecord,
    ExperimentSummary,
    MetricRecord,
    RunRecord,
    RunSummary,
    SeriesRecord,
)
from harness.store.resolve import THINGS, Thing, locate
from harness.store.rows import (
    ArtifactRow,
    CeilingRow,
    CellRow,
    CheckpointRow,
    DriftRow,
    EnvironmentRow,
    EventRow,
    ExperimentRow,
    ProcessRow,
    RunRow,
    TelemetryRow,
)

__all__ = ["Filters", "Store", "locate"]

_PLAIN_FIRST = "labels <> '{}', labels"

R = TypeVar(
    "R",
    ArtifactRow,
    CeilingRow,
    CellRow,
    CheckpointRow,
    DriftRow,
    EnvironmentRow,
    EventRow,
    ExperimentRow,
    ProcessRow,
    RunRow,
    TelemetryRow,
)


class Store:
    """A results database, open for reading.

    Opening raises StoreError for a file that is missing, empty, damaged, locked, newer or no results database.
    Queries for an id that is not there raise UsageError; `resolve` makes ids of what people type.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        readable(path, busy_timeout_s=busy_timeout_s)
        with explained(path):
            self._connection = connect_reader(path, busy_timeout_s=busy_timeout_s)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def resolve(self, text: str, kinds: Sequence[Thing] = THINGS) -> tuple[Thing, str]:
        """(kind, full id) of an id, the beginning of one (three characters), `@latest`, `@latest~1` or a tag."""
        with self._reading() as connection:
            return resolve.resolve(connection, text, kinds)

    def experiment(self, identifier: str) -> ExperimentRecord:
        """An experiment with its cells, their runs, metrics and environments."""
        with self._reading():
            rows = self._rows(ExperimentRow, "id = ?", identifier)
            if not rows:
                raise self._unknown("experiment", identifier)
            return self._experiment_record(rows[0])

    def cell(self, identifier: str) -> CellRecord:
        """A cell with its runs."""
        with self._reading():
            rows = self._rows(CellRow, "id = ?", identifier)
            if not rows:
                raise self._unknown("cell", identifier)
            return self._cell_records(rows)[0]

    def run(self, identifier: str) -> RunRecord:
        """A run with its metrics and its environment."""
        with self._reading():
            rows = self._rows(RunRow, "id = ?", identifier)
            if not rows:
                raise self._unknown("run", identifier)
            return self._run_records(rows, "run.id = ?", identifier)[0]

    def list_runs(
        self,
        filters: Filters = Filters(),
        *,
        limit: int | None = 100,
        offset: int = 0,
        metrics: Sequence[str] = SHOWN_METRICS,
    ) -> tuple[RunSummary, ...]:
        """A page of runs, those of the newest experiment first, and in it the last one first."""
        with self._reading() as connection:
            return listing.list_runs(connection, filters, limit=limit, offset=offset, metrics=metrics)

    def count_runs(self, filters: Filters = Filters()) -> int:
        with self._reading() as connection:
            return listing.count_runs(connection, filters)

    def list_experiments(
        self, filters: Filters = Filters(), *, limit: int | None = 100, offset: int = 0
    ) -> tuple[ExperimentSummary, ...]:
        """A page of experiments, the newest first."""
        with self._reading() as connection:
            return listing.list_experiments(connection, filters, limit=limit, offset=offset)

    def count_experiments(self, filters: Filters = Filters()) -> int:
        with self._reading() as connection:
            return listing.count_experiments(connection, filters)

    def running(self) -> tuple[ExperimentSummary, ...]:
        """Experiments that were not brought to an end here; whether their orchestrator lives, its lock tells."""
        return self.list_experiments(Filters(status="running"), limit=None)

    def series(self, run_id: str, name: str | None = None) -> tuple[SeriesRecord, ...]:
        """A run's series, or those of one name (with different labels)."""
        condition, values = ("", (run_id,)) if name is None else (" AND name = ?", (run_id, name))
        with self._reading() as connection:
            found = connection.execute(
                f"""
                SELECT id, name, axis, unit, labels FROM series WHERE run_id = ?{condition}
                ORDER BY name, {_PLAIN_FIRST}
                """,
                values,
            ).fetchall()
            return tuple(self._series_record(*row) for row in found)

    def telemetry(self, run_id: str) -> tuple[TelemetryRow, ...]:
        return self._list(TelemetryRow, "run_id = ? ORDER BY t_s, source", run_id)

    def events(self, run_id: str) -> tuple[EventRow, ...]:
        """A run's events in the order they were recorded."""
        return self._list(EventRow, "run_id = ? ORDER BY id", run_id)

    def experiment_events(self, experiment_id: str) -> tuple[EventRow, ...]:
        """All events of an experiment, those of its runs among them."""
        return self._list(EventRow, "experiment_id = ? ORDER BY id", experiment_id)

    def artifacts(self, run_id: str) -> tuple[ArtifactRow, ...]:
        return self._list(ArtifactRow, "run_id = ? ORDER BY kind, path", run_id)

    def checkpoints(self, run_id: str) -> tuple[CheckpointRow, ...]:
        """A run's checkpoints, the oldest first."""
        return self._list(CheckpointRow, "run_id = ? ORDER BY created_at, samples, step, path", run_id)

    def processes(self, run_id: str) -> tuple[ProcessRow, ...]:
        return self._list(ProcessRow, "run_id = ? ORDER BY rank, started_at", run_id)

    def plan(self, experiment_id: str) -> Mapping[str, Any]:
        """The plan as `harness.execution.plan.Plan.from_json` reads it."""
        with self._reading():
            rows = self._rows(ExperimentRow, "id = ?", experiment_id)
            if not rows:
                raise self._unknown("experiment", experiment_id)
            return rows[0].plan

    def environment(self, environment_hash: str) -> Mapping[str, Any] | None:
        """The fingerprint of that hash, or None."""
        rows = self._list(EnvironmentRow, "hash = ?", environment_hash)
        return rows[0].values if rows else None

    def ceilings(self, machine: str, device: str, threads: int) -> tuple[CeilingRow, ...]:
        """The newest value of each ceiling, those of an idle machine before those of a busy one."""
        rows = self._list(
            CeilingRow,
            "machine = ? AND device = ? AND threads = ? ORDER BY name, contended IS 1 DESC, measured_at",
            machine, device, threads,
        )  # fmt: skip
        return tuple({row.name: row for row in rows}.values())

    def drift(self, machine: str, device: str, metric: str) -> DriftRow | None:
        """The newest calibration of a metric, or None."""
        rows = self._list(
            DriftRow,
            "machine = ? AND device = ? AND metric = ? ORDER BY measured_at DESC LIMIT 1",
            machine, device, metric,
        )  # fmt: skip
        return rows[0] if rows else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent picture of the database for all queries inside."""
        with explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def _list(self, kind: type[R], condition: str, *values: Any) -> tuple[R, ...]:
        with self._reading():
            return tuple(self._rows(kind, condition, *values))

    def _rows(self, kind: type[R], condition: str, *values: Any) -> list[R]:
        table = table_of(kind)
        columns = ", ".join(map(quoted, table.columns))
        found = self._connection.execute(f"SELECT {columns} FROM {table.name} WHERE {condition}", values)
        return [table.row(row) for row in found]

    def _unknown(self, kind: Thing, identifier: str) -> UsageError:
        return UsageError(f"{self.path} has no {kind} {identifier!r}", hint="`bench list` shows what is there")

    def _experiment_record(self, row: ExperimentRow) -> ExperimentRecord:
        tags = self._connection.execute(
            "SELECT tag FROM experiment_tag WHERE experiment_id = ? ORDER BY tag", (row.id,)
        ).fetchall()
        cells = self._rows(CellRow, 'experiment_id = ? ORDER BY "index"', row.id)
        return ExperimentRecord(
            id=row.id, command=row.command, created_at=row.created_at, status=row.status,  # type: ignore[arg-type]
            interleaved=row.interleaved, argv=row.argv, data_seed=row.data_seed, harness_version=row.harness_version,
            git_commit=row.git_commit, git_dirty=row.git_dirty, shared=row.shared, tags=tuple(tag for (tag,) in tags),
            note=row.note, host=row.host, face=row.face, message=row.message, ended_at=row.ended_at,
            exit_code=row.exit_code, cells=self._cell_records(cells),
        )  # fmt: skip

    def _cell_records(self, cells: Sequence[CellRow]) -> tuple[CellRecord, ...]:
        records = []
        for cell in cells:
            runs = self._rows(RunRow, "cell_id = ? ORDER BY repeat, order_index", cell.id)
            records.append(
                CellRecord(
                    id=cell.id, experiment_id=cell.experiment_id, index=cell.index, label=cell.label,
                    workload=cell.workload, workload_version=cell.workload_version, mode=cell.mode,
                    device=cell.device, device_kind=cell.device_kind, timing_scope=cell.timing_scope,
                    params=cell.params, params_hash=cell.params_hash, protocol=cell.protocol, data=cell.data,
                    engine=cell.engine, profile=cell.profile, mode_kind=cell.mode_kind, settings=cell.settings,
                    origins=cell.origins, runs=self._run_records(runs, "run.cell_id = ?", cell.id),
                )
            )  # fmt: skip
        return tuple(records)

    def _run_records(self, runs: Sequence[RunRow], condition: str, value: str) -> tuple[RunRecord, ...]:
        metrics: dict[str, list[MetricRecord]] = {}
        for row in self._connection.execute(
            f"""
            SELECT run_id, name, value, unit, better, phase, role, metric.kind, labels
            FROM metric JOIN run ON run.id = run_id WHERE {condition} ORDER BY name, {_PLAIN_FIRST}, phase DESC
            """,
            (value,),
        ):
            metrics.setdefault(row[0], []).append(metric_of(row[1:]))
        hashes = {run.environment_hash for run in runs if run.environment_hash is not None}
        environments = {
            name: row.values for name in sorted(hashes) for row in self._rows(EnvironmentRow, "hash = ?", name)
        }
        return tuple(
            RunRecord(
                id=run.id, cell_id=run.cell_id, repeat=run.repeat, order_index=run.order_index, status=run.status,
                seed=run.seed, started_at=run.started_at, ended_at=run.ended_at, wall_s=run.wall_s, reason=run.reason,
                contended=run.contended, contention_reason=run.contention_reason,
                environment_hash=run.environment_hash, environment=environments.get(run.environment_hash or "", {}),
                face=run.face, exit_code=run.exit_code, contention=run.contention, log_path=run.log_path,
                resumed_from=run.resumed_from, metrics=tuple(metrics.get(run.id, ())),
            )
            for run in runs
        )  # fmt: skip

    def _series_record(self, number: int, name: str, axis: str, unit: str, labels: str) -> SeriesRecord:
        points = self._connection.execute(
            'SELECT x, y FROM point WHERE series_id = ? ORDER BY "index"', (number,)
        ).fetchall()
        return SeriesRecord(
            name=name, axis=axis, unit=unit, labels=json.loads(labels),
            x=tuple(x for x, _ in points), y=tuple(y for _, y in points),
        )  # fmt: skip
