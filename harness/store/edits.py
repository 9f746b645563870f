"""Small changes that a person makes to finished results: tags, a note, a deletion. Each its own short transaction.

Ids are full ids of experiments, as `Store.resolve(text, ("experiment",))` gives them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.ids import short_id
from harness.store.database import connect, explained, transaction
from harness.store.migrations import readable
from harness.store.resolve import check_tag

# Not while something runs: it may have recorded an environment that its runs will refer to in a moment.
_DELETE_UNUSED_ENVIRONMENTS = """
    DELETE FROM environment
    WHERE NOT EXISTS (SELECT 1 FROM run WHERE environment_hash = hash)
      AND NOT EXISTS (SELECT 1 FROM process WHERE environment_hash = hash)
      AND NOT EXISTS (SELECT 1 FROM experiment WHERE status = 'running')
"""


def set_tags(path: Path, experiment_id: str, tags: Iterable[str]) -> None:
    """The experiment has these tags, and no others."""
    wanted = sorted({check_tag(tag) for tag in tags})
    with _editing(path, experiment_id) as connection:
        connection.execute("DELETE FROM experiment_tag WHERE experiment_id = ?", (experiment_id,))
        connection.executemany("INSERT INTO experiment_tag VALUES (?, ?)", [(experiment_id, tag) for tag in wanted])


def add_tag(path: Path, experiment_id: str, tag: str) -> None:
    """Adds a tag; one that is there already stays."""
    check_tag(tag)
    with _editing(path, experiment_id) as connection:
        connection.execute("INSERT OR IGNORE INTO experiment_tag VALUES (?, ?)", (experiment_id, tag))


def remove_tag(path: Path, experiment_id: str, tag: str) -> None:
    """Raises UsageError where the experiment does not have the tag."""
    with _editing(path, experiment_id) as connection:
        done = connection.execute(
            "DELETE FROM experiment_tag WHERE experiment_id = ? AND tag = ?", (experiment_id, tag)
        )
        if done.rowcount == 0:
            tags = connection.execute(
                "SELECT tag FROM experiment_tag WHERE experiment_id = ? ORDER BY tag", (experiment_id,)
            ).fetchall()
            raise UsageError(
                f"experiment {short_id(experiment_id)} has no tag {tag!r}",
                hint="its tags: " + ", ".join(name for (name,) in tags) if tags else "it has no tags",
            )


def set_note(path: Path, experiment_id: str, text: str | None) -> None:
    """The experiment's note; empty text or None removes it."""
    with _editing(path, experiment_id) as connection:
        connection.execute("UPDATE experiment SET note = ? WHERE id = ?", (text or None, experiment_id))


def delete_experiment(path: Path, experiment_id: str, *, force: bool = False) -> tuple[str, ...]:
    """Removes an experiment with all that belongs to it; the paths of the files it knew, which are left alone.

    One that is still running is refused with UsageError; `force` is for one whose orchestrator is known to be dead.
    """
    with _editing(path, experiment_id) as connection:
        status = connection.execute("SELECT status FROM experiment WHERE id = ?", (experiment_id,)).fetchone()[0]
        if status == "running" and not force:
            raise UsageError(
                f"experiment {short_id(experiment_id)} is still running and cannot be deleted", hint="stop it first"
            )
        files = connection.execute(
            """
            WITH mine AS (
                SELECT run.id, run.log_path FROM run JOIN cell ON cell.id = run.cell_id WHERE cell.experiment_id = ?
            )
            SELECT path FROM artifact WHERE run_id IN (SELECT id FROM mine)
            UNION SELECT path FROM checkpoint WHERE run_id IN (SELECT id FROM mine)
            UNION SELECT log_path FROM mine WHERE log_path IS NOT NULL
            ORDER BY 1
            """,
            (experiment_id,),
        ).fetchall()
        connection.execute("DELETE FROM experiment WHERE id = ?", (experiment_id,))
        connection.execute(_DELETE_UNUSED_ENVIRONMENTS)
    return tuple(name for (name,) in files)


@contextmanager
def _editing(path: Path, experiment_id: str) -> Iterator[sqlite3.Connection]:
    readable(path)
    with explained(path, "written"), closing(connect(path)) as connection, transaction(connection):
        if not connection.execute("SELECT 1 FROM experiment WHERE id = ?", (experiment_id,)).fetchone():
            raise UsageError(f"{path} has no experiment {experiment_id!r}", hint="`bench list` shows what is there")
        yield connection
