"""Every run of a database in any order, for a list that is scrolled: first the ids, then a page at a time.

    with Browser(Path("results.db")) as browser:
        ids = browser.identifiers(query("device:cuda status:ok card"), Order("throughput", descending=True))
        page = browser.page(ids[:100], metrics=("throughput", "auc"))

The ids of a hundred thousand runs take a tenth of a second and a few megabytes; a page by id is a look-up, wherever
in the list it lies, and the list does not move under the reader while runs are added. A Browser belongs to the thread
that opened it, except for `interrupt`.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from harness.errors import UsageError, did_you_mean
from harness.store.database import connect_reader, explained
from harness.store.listing import SHOWN_METRICS, Filters, _metrics, _portions, _run_conditions, _tags, day
from harness.store.migrations import readable
from harness.store.records import RunSummary

BUSY_TIMEOUT_S = 2.0  # a screen says that the database is locked; a command may wait longer

_COLUMNS: Mapping[str, str] = {
    "date": "ifnull(run.started_at, experiment.created_at)",
    "run": "run.id",
    "experiment": "experiment.id",
    "workload": "cell.workload",
    "mode": "cell.mode",
    "device": "cell.device",
    "label": "ifnull(nullif(cell.label, ''), cell.profile)",
    "profile": "cell.profile",
    "repeat": "run.repeat",
    "status": "run.status",
    "contended": "run.contended",
    "wall": "run.wall_s",
    "host": "experiment.host",
    "note": "experiment.note",
    "tags": "(SELECT min(tag) FROM experiment_tag WHERE experiment_id = experiment.id)",
}
# A name measured in several phases: the measure phase speaks for the run, as in every list.
_METRIC = """
    (SELECT value FROM metric WHERE run_id = run.id AND name = ? AND labels = '{}'
     ORDER BY phase = 'measure' DESC LIMIT 1)
"""
_NEWEST_FIRST = "experiment.created_at DESC, experiment.id DESC, run.order_index DESC, run.id"
_PLAIN = tuple(item.name for item in fields(RunSummary) if item.name not in ("tags", "metrics"))
_DATES = ("since", "until")
_BOOLEANS = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class Order:
    """By which column, one of the list's or a metric's name. Runs without a value stand last either way."""

    column: str = "date"
    descending: bool = True


KEYS = tuple(item.name for item in fields(Filters) if item.name not in ("text", "experiment", "cell"))


def query(text: str) -> tuple[Filters, ...]:
    """What a person types into a filter, all of which must hold: `KEY:VALUE`, and words to look for anywhere.

    `device:cuda status:ok since:7d nightly "fast card"`. A key whose value is not typed yet does not filter, and an
    open quotation mark counts as closed. UsageError for an unknown key, or a value that is none.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.replace('"', " ").replace("'", " ").split()
    keyed = Filters()
    found = []
    for word in words:
        key, colon, value = word.partition(":")
        if not colon or not key.isalpha() or value.isdecimal():  # cuda:0 is a device
            found.append(Filters(text=word))
        elif key not in KEYS:
            raise UsageError(f"{key!r} is nothing to filter by", hint=did_you_mean(key, KEYS))
        elif value:
            keyed = replace(keyed, **{key: _value(key, value)})  # type: ignore[arg-type]
    return (*((keyed,) if keyed != Filters() else ()), *found)


class Browser:
    """A results database, open for scrolling. Raises StoreError as `Store` does."""

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        readable(path, busy_timeout_s=busy_timeout_s)
        with explained(path):
            self._connection = connect_reader(path, busy_timeout_s=busy_timeout_s)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def interrupt(self) -> None:
        """Ends a query that another thread is waiting for; there it raises StoreError."""
        self._connection.interrupt()

    def identifiers(self, filters: Sequence[Filters] = (), order: Order = Order()) -> tuple[str, ...]:
        """The ids of all runs that pass every filter, in order."""
        where, values = _all_of(filters)
        direction = "DESC" if order.descending else "ASC"
        column = _COLUMNS.get(order.column)
        by, more = (column, []) if column is not None else (_METRIC, [order.column])
        ordering = f"{by} {direction} NULLS LAST, {_NEWEST_FIRST}"
        if order == Order():
            ordering = _NEWEST_FIRST
        with explained(self.path):
            found = self._connection.execute(
                f"""
                SELECT run.id FROM experiment
                CROSS JOIN cell INDEXED BY cell_by_experiment ON cell.experiment_id = experiment.id
                CROSS JOIN run ON run.cell_id = cell.id
                {where} ORDER BY {ordering}
                """,
                (*values, *more),
            ).fetchall()
        return tuple(identifier for (identifier,) in found)

    def page(self, identifiers: Sequence[str], metrics: Sequence[str] = SHOWN_METRICS) -> dict[str, RunSummary]:
        """These runs by id; one that was deleted meanwhile is not among them."""
        rows: list[tuple[object, ...]] = []
        with explained(self.path):
            for some, marks in _portions(identifiers):
                rows += self._connection.execute(
                    f"""
                    SELECT run.id, cell.id, experiment.id, experiment.created_at, experiment.command, cell.workload,
                        cell.mode, cell.label, cell.device, cell.device_kind, cell.timing_scope, cell.profile,
                        cell.params_hash, run.repeat, run.order_index, run.status, run.reason, run.started_at,
                        run.wall_s, run.contended, run.contention_reason, experiment.host, experiment.note
                    FROM run JOIN cell ON cell.id = run.cell_id JOIN experiment ON experiment.id = cell.experiment_id
                    WHERE run.id IN ({marks})
                    """,
                    tuple(some),
                ).fetchall()
            return self._summaries(rows, metrics)

    def metric_names(self, identifiers: Sequence[str]) -> tuple[str, ...]:
        """The names of metrics that these runs have values of, the commonest first."""
        counts: dict[str, int] = {}
        with explained(self.path):
            for some, marks in _portions(identifiers):
                for name, count in self._connection.execute(
                    f"""
                    SELECT name, count(*) FROM metric
                    WHERE run_id IN ({marks}) AND labels = '{{}}' AND value IS NOT NULL GROUP BY name
                    """,
                    tuple(some),
                ):
                    counts[name] = counts.get(name, 0) + count
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))

    def _summaries(self, rows: Sequence[Sequence[object]], metrics: Sequence[str]) -> dict[str, RunSummary]:
        connection: sqlite3.Connection = self._connection
        tags = _tags(connection, {str(row[2]) for row in rows})
        measured = _metrics(connection, [str(row[0]) for row in rows], metrics) if metrics else {}
        found = {}
        for row in rows:
            values = dict(zip(_PLAIN, row, strict=True))
            values["contended"] = None if values["contended"] is None else bool(values["contended"])
            identifier, experiment = str(row[0]), str(row[2])
            values |= {"tags": tags.get(experiment, ()), "metrics": measured.get(identifier, {})}
            found[identifier] = RunSummary(**values)  # type: ignore[arg-type]
        return found


def _all_of(filters: Sequence[Filters]) -> tuple[str, list[object]]:
    """One WHERE of several."""
    parts: list[str] = []
    values: list[object] = []
    for one in filters:
        where, own = _run_conditions(one)
        if where:
            parts.append(f"({where.removeprefix('WHERE ')})")
            values += own
    return ("WHERE " + " AND ".join(parts) if parts else ""), values


def _value(key: str, value: str) -> str | bool:
    if key in _DATES:
        return day(value, end=key == "until")
    if key == "contended":
        if value not in _BOOLEANS:
            raise UsageError(f"contended:{value} is neither contended:yes nor contended:no")
        return _BOOLEANS[value]
    return value
