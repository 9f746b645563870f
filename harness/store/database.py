"""Opens results.db with the standard library, tells what it is, and puts SQLite's errors into one sentence each.

A trap that shapes this file: never `open()` a database file that may be in use. Closing any descriptor of it drops
all POSIX locks that this process holds on it, also those of SQLite (sqlite.org/howtocorrupt.html, section 2.2), so
even "is this a database?" is asked of SQLite.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from harness.errors import ExitCode, StoreError

APPLICATION_ID = 0x72626368  # "rbch" in the file's header: sqlite.org/fileformat.html#application_id
BUSY_TIMEOUT_S = 10.0
_LITTLE_BYTES = 64 * 1024  # the shared memory of a write-ahead log alone takes 32 KiB
Standing = Literal["fresh", "ours", "foreign"]

# Locks or shared memory of these cannot be relied on between machines: sqlite.org/wal.html, "noadv" and faq.html#q5.
_NETWORK = (
    "9p afs afpfs beegfs ceph cifs coda davfs davfs2 glusterfs gpfs juicefs lustre ncpfs nfs nfs4 orangefs panfs pvfs2 "
    "smb2 smb3 smbfs wekafs"
)
_NETWORK_FUSE = (
    "ceph cephfs davfs davfs2 gcsfuse glusterfs goofys gvfsd-fuse juicefs rclone s3fs seaweedfs smbnetfs sshfs"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a database file says of itself. `schema` counts the steps of `migrations.py` it has been through."""

    standing: Standing
    schema: int


def identify(connection: sqlite3.Connection) -> Identity:
    """Whose database this is. Raises sqlite3.Error where it is none at all."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    schema: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION_ID:
        return Identity("ours", schema)
    if application == 0 and schema == 0 and tables == 0:
        return Identity("fresh", 0)
    return Identity("foreign", schema)


def check_place(path: Path) -> None:
    """Refuses what cannot hold a database before SQLite says less about it."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder, not a results database", hint=f"name a file in it: {path / 'results.db'}"
        )
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file", hint="--db PATH names the results database")
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} of the results database {path.name} does not exist")


def check_ours(path: Path, identity: Identity, known: int) -> None:
    """Refuses other programs' databases and those of a newer recbench."""
    if identity.standing == "foreign":
        raise StoreError(
            f"{path} is an SQLite database, but not one of recbench",
            hint="--db PATH names the results database; nothing in this file was changed",
        )
    if identity.schema > known:
        raise StoreError(
            f"{path} was written by a newer recbench (schema {identity.schema}, this one knows {known})",
            hint="upgrade recbench",
        )


def connect(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, create: bool = False) -> sqlite3.Connection:
    """A connection that writes, in autocommit (transactions are explicit), foreign keys on, every commit synced."""
    mode = "rwc" if create else "rw"
    connection = sqlite3.connect(_uri(path, mode), uri=True, timeout=busy_timeout_s, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> sqlite3.Connection:
    """A connection that cannot write.

    It is opened read-write with `query_only` where that is possible: the last such connection tidies the -wal and
    -shm files away on closing, which one opened read-only leaves lying about. Where nothing can be written (a
    read-only medium), a WAL database can only be read as immutable, which is true there.
    """
    connection = sqlite3.connect(_uri(path, "rw"), uri=True, timeout=busy_timeout_s, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if _primary(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or not readable_as_is(path):
            raise
        uri = _uri(path, "ro") + "&immutable=1"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def readable_as_is(path: Path) -> bool:
    """Whether the file alone holds everything: no write-ahead log with something in it lies beside it."""
    real = path.resolve()
    log = real.with_name(real.name + "-wal")
    return os.access(path, os.R_OK) and (not log.exists() or log.stat().st_size == 0)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A write transaction: all of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself (disk full, I/O error).
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path, doing: str = "read") -> Iterator[None]:
    """SQLite's errors inside become a StoreError about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem(error, path, doing) from error


def problem(error: sqlite3.Error, path: Path, doing: str = "read") -> StoreError:
    """One sentence for a person, with what to do. `doing` is the verb of what failed: read, written, migrated."""
    code = _primary(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{path} is locked by another program and could not be {doing}",
            hint="another bench, datasette or sqlite3 is writing to it; end that or wait",
        )
    readable = not path.exists() or os.access(path, os.R_OK)
    if code == sqlite3.SQLITE_READONLY or (
        code == sqlite3.SQLITE_CANTOPEN and doing != "read" and readable and _unwritable(path)
    ):
        return StoreError(
            f"{path} is read-only and could not be {doing}",
            hint="make the file and its folder writable (SQLite keeps a log beside the file), or name another by --db",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{path} is not a database", hint="--db PATH names the results database")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(
            f"{path} is damaged ({error}) and could not be {doing}",
            hint=f'save what is left: sqlite3 "{path.name}" .recover | sqlite3 saved.db',
        )
    # Without room for the shared memory of the write-ahead log, SQLite speaks of an I/O error.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreError(
            f"no space is left on the disk of {path}, and it could not be {doing}",
            hint="free some space; what was committed is safe",
            exit_code=ExitCode.RUN_FAILED,
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreError(f"{path} cannot be opened, so it could not be {doing}", hint="check that you may read it")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(f"the disk failed under {path} ({error}) and it could not be {doing}")
    return StoreError(f"{path} could not be {doing}: {error}")


def filesystem_type(path: Path, mounts: Path = Path("/proc/mounts")) -> str | None:
    """The type of the file system that holds `path` (ext4, nfs4, …), or None where the system does not tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    best: tuple[int, str] | None = None
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(_unescape(fields[1]))
        # The last of equal mount points lies on top.
        if place.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), fields[2])
    return best[1] if best else None


def is_network(filesystem: str | None) -> bool:
    """Whether SQLite's write-ahead log, which needs shared memory, is unsafe there."""
    name, _, over_fuse = (filesystem or "").lower().partition("fuse.")
    return over_fuse in _NETWORK_FUSE.split() if over_fuse else name in _NETWORK.split()


def attach_uri(path: Path) -> str:
    """An address for ATTACH that reads only, also from a read-only medium."""
    if _unwritable(path) and readable_as_is(path):
        return _uri(path, "ro") + "&immutable=1"
    return _uri(path, "rw")


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path.resolve()))}?mode={mode}"


def _primary(error: sqlite3.Error) -> int:
    """The primary result code: the low byte of an extended one (sqlite.org/rescode.html)."""
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.resolve().parent).free < _LITTLE_BYTES
    except OSError:
        return False


def _unwritable(path: Path) -> bool:
    existing = path if path.exists() else path.parent
    return not (os.access(existing, os.W_OK) and os.access(path.parent, os.W_OK))


def _unescape(text: str) -> str:
    """Undoes the octal escapes of /proc/mounts (fstab(5)): space, tab, newline, backslash."""
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text
