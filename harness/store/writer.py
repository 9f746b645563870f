"""The one writer of an experiment's results: a thread that commits what it is given at most half a second later.

`put` only appends to a queue, so a measurement never waits for a disk. A commit is synced (WAL, synchronous FULL):
what was put more than a second ago survives a kill of this process, and a power cut. The write lock is held for the
time of a commit only, so experiments that run side by side share one database.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BenchError, RunFailed, StoreError, did_you_mean
from harness.store import encode
from harness.store.database import BUSY_TIMEOUT_S, connect, is_busy, problem, transaction
from harness.store.migrations import STEPS, Step, prepare, remove
from harness.store.rows import Row, SeriesRow

COMMIT_INTERVAL_S = 0.25  # waited after the first row of a batch; with the commit itself below the promised 0.5 s
_BATCH_ROWS = 5000
_RETRY_PAUSE_S = 0.2
_TIDY_TIMEOUT_MS = 1000
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Change:
    table: str
    key: Mapping[str, Any]
    columns: Mapping[str, Any]


class ResultWriter:
    """Writes rows to a results database from a thread of its own.

    `on_error` is called from that thread: once when the database cannot be written any more (disk full, I/O error,
    locked for `patience_s`), after which everything put is dropped and what was committed stays; and once, for the
    first of them, when a row is refused (a parent that is missing, an unknown column), which loses that row only.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_error: Callable[[BenchError], None] | None = None,
        patience_s: float = PATIENCE_S,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        steps: Sequence[Step] = STEPS,
        mounts: Path = Path("/proc/mounts"),
    ) -> None:
        self.path = path
        self.notices: tuple[str, ...] = ()  # sentences for the person, known after start()
        self.error: BenchError | None = None  # why nothing is written any more
        self.cause: StoreError | None = None  # the same, without what became of the results
        self.patience_s = patience_s  # how long a batch is tried again
        self._new_file = False  # start() made the file
        self.refused = 0  # rows that the database did not take
        self._on_error = on_error
        self._busy_timeout_s = busy_timeout_s
        self._steps = steps
        self._mounts = mounts
        self._queue: deque[Row | _Change] = deque()
        self._condition = threading.Condition()
        self._put = 0  # rows ever put
        self._done = 0  # rows committed, refused or dropped
        self._urgent = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._series: dict[tuple[str, str, str], int] = {}

    def start(self) -> None:
        """Opens or creates the database and starts the thread. Raises StoreError here, in the caller."""
        prepared = prepare(self.path, steps=self._steps, busy_timeout_s=self._busy_timeout_s, mounts=self._mounts)
        self.notices = prepared.notices
        self._new_file = prepared.new_file
        self._thread = threading.Thread(target=self._work, name="results-writer", daemon=True)
        self._thread.start()

    def put(self, *rows: Row) -> None:
        """Queues rows, to be inserted or to replace those of the same key, in order. Never blocks, never raises."""
        self._enqueue(rows)

    def change(self, table: str, key: Mapping[str, Any], **columns: Any) -> None:
        """Queues new values for some columns of one row. Never blocks, never raises."""
        self._enqueue((_Change(table, dict(key), columns),))

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Waits until all that was put before is committed; False when it is not, in time or at all."""
        with self._condition:
            wanted = self._put
            self._urgent = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._done >= wanted or self.error is not None, timeout_s)
            return self._done >= wanted and self.error is None and self._thread is not None

    def close(self) -> None:
        """Commits the rest, folds the write-ahead log into the file, and ends the thread. May be called twice."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join()

    def unmake(self) -> None:
        """After close(): removes a file that start() made, where it holds no experiment and nobody else uses it."""
        if not self._new_file:
            return
        try:
            with closing(connect(self.path, busy_timeout_s=0.0)) as connection:
                if connection.execute("SELECT EXISTS (SELECT 1 FROM experiment)").fetchone()[0]:
                    return
                connection.execute("PRAGMA journal_mode = DELETE")  # refused while another connection is open
        except sqlite3.Error as error:
            if is_busy(error):
                return
        self._new_file = False
        remove(self.path)

    def __enter__(self) -> ResultWriter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enqueue(self, items: Sequence[Row | _Change]) -> None:
        with self._condition:
            self._put += len(items)
            if self.error is not None or self._closing:
                self._done += len(items)
                return
            self._queue.extend(items)
            self._condition.notify_all()

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while (batch := self._next_batch()) is not None:
                connection, failure = self._commit_patiently(connection, batch)
                if failure is not None:
                    self._give_up(failure)
                    return
                with self._condition:
                    self._done += len(batch)
                    self._condition.notify_all()
        finally:
            if connection is not None:
                _close(connection)

    def _next_batch(self) -> list[Row | _Change] | None:
        """Rows to commit together; None when the writer is closed and nothing is left."""
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            self._condition.wait_for(
                lambda: self._closing or self._urgent or len(self._queue) >= _BATCH_ROWS, COMMIT_INTERVAL_S
            )
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH_ROWS))]
            if not self._queue:
                self._urgent = False
            return batch or None

    def _commit_patiently(
        self, connection: sqlite3.Connection | None, batch: list[Row | _Change]
    ) -> tuple[sqlite3.Connection | None, sqlite3.Error | None]:
        """Commits the batch, trying again for `patience_s`; the connection that is open now, and the last error."""
        deadline = time.monotonic() + self.patience_s
        while True:
            try:
                if connection is None:
                    connection = connect(self.path, busy_timeout_s=self._busy_timeout_s)
                self._commit(connection, batch)
                return connection, None
            except sqlite3.Error as error:
                # After an I/O error a connection is not to be trusted; a new one reads the file afresh.
                self._series.clear()
                if connection is not None:
                    _close(connection, tidy=False)
                    connection = None
                if time.monotonic() >= deadline:
                    return None, error
            time.sleep(_RETRY_PAUSE_S)

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[Row | _Change]) -> None:
        try:
            with transaction(connection):
                for item in batch:
                    self._write(connection, item)
        except _REFUSALS:
            self._series.clear()
            self._commit_singly(connection, batch)

    def _commit_singly(self, connection: sqlite3.Connection, batch: Sequence[Row | _Change]) -> None:
        """Like `_commit`, but a row that is refused loses itself only."""
        refusals: list[tuple[Row | _Change, Exception]] = []
        with transaction(connection):
            for item in batch:
                connection.execute("SAVEPOINT one")
                try:
                    self._write(connection, item)
                except _REFUSALS as error:
                    connection.execute("ROLLBACK TO one")
                    self._series.clear()
                    refusals.append((item, error))
                connection.execute("RELEASE one")
        for item, reason in refusals:
            self._refuse(item, reason)

    def _write(self, connection: sqlite3.Connection, item: Row | _Change) -> None:
        if isinstance(item, _Change):
            _apply(connection, item)
        elif isinstance(item, SeriesRow):
            self._append(connection, item)
        else:
            table = encode.table_of(type(item))
            connection.execute(table.upsert, table.values(item))

    def _append(self, connection: sqlite3.Connection, row: SeriesRow) -> None:
        if len(row.x) != len(row.y):
            raise ValueError(f"{len(row.x)} values of x but {len(row.y)} of y")
        if not all(map(math.isfinite, row.x)):
            raise ValueError("a point without a place: not every x is a finite number")
        labels = encode.json_text(row.labels)
        key = (row.run_id, row.name, labels)
        insert, find, put_point = _SERIES
        if key not in self._series:
            connection.execute(insert, (*key, row.axis, row.unit))
            self._series[key] = connection.execute(find, key).fetchone()[0]
        number = self._series[key]
        connection.executemany(
            put_point,
            (
                (number, row.start_index + offset, encode.number(x), encode.number(y))
                for offset, (x, y) in enumerate(zip(row.x, row.y, strict=True))
            ),
        )

    def _refuse(self, item: Row | _Change, reason: Exception) -> None:
        self.refused += 1
        if self.refused == 1 and self._on_error is not None:
            self._on_error(RunFailed(f"{self.path} did not take {_describe(item)}: {reason}"))

    def _give_up(self, error: sqlite3.Error) -> None:
        told = problem(error, self.path, "written")
        failure = RunFailed(f"{told.message}; results up to now are kept", hint=told.hint)
        with self._condition:
            self.error, self.cause = failure, told
            self._queue.clear()
            self._done = self._put
            self._condition.notify_all()
        if self._on_error is not None:
            self._on_error(failure)


