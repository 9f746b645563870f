"""Lists of runs and experiments for `bench list` and the dashboard: filtered, newest first, a page at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.errors import UsageError
from harness.store.encode import quoted
from harness.store.records import ExperimentSummary, MetricRecord, RunSummary
from harness.store.rows import utc_text

SHOWN_METRICS = ("throughput", "auc", "log_loss", "hit_ratio", "bandwidth", "latency_p99_s")
_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to list; None does not filter. `device` "cuda" also takes "cuda:1".

    `since` (included) and `until` (not included) are times of day as the database keeps them, see `day`. `text` is
    looked for in labels, notes, tags, profiles, hosts, reasons, command lines and ids, whatever its case.
    """

    workload: str | None = None
    device: str | None = None
    mode: str | None = None
    tag: str | None = None
    since: str | None = None
    until: str | None = None
    status: str | None = None  # of the run, or of the experiment where experiments are listed
    command: str | None = None
    contended: bool | None = None
    experiment: str | None = None  # a full id
    cell: str | None = None  # a full id
    text: str | None = None


def day(text: str, *, end: bool = False, now: datetime | None = None) -> str:
    """A time of day for `Filters` from `2026-11-03`, `2026-11-03T14:00`, `7d`, `12h`, `today` or `yesterday`.

    Dates without a zone are local. `end`: the moment after a whole day that is named, so that `until` includes it.
    """
    moment = (now or datetime.now(UTC)).astimezone()
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": moment, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    try:
        if text in named:
            start, whole_day = named[text], text != "now"
        elif text[-1:] in _AGES and text[:-1].isdecimal():
            start, whole_day = moment - int(text[:-1]) * _AGES[text[-1]], False
        else:
            start, whole_day = datetime.fromisoformat(text), len(text) <= len("2026-11-03")
            if start.tzinfo is None:
                start = start.astimezone()
        return utc_text(start + timedelta(days=1) if end and whole_day else start)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a date like 2026-11-03, 2026-11-03T14:00, today, 7d or 12h") from None


_AGES = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def list_runs(
    connection: sqlite3.Connection, filters: Filters, *, limit: int | None, offset: int, metrics: Sequence[str]
) -> tuple[RunSummary, ...]:
    where, values = run_conditions(filters)
    # CROSS JOIN and INDEXED BY keep SQLite to this order: it walks the experiments by time and stops when the page is
    # full, where it would otherwise collect all runs of a workload and sort them.
    found = connection.execute(
        f"""
        SELECT run.id, cell.id, experiment.id, experiment.created_at, experiment.command, cell.workload, cell.mode,
            cell.label, cell.device, cell.device_kind, cell.timing_scope, cell.profile, cell.params_hash, run.repeat,
            run.order_index, run.status, run.reason, run.started_at, run.wall_s, run.contended, run.contention_reason,
            experiment.host, experiment.note
        FROM experiment
        CROSS JOIN cell INDEXED BY cell_by_experiment ON cell.experiment_id = experiment.id
        CROSS JOIN run ON run.cell_id = cell.id
        {where}
        ORDER BY experiment.created_at DESC, experiment.id DESC, run.order_index DESC, run.id
        LIMIT ? OFFSET ?
        """,
        (*values, -1 if limit is None else limit, offset),
    ).fetchall()
    tags = tags_of(connection, {row[2] for row in found})
    measured = metrics_of(connection, [row[0] for row in found], metrics)
    return tuple(
        RunSummary(
            id=row[0], cell_id=row[1], experiment_id=row[2], created_at=row[3], command=row[4], workload=row[5],
            mode=row[6], label=row[7], device=row[8], device_kind=row[9], timing_scope=row[10], profile=row[11],
            params_hash=row[12], repeat=row[13], order_index=row[14], status=row[15], reason=row[16],
            started_at=row[17], wall_s=row[18], contended=None if row[19] is None else bool(row[19]),
            contention_reason=row[20], host=row[21], tags=tags.get(row[2], ()), note=row[22],
            metrics=measured.get(row[0], {}),
        )
        for row in found
    )  # fmt: skip


