"""The control socket's server: snapshots out to every face, at most four a second, commands in.

A face that does not read is never waited for: while its buffer holds anything, it gets nothing more, and what it
missed comes later as one change.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import BenchError
from harness.execution import wire
from harness.execution.view import Cursor, LiveView

TICK_S = 0.25
_FAREWELL_S = 2.0  # how long a face may take to read the last snapshot

Handler = Callable[[Mapping[str, Any]], Awaitable[str]]


@dataclass(eq=False)
class _Face:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pid: int | None
    cursor: Cursor = field(default_factory=Cursor)
    task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Nothing is waiting to be read by this face."""
        return self.writer.transport.get_write_buffer_size() == 0


class ControlServer:
    """Serves one experiment. `handle` carries out a command and says in a sentence what it did; BenchError refuses."""

    def __init__(self, view: LiveView, handle: Handler) -> None:
        self._view = view
        self._handle = handle
        self._faces: set[_Face] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._ticker: asyncio.Task[None] | None = None
        self.before_tick: Callable[[], None] = lambda: None

    @property
    def face_pids(self) -> list[int]:
        """The processes of the faces that are attached."""
        return [face.pid for face in self._faces if face.pid is not None]

    async def open(self, path: Path) -> None:
        """Listens at `path`, private to the user."""
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with wire.short_address(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=wire.LONGEST_COMMAND)
        self._path = path
        self._ticker = asyncio.create_task(self._tick())

    async def adopt(self, connected: socket.socket) -> None:
        """Takes in the face that launched this process, over the socket it left behind."""
        reader, writer = await asyncio.open_connection(sock=connected, limit=wire.LONGEST_COMMAND)
        self._welcome(reader, writer, wire.encode("started", experiment=self._view.snapshot().experiment_id))

    async def close(self) -> None:
        """Sends everybody the last snapshot, waits a moment for it to be read, and stops listening."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        deadline = asyncio.get_running_loop().time() + _FAREWELL_S
        waiting = set(self._faces)
        while waiting and asyncio.get_running_loop().time() < deadline:
            for face in list(waiting):
                if face.idle and face.cursor.revision == self._view.revision:
                    waiting.discard(face)
                    face.writer.close()
                elif face.idle:
                    self._push(face)
            await asyncio.sleep(0.01)
        for face in list(self._faces):
            face.writer.transport.abort()
            if face.task is not None:
                face.task.cancel()
        await asyncio.gather(*(face.task for face in self._faces if face.task), return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._welcome(reader, writer, b"")

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greeting: bytes) -> None:
        face = _Face(reader, writer, _peer_pid(writer))
        self._faces.add(face)
        writer.write(greeting + wire.encode("snapshot", **self._view.whole(face.cursor)))
        face.task = asyncio.create_task(self._serve(face))

    async def _serve(self, face: _Face) -> None:
        try:
            while line := await face.reader.readline():
                if not await self._obey(face, line):
                    break
        except (OSError, ValueError):
            pass  # it went away, or said more than a command can be long
        finally:
            self._faces.discard(face)
            face.writer.close()

    async def _obey(self, face: _Face, line: bytes) -> bool:
        """Carries out one command and answers; False where the face wants to leave."""
        request: Mapping[str, Any] = {}
        try:
            request = wire.decode(line)
            if request.get("command") == "detach":
                return False
            said = await self._handle(request)
            answer = wire.encode("answer", id=request.get("id"), ok=True, message=said)
        except BenchError as problem:
            answer = wire.encode("answer", id=request.get("id"), ok=False, message=problem.message, hint=problem.hint)
        except (ValueError, RecursionError):
            answer = wire.encode("answer", id=None, ok=False, message="not a command: expected a JSON object a line")
        face.writer.write(answer)
        return True

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.before_tick()
            for face in list(self._faces):
                if face.idle and face.cursor.revision != self._view.revision:
                    self._push(face)

    def _push(self, face: _Face) -> None:
        with contextlib.suppress(OSError):
            face.writer.write(wire.encode("change", **self._view.change(face.cursor)))


def _peer_pid(writer: asyncio.StreamWriter) -> int | None:
    """The process at the other end (SO_PEERCRED of unix(7)); None where the kernel does not say."""
    connected = writer.get_extra_info("socket")
    if connected is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", raw)[0]
    return pid or None