_SERIES = encode.series_statements()
# A row that cannot be stored, as against a database that cannot be written.
_REFUSALS = (
    sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
    sqlite3.DataError, TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip


def _apply(connection: sqlite3.Connection, change: _Change) -> None:
    tables = encode.tables_by_name()
    if change.table not in tables:
        raise LookupError(f"no table {change.table!r}; {did_you_mean(change.table, tables)}")
    table = tables[change.table]
    for column in (*change.key, *change.columns):
        if column not in table.columns:
            raise LookupError(f"no column {column!r}; {did_you_mean(column, table.columns)}")
    if not change.columns or not change.key:
        raise ValueError("a change needs a key and a column")
    assignments = ", ".join(f"{encode.quoted(column)} = ?" for column in change.columns)
    condition = " AND ".join(f"{encode.quoted(column)} = ?" for column in change.key)
    values = [table.encode(column, value) for column, value in (*change.columns.items(), *change.key.items())]
    cursor = connection.execute(f"UPDATE {encode.quoted(table.name)} SET {assignments} WHERE {condition}", values)
    if cursor.rowcount == 0:
        raise LookupError("no such row")


def _describe(item: Row | _Change) -> str:
    if isinstance(item, _Change):
        return f"a change of {item.table} {dict(item.key)}"
    key = {name: getattr(item, name) for name in item.key}
    return f"a row of {item.table} {key}" if key else f"a row of {item.table}"


def _close(connection: sqlite3.Connection, *, tidy: bool = True) -> None:
    """Closes; `tidy` first folds the log into the file, so that the single file is the whole database."""
    try:
        if tidy:
            connection.execute(f"PRAGMA busy_timeout = {_TIDY_TIMEOUT_MS}")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        pass  # a reader holds it open: the log stays valid beside the file, and the last one to close folds it in
    finally:
        connection.close()
