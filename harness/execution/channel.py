"""The worker's end of the private channel: events out, commands in.

The channel is one end of a Unix socket pair that the parent made, so nothing a library prints can reach it. A thread
reads commands; when the parent is gone it ends the process at once, so that no orphan keeps the machine busy.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from harness.execution.events import encode

ORPHANED = 71  # exit status of a worker whose parent went away (EX_OSERR of sysexits.h)


class Channel:
    """Sends events and keeps what the parent asked for. `step`, `samples` and `epoch` are stamped on every event."""

    def __init__(self, fd: int, *, leave: Callable[[int], None] = os._exit) -> None:
        self._socket = socket.socket(fileno=fd)
        self._reader = self._socket.makefile("rb")
        self._lock = threading.Lock()
        self._leave = leave
        self._seq = 0
        self._closing = False
        self._commands: threading.Thread | None = None
        self.step = 0
        self.samples = 0
        self.epoch = 0.0
        self.stop_requested = False
        self.skip_requested = False
        self._cells: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()

    def receive_start(self) -> Mapping[str, Any]:
        """The first line, which says what to run. Starts the command reader."""
        line = self._reader.readline()
        if not line:
            self._leave(ORPHANED)
        start: Mapping[str, Any] = json.loads(line)
        self._commands = threading.Thread(target=self._read_commands, name="recbench-commands", daemon=True)
        self._commands.start()
        return start

    def send(self, type: str, **body: Any) -> None:
        """Writes one event. Blocks only when the parent has stopped reading for megabytes."""
        with self._lock:
            line = encode(
                type,
                seq=self._seq,
                t=time.monotonic(),
                wall=time.time(),
                step=self.step,
                samples=self.samples,
                epoch=self.epoch,
                body=body,
            )
            self._seq += 1
            try:
                self._socket.sendall(line)
            except OSError:
                self._leave(ORPHANED)

    def restart_counts(self) -> None:
        """A new cell begins: its own steps, samples and epochs."""
        self.step, self.samples, self.epoch = 0, 0, 0.0
        self.skip_requested = False

    def next_cell(self) -> Mapping[str, Any] | None:
        """Waits for one more cell; None where the parent has none."""
        return self._cells.get()

    def close(self) -> None:
        """Ends the channel: the parent reads to its end, the command reader leaves quietly."""
        self._closing = True
        with self._lock, contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._commands is not None:
            self._commands.join()
        self._reader.close()
        self._socket.close()

    def _read_commands(self) -> None:
        try:
            for line in self._reader:
                message = json.loads(line)
                kind = message.get("type")
                if kind == "stop":
                    self.stop_requested = True
                    self._cells.put(None)
                elif kind == "cell":
                    self._cells.put(message["cell"])
                elif kind == "enough":
                    self._cells.put(None)
                elif kind == "skip_cell":
                    self.skip_requested = True
        except (OSError, ValueError, LookupError):
            pass  # a broken channel is the same as a closed one
        if not self._closing:
            self._leave(ORPHANED)
