"""Where the Live screen's pictures come from: a running experiment's socket, or the database.

Both block and know nothing of Textual; the screen asks them in thread workers.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol

from harness.dashboard.recorded import recorded_snapshot
from harness.errors import StoreError, UsageError
from harness.execution.launch import RunningExperiment, attach, running
from harness.execution.snapshot import Snapshot
from harness.store.queries import Store, locate

REREAD_S = 2.0


class Attached(Protocol):
    """The face's end of a control socket (`harness.execution.attachment.Attachment`)."""

    experiment_id: str

    def next_snapshot(self, timeout_s: float | None = None) -> Snapshot | None: ...

    def send(self, command: Any, *, timeout_s: float = 10.0, **fields: Any) -> str: ...

    def close(self) -> None: ...


class Source(Protocol):
    """One experiment. `live`: it takes commands and may bring news."""

    experiment_id: str
    live: bool

    def next_snapshot(self, timeout_s: float) -> Snapshot | None:
        """A newer picture, or None where none came in time. RunFailed where the experiment's process is gone."""

    def send(self, command: str, **fields: Any) -> str:
        """Gives a command; what was done, in a sentence. UsageError where it was refused."""

    def close(self) -> None: ...


class LiveSource:
    """An experiment that runs here, over its socket."""

    live = True

    def __init__(self, attachment: Attached) -> None:
        self.experiment_id = attachment.experiment_id
        self._attachment = attachment
        self._waiting: Snapshot | None = None

    def put_back(self, snapshot: Snapshot | None) -> None:
        """A picture that was read already comes first."""
        self._waiting = snapshot

    def next_snapshot(self, timeout_s: float) -> Snapshot | None:
        if self._waiting is not None:
            first, self._waiting = self._waiting, None
            return first
        return self._attachment.next_snapshot(timeout_s)

    def send(self, command: str, **fields: Any) -> str:
        return self._attachment.send(command, **fields)

    def close(self) -> None:
        self._attachment.close()


class RecordedSource:
    """An experiment as a database has it; read again while it says that it runs."""

    live = False

    def __init__(self, database: Path, experiment_id: str) -> None:
        self.database = database
        self.experiment_id = experiment_id
        self._last: Snapshot | None = None
        self._closed = threading.Event()

    def next_snapshot(self, timeout_s: float) -> Snapshot | None:
        if self._last is not None and self._closed.wait(REREAD_S):
            return None
        try:
            with Store(self.database) as store:
                found = recorded_snapshot(store, self.experiment_id)
        except StoreError:
            if self._last is None:
                raise
            return None  # locked for a moment: the next look will tell
        if found == self._last:
            return None
        self._last = found
        return found

    def send(self, command: str, **fields: Any) -> str:
        raise UsageError(
            f"{command} needs an experiment that runs on this machine, and this is a recorded one",
            hint="bench list --running shows what does",
        )

    def close(self) -> None:
        self._closed.set()


def find_source(thing: str | None, database: Path, *, named: bool) -> tuple[Path, Source | None]:
    """What `bench dashboard [ID]` shows: the database, and the experiment of it or of the ones that run.

    `named`: the database was given by the person, so that a running experiment must write to it. Without an id it is
    the newest one that runs, else the newest one recorded; None where there is none.
    """
    living = running()
    if thing is None:
        here = [one for one in living if not named or _same(one.database, database)]
        if here:
            return here[-1].database, LiveSource(attach(here[-1].id))
        if not database.exists() and not named:
            return database, None
        return database, _newest(database)
    found = _by_id(thing, living)
    if found is not None:
        return found.database, LiveSource(attach(found.id))
    database, text = locate(thing, database)
    with Store(database) as store:
        identifier = store.resolve(text, ("experiment",))[1]
    if any(one.id == identifier for one in living):
        return database, LiveSource(attach(identifier))
    return database, RecordedSource(database, identifier)


def _newest(database: Path) -> Source | None:
    with Store(database) as store:
        found = store.list_experiments(limit=1)
    return RecordedSource(database, found[0].id) if found else None


def _by_id(text: str, living: list[RunningExperiment]) -> RunningExperiment | None:
    """A running one may not be in any database yet."""
    matching = [one for one in living if len(text) >= 3 and one.id.startswith(text)]
    return matching[0] if len(matching) == 1 else None


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
