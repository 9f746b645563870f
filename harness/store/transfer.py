"""Copies experiments from one results database to another: what `bench export` and `bench import` do.

Merging is idempotent. An experiment that has ended in the target is only completed there with rows that are missing;
one that had not ended is brought up to date, unless the source has not seen its end either and knows less. Tags are
united, a note in the target is kept, environments come along, ids stay. Files (artifacts, logs) are not copied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from harness.errors import UsageError
from harness.store.database import attach_uri, connect, explained, transaction
from harness.store.encode import quoted, upsert_statement
from harness.store.migrations import prepare, readable

# table -> the condition that picks an experiment's rows in the source; parents first.
_OF_EXPERIMENT = {
    "environment": """hash IN (
        SELECT environment_hash FROM source.run WHERE cell_id IN (SELECT id FROM source.cell WHERE experiment_id = :id)
        UNION SELECT environment_hash FROM source.process WHERE run_id IN (
            SELECT run.id FROM source.run JOIN source.cell ON cell.id = run.cell_id WHERE experiment_id = :id)
    )""",
    "experiment": "id = :id",
    "cell": "experiment_id = :id",
    "run": "cell_id IN (SELECT id FROM source.cell WHERE experiment_id = :id)",
    **dict.fromkeys(
        ("process", "metric", "telemetry", "artifact", "checkpoint"),
        """run_id IN (
            SELECT run.id FROM source.run JOIN source.cell ON cell.id = run.cell_id WHERE experiment_id = :id)""",
    ),
}


def copy_experiments(source: Path, target: Path, ids: Iterable[str]) -> int:
    """Copies experiments by their full ids, all or none; how many were new to the target or brought something new.

    The target is made where it is not there. Raises UsageError for an id that the source does not have, StoreError
    for a database that cannot be used.
    """
    wanted = list(dict.fromkeys(ids))
    readable(source)
    if target.exists() and source.resolve().samefile(target.resolve()):
        raise UsageError(f"{source} and {target} are the same database", hint="name another file to copy to")
    with explained(source), closing(_source_reader(source)) as connection:
        known = {row[0] for row in connection.execute("SELECT id FROM experiment")}
    for identifier in wanted:
        if identifier not in known:
            raise UsageError(f"{source} has no experiment {identifier!r}", hint="`bench list` shows what is there")
    prepare(target)
    with explained(target, "written"), closing(connect(target)) as connection:
        connection.execute("ATTACH ? AS source", (attach_uri(source),))
        with transaction(connection):
            return sum(_copy(connection, identifier) for identifier in wanted)


def _source_reader(source: Path) -> sqlite3.Connection:
    return sqlite3.connect(attach_uri(source), uri=True)


def _copy(connection: sqlite3.Connection, identifier: str) -> bool:
    """Whether the target learnt anything."""
    before = connection.total_changes
    update = not _has_ended(connection, "main", identifier) and _has_ended(connection, "source", identifier)
    note = connection.execute("SELECT note FROM main.experiment WHERE id = ?", (identifier,)).fetchone()
    for table, condition in _OF_EXPERIMENT.items():
        _copy_rows(connection, table, condition, identifier, update=update and table != "environment")
    if update and note is not None and note[0] is not None:
        connection.execute("UPDATE main.experiment SET note = ? WHERE id = ?", (note[0], identifier))
    connection.execute(
        """
        INSERT OR IGNORE INTO main.experiment_tag (experiment_id, tag)
        SELECT experiment_id, tag FROM source.experiment_tag WHERE experiment_id = ?
        """,
        (identifier,),
    )
    _copy_series(connection, identifier)
    _copy_events(connection, identifier)
    return connection.total_changes > before


def _has_ended(connection: sqlite3.Connection, schema: str, identifier: str) -> bool:
    row = connection.execute(f"SELECT status FROM {schema}.experiment WHERE id = ?", (identifier,)).fetchone()
    return row is not None and row[0] != "running"


def _copy_rows(connection: sqlite3.Connection, table: str, condition: str, identifier: str, *, update: bool) -> None:
    facts = connection.execute(f"PRAGMA main.table_info({quoted(table)})").fetchall()
    columns = tuple(fact[1] for fact in facts)
    key = tuple(fact[1] for fact in facts if fact[5])
    names = ", ".join(map(quoted, columns))
    selection = f"SELECT {names} FROM source.{quoted(table)} WHERE {condition}"
    conflict = upsert_statement(table, columns, key).partition(" ON CONFLICT ")[2] if update else ""
    connection.execute(
        f"INSERT {'' if update else 'OR IGNORE '}INTO main.{quoted(table)} ({names}) {selection}"
        + (f" ON CONFLICT {conflict}" if update else ""),
        {"id": identifier},
    )


def _copy_series(connection: sqlite3.Connection, identifier: str) -> None:
    """A series has another number in each database; run, name and labels are what it is known by."""
    mine = """
        FROM source.series AS theirs
        JOIN source.run ON run.id = theirs.run_id
        JOIN source.cell ON cell.id = run.cell_id AND cell.experiment_id = :id
    """
    connection.execute(
        f"""
        INSERT OR IGNORE INTO main.series (run_id, name, labels, axis, unit)
        SELECT theirs.run_id, theirs.name, theirs.labels, theirs.axis, theirs.unit {mine}
        """,
        {"id": identifier},
    )
    connection.execute(
        f"""
        INSERT OR IGNORE INTO main.point (series_id, "index", x, y)
        SELECT ours.id, point."index", point.x, point.y {mine}
        JOIN main.series AS ours
            ON ours.run_id = theirs.run_id AND ours.name = theirs.name AND ours.labels = theirs.labels
        JOIN source.point ON point.series_id = theirs.id
        """,
        {"id": identifier},
    )


def _copy_events(connection: sqlite3.Connection, identifier: str) -> None:
    """An event has no key: it is the same where all of it is the same."""
    connection.execute(
        """
        INSERT INTO main.event (experiment_id, run_id, t_s, wall, level, kind, text, body)
        SELECT experiment_id, run_id, t_s, wall, level, kind, text, body FROM source.event AS theirs
        WHERE experiment_id = :id AND NOT EXISTS (
            SELECT 1 FROM main.event AS ours
            WHERE ours.experiment_id = theirs.experiment_id AND ours.t_s IS theirs.t_s AND ours.wall = theirs.wall
              AND ours.run_id IS theirs.run_id AND ours.level = theirs.level AND ours.kind = theirs.kind
              AND ours.text = theirs.text AND ours.body = theirs.body
        )
        ORDER BY id
        """,
        {"id": identifier},
    )
