"""Brings a results.db to the schema of this recbench: creates a new one, migrates an older one after a backup.

Every step is a migration of sqlite-utils, recorded with its time in `_sqlite_migrations`. The header's `user_version`
counts the steps, so that a file can be judged without sqlite-utils (which takes long to import, and is imported only
where there is something to do). Two processes at once migrate once: a lock file is held around the whole, and all
steps are one transaction.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.store.database import (
    APPLICATION_ID,
    BUSY_TIMEOUT_S,
    Identity,
    check_ours,
    check_place,
    connect,
    connect_reader,
    explained,
    filesystem_type,
    identify,
    is_network,
    problem,
    transaction,
)
from harness.store.schema_v1 import STATEMENTS

if TYPE_CHECKING:
    from sqlite_utils import Database

_MOUNTS = Path("/proc/mounts")
_LOCK_POLL_S = 0.02
_MIGRATION_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: from schema n to n + 1."""

    name: str
    change: Callable[[Database], None]


def _first(db: Database) -> None:
    for statement in STATEMENTS:
        db.execute(statement)


STEPS: tuple[Step, ...] = (Step("first", _first),)
SCHEMA = len(STEPS)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` found and did. `notices` are sentences that a person should read."""

    created: bool
    migrated_from: int | None
    backup: Path | None
    notices: tuple[str, ...]


def prepare(
    path: Path,
    *,
    steps: Sequence[Step] = STEPS,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    mounts: Path = _MOUNTS,
) -> Prepared:
    """Makes `path` a database of the newest schema, ready to be written. Idempotent; safe to call from many processes.

    Raises StoreError for everything that stands in the way; the file is then as it was.
    """
    check_place(path)
    on_network = is_network(filesystem_type(path, mounts))
    with explained(path, "written"):
        existed = path.exists()
        identity = _identity(path, busy_timeout_s) if existed else Identity("fresh", 0)
        check_ours(path, identity, len(steps))
        created, backup = False, None
        if identity.standing == "fresh" or identity.schema < len(steps):
            with _exclusive(path):
                created, backup = _bring_up(path, steps, busy_timeout_s, on_network)
        mode = _check_writable(path, len(steps), busy_timeout_s, on_network)
    notices = []
    if on_network:
        notices.append(
            f"{path} lies on a network file system, so it is written without a write-ahead log (journal mode {mode}); "
            "do not write it from two machines at once"
        )
    if backup is not None:
        notices.append(f"{path} was migrated from schema {identity.schema} to {len(steps)}; the old one is {backup}")
    return Prepared(created, identity.schema if backup else None, backup, tuple(notices))


def readable(path: Path, *, steps: Sequence[Step] = STEPS, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Checks that `path` can be read with today's queries; an older database is migrated first."""
    check_place(path)
    if not path.exists():
        raise StoreError(f"there is no results database {path}", hint="`bench run` makes one; --db PATH names another")
    with explained(path):
        identity = _identity(path, busy_timeout_s)
    check_ours(path, identity, len(steps))
    if identity.standing == "fresh":
        raise StoreError(f"{path} is empty: no experiment has been recorded in it", hint="`bench run` records one")
    if identity.schema < len(steps):
        prepare(path, steps=steps, busy_timeout_s=busy_timeout_s)


def _identity(path: Path, busy_timeout_s: float) -> Identity:
    with closing(connect_reader(path, busy_timeout_s=busy_timeout_s)) as connection:
        return identify(connection)


def _bring_up(path: Path, steps: Sequence[Step], busy_timeout_s: float, on_network: bool) -> tuple[bool, Path | None]:
    """Whether the database was created here, and the backup where it was migrated. The lock file is held."""
    fresh_file = not path.exists()
    connection = connect(path, busy_timeout_s=busy_timeout_s, create=True)
    try:
        with closing(connection):
            connection.execute("PRAGMA journal_mode = " + ("DELETE" if on_network else "WAL"))
            return _migrate(connection, path, steps, busy_timeout_s)
    except BaseException:
        if fresh_file:
            for ending in ("", "-wal", "-shm", "-journal"):
                _remove(path.with_name(path.name + ending))
        raise


def _migrate(
    connection: sqlite3.Connection, path: Path, steps: Sequence[Step], busy_timeout_s: float
) -> tuple[bool, Path | None]:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    backup: Path | None = None
    with transaction(connection):
        identity = identify(connection)
        check_ours(path, identity, len(steps))
        if identity.standing == "ours" and identity.schema == len(steps):
            return False, None  # another process was faster
        if identity.standing == "ours":
            # The write lock is held here, so the backup, through a connection of its own, misses nothing.
            backup = _back_up(path, identity.schema, busy_timeout_s)
        migrations = Migrations("recbench")
        for step in steps:
            migrations(name=step.name)(step.change)
        db = Database(connection, recursive_triggers=False, execute_plugins=False)
        try:
            migrations.apply(db)
        except sqlite3.Error as error:
            if backup is None:
                raise
            raise StoreError(
                f"{path} could not be migrated from schema {identity.schema} to {len(steps)}: {error}",
                hint=f"nothing in it was changed; a copy lies in {backup}",
            ) from error
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    return identity.standing == "fresh", backup


def _back_up(path: Path, schema: int, busy_timeout_s: float) -> Path:
    """A copy by SQLite's own backup API, under its final name only when it is complete and on the disk."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.resolve().with_name(f"{path.name}.backup-{schema}-{stamp}")
    partial = target.with_name(target.name + ".part")
    try:
        with (
            closing(connect_reader(path, busy_timeout_s=busy_timeout_s)) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        partial.replace(target)
    except sqlite3.Error as error:
        _remove(partial)
        raise problem(error, target, "written") from error
    return target


def _check_writable(path: Path, schema: int, busy_timeout_s: float, on_network: bool) -> str:
    """The journal mode in force: a database that was carried to or from a network file system changes it.

    Raises sqlite3.Error where the file is read-only (SQLite opens it all the same) or locked for too long.
    """
    wanted = "delete" if on_network else "wal"
    with closing(connect(path, busy_timeout_s=busy_timeout_s)) as connection:
        mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != wanted:
            mode = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
        # BEGIN IMMEDIATE alone is no proof: on a read-only file it begins to read, and says nothing.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version = {schema}")
        connection.execute("ROLLBACK")
    return mode


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Holds the lock file beside the database, and leaves none behind."""
    real = path.resolve()
    lock = real.with_name(real.name + ".lock")
    try:
        descriptor = _take(lock)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror} in the folder {path.parent}",
            hint="make the file and its folder writable (SQLite keeps a log beside the file), or name another by --db",
        ) from error
    try:
        yield
    finally:
        _remove(lock)
        os.close(descriptor)


def _take(lock: Path) -> int:
    """A locked descriptor of `lock`. A lock file that its last holder removed meanwhile is taken anew."""
    deadline = time.monotonic() + _MIGRATION_TIMEOUT_S
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StoreError(
                            f"another recbench has been migrating {lock.with_suffix('')} for a minute",
                            hint="wait for it, or end it",
                        ) from None
                    time.sleep(_LOCK_POLL_S)
            if lock.exists() and os.path.samestat(lock.stat(), os.fstat(descriptor)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
