"""A face's end of the control socket: blocking, free of asyncio, safe to use from two threads (one reads, one asks)."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from harness.errors import RunFailed, UsageError
from harness.execution import wire
from harness.execution.mirror import Mirror
from harness.execution.snapshot import Snapshot

Command = Literal["stop", "finish", "kill", "skip", "retry"]
_CHUNK = 1 << 16


class Attachment:
    """Attached to one experiment. Closing it leaves the experiment running."""

    def __init__(self, connected: socket.socket, experiment_id: str) -> None:
        self.experiment_id = experiment_id
        self._socket = connected
        self._mirror = Mirror()
        self._pending = bytearray()
        self._messages: deque[dict[str, Any]] = deque()
        self._answers: dict[int, dict[str, Any]] = {}
        self._fresh = False
        self._ended = False
        self._request = 0
        self._read_lock = threading.Lock()
        self._write_lock = threading.Lock()

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest one seen so far."""
        return self._mirror.snapshot

    def next_snapshot(self, timeout_s: float | None = None) -> Snapshot | None:
        """Waits for a newer Snapshot; None where none came in time. The last one is `over`.

        RunFailed when the experiment's process is gone and did not say that it was over.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            with self._read_lock:
                if not self._fresh and not self._ended:
                    self._read(_left(deadline))
                if self._fresh:
                    self._fresh = False
                    return self._mirror.snapshot
                if self._ended:
                    raise self._lost()
            if deadline is not None and time.monotonic() >= deadline:
                return None

    def snapshots(self) -> Iterator[Snapshot]:
        """Every Snapshot until the one that is `over`. May be asked for again at any time.

        A face takes Ctrl-C in a signal handler: KeyboardInterrupt in the middle of reading could lose a message.
        """
        while True:
            snapshot = self.next_snapshot()
            if snapshot is not None:
                yield snapshot
                if snapshot.over:
                    return

    def send(self, command: Command, *, timeout_s: float = 10.0, **fields: Any) -> str:
        """Gives a command and waits for the answer: what was done, in a sentence. UsageError where it was refused.

        `skip` takes `scope="run" | "cell"`, `retry` takes `run=ID`.
        """
        with self._write_lock:
            self._request += 1
            number = self._request
            try:
                self._socket.sendall(wire.encode("command", command=command, id=number, **fields))
            except OSError:
                raise self._lost() from None
        deadline = time.monotonic() + timeout_s
        while number not in self._answers:
            if time.monotonic() > deadline:
                raise RunFailed(f"experiment {self.experiment_id} did not answer to {command!r}")
            if not self._read_lock.acquire(timeout=0.02):
                continue  # another thread reads: it will find our answer
            try:
                if number not in self._answers:
                    if self._ended:
                        raise self._lost()
                    self._read(0.05)
            finally:
                self._read_lock.release()
        answer = self._answers.pop(number)
        if not answer["ok"]:
            raise UsageError(str(answer["message"]), hint=answer.get("hint"))
        return str(answer["message"])

    def close(self) -> None:
        """Detaches."""
        self._socket.close()

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message as it came, for the launcher; None at the end of the channel or when none came in time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._messages and not self._ended:
            if deadline is not None and time.monotonic() >= deadline:
                return None
            self._fill(_left(deadline))
        return self._messages.popleft() if self._messages else None

    def _read(self, timeout_s: float | None) -> None:
        """Takes in what is there, waiting at most `timeout_s` for it."""
        if not self._messages:
            self._fill(timeout_s)
        while self._messages:
            self._take(self._messages.popleft())

    def _take(self, message: Mapping[str, Any]) -> None:
        if message.get("type") == "answer":
            if isinstance(message.get("id"), int):
                self._answers[message["id"]] = dict(message)
        elif message.get("type") in ("snapshot", "change"):
            self._fresh = self._mirror.apply(message) is not None

    def _fill(self, timeout_s: float | None) -> None:
        try:
            self._socket.settimeout(timeout_s if timeout_s is None else max(timeout_s, 1e-3))
            chunk = self._socket.recv(_CHUNK)
        except TimeoutError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._ended = True
            return
        self._pending += chunk
        while (end := self._pending.find(b"\n")) >= 0:
            self._messages.append(wire.decode(bytes(self._pending[:end])))
            del self._pending[: end + 1]

    def _lost(self) -> RunFailed:
        return RunFailed(
            f"the process of experiment {self.experiment_id} is gone",
            hint="what it measured is in the database; `bench list` says what became of it",
        )


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()