def count_runs(connection: sqlite3.Connection, filters: Filters) -> int:
    where, values = run_conditions(filters)
    count: int = connection.execute(
        f"""
        SELECT count(*) FROM experiment
        JOIN cell ON cell.experiment_id = experiment.id
        JOIN run ON run.cell_id = cell.id
        {where}
        """,
        values,
    ).fetchone()[0]
    return count


def list_experiments(
    connection: sqlite3.Connection, filters: Filters, *, limit: int | None, offset: int
) -> tuple[ExperimentSummary, ...]:
    where, values = _experiment_conditions(filters)
    found = connection.execute(
        f"""
        SELECT id, command, created_at, status, argv, interleaved, host, note, message, ended_at FROM experiment
        {where}
        ORDER BY created_at DESC, id DESC
        LIMIT ? OFFSET ?
        """,
        (*values, -1 if limit is None else limit, offset),
    ).fetchall()
    tags = tags_of(connection, {row[0] for row in found})
    inside = _inside(connection, [row[0] for row in found])
    return tuple(
        ExperimentSummary(
            id=row[0], command=row[1], created_at=row[2], status=row[3], argv=tuple(json.loads(row[4])),
            interleaved=bool(row[5]), host=row[6], note=row[7], message=row[8], ended_at=row[9],
            tags=tags.get(row[0], ()), **inside.get(row[0], {}),
        )
        for row in found
    )  # fmt: skip


def count_experiments(connection: sqlite3.Connection, filters: Filters) -> int:
    where, values = _experiment_conditions(filters)
    count: int = connection.execute(f"SELECT count(*) FROM experiment {where}", values).fetchone()[0]
    return count


class _Conditions:
    """Collects the parts of a WHERE and their values."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(part)
        self.values += values

    def equal(self, **columns: Any) -> None:
        for column, value in columns.items():
            if value is not None:
                self.add(f"{quoted(column)} = ?", value)

    def device(self, device: str | None) -> None:
        if device is not None:
            self.add("(cell.device = ? OR cell.device LIKE ? ESCAPE '\\')", device, _literal(device) + ":%")

    def of_experiment(self, filters: Filters) -> None:
        if filters.since is not None:
            self.add("experiment.created_at >= ?", filters.since)
        if filters.until is not None:
            self.add("experiment.created_at < ?", filters.until)
        if filters.tag is not None:
            self.add("experiment.id IN (SELECT experiment_id FROM experiment_tag WHERE tag = ?)", filters.tag)
        if filters.experiment is not None:
            self.add("experiment.id = ?", filters.experiment)
        self.equal(command=filters.command)

    def text(self) -> tuple[str, list[Any]]:
        return ("WHERE " + " AND ".join(self.parts) if self.parts else ""), self.values


_TEXT_OF_EXPERIMENT = (
    "experiment.id", "experiment.note", "experiment.host", "experiment.argv",
    "(SELECT group_concat(tag, ' ') FROM experiment_tag WHERE experiment_id = experiment.id)",
)  # fmt: skip
_TEXT_OF_CELL = ("cell.id", "cell.label", "cell.workload", "cell.device", "cell.profile")
_TEXT_OF_RUN = ("run.id", "run.reason")


def run_conditions(filters: Filters) -> tuple[str, list[Any]]:
    """A WHERE for experiment, cell and run, empty where nothing is filtered, and its values."""
    conditions = _Conditions()
    conditions.of_experiment(filters)
    conditions.device(filters.device)
    conditions.equal(workload=filters.workload, mode=filters.mode, cell_id=filters.cell, contended=filters.contended)
    if filters.status is not None:
        conditions.add("run.status = ?", filters.status)
    if filters.text:
        columns = (*_TEXT_OF_EXPERIMENT, *_TEXT_OF_CELL, *_TEXT_OF_RUN)
        conditions.add(_like(columns), *[f"%{_literal(filters.text)}%"] * len(columns))
    return conditions.text()


def _experiment_conditions(filters: Filters) -> tuple[str, list[Any]]:
    conditions = _Conditions()
    conditions.of_experiment(filters)
    conditions.equal(status=filters.status)
    cells = _Conditions()
    cells.device(filters.device)
    cells.equal(workload=filters.workload, mode=filters.mode)
    if filters.cell is not None:
        cells.add("cell.id = ?", filters.cell)
    if filters.contended is not None:
        cells.add("EXISTS (SELECT 1 FROM run WHERE run.cell_id = cell.id AND contended = ?)", filters.contended)
    if cells.parts:
        inside = " AND ".join(cells.parts)
        conditions.add(f"experiment.id IN (SELECT experiment_id FROM cell WHERE {inside})", *cells.values)
    if filters.text:
        pattern = f"%{_literal(filters.text)}%"
        of_cells = f"EXISTS (SELECT 1 FROM cell WHERE experiment_id = experiment.id AND {_like(_TEXT_OF_CELL)})"
        conditions.add(
            f"({_like(_TEXT_OF_EXPERIMENT)} OR {of_cells})",
            *[pattern] * (len(_TEXT_OF_EXPERIMENT) + len(_TEXT_OF_CELL)),
        )
    return conditions.text()


def _like(columns: Sequence[str]) -> str:
    return "(" + " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in columns) + ")"


def _literal(text: str) -> str:
    """The text for LIKE with ESCAPE '\\'."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def tags_of(connection: sqlite3.Connection, experiments: set[str]) -> dict[str, tuple[str, ...]]:
    """The tags of each experiment that has any."""
    found: dict[str, list[str]] = {}
    for some, marks in portions(sorted(experiments)):
        for experiment, tag in connection.execute(
            f"SELECT experiment_id, tag FROM experiment_tag WHERE experiment_id IN ({marks}) ORDER BY tag", some
        ):
            found.setdefault(experiment, []).append(tag)
    return {experiment: tuple(tags) for experiment, tags in found.items()}


def metrics_of(
    connection: sqlite3.Connection, runs: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, MetricRecord]]:
    """The metrics of these names that each run has, by key."""
    found: dict[str, dict[str, MetricRecord]] = {}
    wanted = ", ".join("?" * len(names))
    for some, marks in portions(runs):
        for row in connection.execute(
            f"""
            SELECT run_id, name, value, unit, better, phase, role, kind, labels FROM metric
            WHERE run_id IN ({marks}) AND name IN ({wanted})
            """,
            (*some, *names),
        ):
            metric = metric_of(row[1:])
            of_run = found.setdefault(row[0], {})
            # A name measured in several phases: the measure phase speaks for the run.
            if metric.key not in of_run or metric.phase == "measure":
                of_run[metric.key] = metric
    return found


def metric_of(row: Sequence[Any]) -> MetricRecord:
    """From name, value, unit, better, phase, role, kind, labels."""
    return MetricRecord(
        name=row[0], value=row[1], unit=row[2], better=row[3], phase=row[4], role=row[5], kind=row[6],
        labels=json.loads(row[7]),
    )  # fmt: skip


def _inside(connection: sqlite3.Connection, experiments: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for some, marks in portions(experiments):
        for row in connection.execute(
            f"""
            SELECT experiment_id, json_group_array(DISTINCT workload), json_group_array(DISTINCT device),
                count(DISTINCT cell.id), count(run.id), ifnull(sum(run.status = 'ok'), 0),
                ifnull(sum(run.contended), 0)
            FROM cell LEFT JOIN run ON run.cell_id = cell.id
            WHERE experiment_id IN ({marks})
            GROUP BY experiment_id
            """,
            some,
        ):
            found[row[0]] = {
                "workloads": tuple(sorted(json.loads(row[1]))), "devices": tuple(sorted(json.loads(row[2]))),
                "cells": row[3], "runs": row[4], "runs_ok": row[5], "runs_contended": row[6],
            }  # fmt: skip
    return found


def portions(identifiers: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """SQLite allows so many parameters in one statement; a list may be longer."""
    for start in range(0, len(identifiers), _IN_ONE_QUERY):
        some = identifiers[start : start + _IN_ONE_QUERY]
        yield some, ", ".join("?" * len(some))
