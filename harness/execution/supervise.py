"""One worker: its processes (one a rank), the channel of each, and how they are ended.

Every rank leads a session and process group of its own, so that a kill reaches what a library started there, and
nothing else. What is wrong on a channel is judged here; what the events mean is the listener's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.execution import wire
from harness.execution.events import Event, Garbage, LineReader

CHANNEL_BYTES = 4 << 20  # a worker must not wait for its parent within a window
MOST_GARBAGE_LINES = 1000
LONGEST_LINE_BYTES = 64 << 20
KILL_GRACE_S = 3.0
EXIT_GRACE_S = 10.0  # between `done` (or a closed channel) and the end of the process
_DRAIN_S = 2.0  # for what is left in the channel of a process that has ended
_CHUNK = 1 << 16


class Listener(Protocol):
    """Hears what the ranks say. Called on the event loop."""

    def event(self, rank: int, event: Event) -> None: ...

    def garbage(self, rank: int, garbage: Garbage) -> None: ...

    def distrust(self, rank: int, reason: str) -> None:
        """The channel cannot be trusted any more; nothing more is heard from this worker, and it is being killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankStart:
    """How one rank is started. `argv` is followed by `--channel FD`; `start` is the first line it reads."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    start: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankEnd:
    """How one rank ended. `lingered`: it had said `done` and had to be killed all the same."""

    rank: int
    pid: int
    exit_code: int | None
    signal: int | None
    said_done: bool
    lingered: bool = False

    @property
    def clean(self) -> bool:
        return self.said_done and (self.exit_code == 0 or self.lingered)


class _Rank:
    """One process and its channel."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
        self.number = number
        self.process = process
        self.channel = channel
        self.lines = LineReader()
        self.unfinished_bytes = 0
        self.said_done = False
        self.exited = False
        self.finished = asyncio.Event()  # it said `done`, or closed its channel
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    def signal(self, number: int) -> None:
        """Signals the whole group. Safe until the process is reaped: its number cannot be given to another."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


class WorkerGroup:
    """All ranks of one worker, from start to end."""

    def __init__(self, starts: Sequence[RankStart], log_path: Path, listener: Listener) -> None:
        self._starts = starts
        self._log_path = log_path
        self._listener = listener
        self._ranks: list[_Rank] = []
        self._distrusted = False
        self._kill: asyncio.Task[None] | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that are still there."""
        return [rank.process.pid for rank in self._ranks if not rank.exited]

    @property
    def garbage_lines(self) -> int:
        return sum(rank.lines.garbage for rank in self._ranks)

    async def start(self) -> None:
        """Starts every rank. OSError where the interpreter cannot be started.

        Call it on the main thread: the kernel sends PR_SET_PDEATHSIG when the *thread* that forked ends (prctl(2)).
        """
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as log:
            for number, start in enumerate(self._starts):
                ours, theirs = socket.socketpair()
                for end in (ours, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHANNEL_BYTES)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHANNEL_BYTES)
                try:
                    process = subprocess.Popen(
                        [*start.argv, "--channel", str(theirs.fileno())],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=dict(start.environment),
                        pass_fds=(theirs.fileno(),),
                        start_new_session=True,
                    )
                except OSError:
                    ours.close()
                    self._give_up_start()
                    raise
                finally:
                    theirs.close()
                self._ranks.append(_Rank(number, process, ours))
        for rank, start in zip(self._ranks, self._starts, strict=True):
            rank.reader, rank.writer = await asyncio.open_connection(sock=rank.channel, limit=_CHUNK)
            rank.writer.write(wire.line(start.start))

    def _give_up_start(self) -> None:
        """One rank could not be started: those before it must not wait for it."""
        for rank in self._ranks:
            rank.signal(signal.SIGKILL)
            rank.process.wait()
            rank.channel.close()
        self._ranks.clear()

    def send(self, message: Mapping[str, Any]) -> None:
        """One line to every rank; lost where a rank is gone."""
        for rank in self._ranks:
            if rank.writer is not None and not rank.exited:
                rank.writer.write(wire.line(message))

    async def wait(self) -> list[RankEnd]:
        """How every rank ended, in the order of their ends. One that ends badly takes the others with it."""
        ends: list[RankEnd] = []
        watches = [asyncio.create_task(self._watch(rank)) for rank in self._ranks]
        for ended in asyncio.as_completed(watches):
            end = await ended
            ends.append(end)
            if not end.clean:
                self.kill()
        if self._kill is not None:
            self._kill.cancel()
        return ends

    def kill(self, *, grace_s: float = KILL_GRACE_S) -> None:
        """SIGTERM to every group, SIGKILL after the grace. `wait` tells when it is over."""
        if self._kill is None:
            self._kill = asyncio.create_task(self._kill_all(grace_s))

    def kill_now(self) -> None:
        """SIGKILL to every group, for the orchestrator's own end."""
        for rank in self._ranks:
            if not rank.exited:
                rank.signal(signal.SIGKILL)

    async def _kill_all(self, grace_s: float) -> None:
        for rank in self._ranks:
            if not rank.exited:
                rank.signal(signal.SIGTERM)
                rank.signal(signal.SIGCONT)  # a stopped process hears nothing else
        await asyncio.sleep(grace_s)
        self.kill_now()

    async def _watch(self, rank: _Rank) -> RankEnd:
        reading = asyncio.create_task(self._read(rank))
        exiting = asyncio.create_task(_exit_of(rank.process.pid))
        finishing = asyncio.create_task(rank.finished.wait())
        await asyncio.wait({exiting, finishing, reading}, return_when=asyncio.FIRST_COMPLETED)
        lingered = False
        if reading.done() and reading.exception() is not None:  # a bug of ours: nobody hears this worker any more
            rank.signal(signal.SIGKILL)
            await exiting
        if not exiting.done():
            await asyncio.wait({exiting}, timeout=EXIT_GRACE_S)
            if not exiting.done():
                lingered = True
                rank.signal(signal.SIGKILL)
                await exiting
        rank.exited = True
        rank.signal(signal.SIGKILL)  # what it started and left behind
        returned = rank.process.wait()
        await asyncio.wait({reading}, timeout=_DRAIN_S)
        finishing.cancel()
        if not reading.done():
            reading.cancel()
        elif (problem := reading.exception()) is not None:
            raise problem
        if rank.writer is not None:
            rank.writer.transport.abort()
        return RankEnd(
            rank=rank.number,
            pid=rank.process.pid,
            exit_code=returned if returned >= 0 else None,
            signal=-returned if returned < 0 else None,
            said_done=rank.said_done,
            lingered=lingered,
        )

    async def _read(self, rank: _Rank) -> None:
        assert rank.reader is not None
        with contextlib.suppress(OSError):
            while chunk := await rank.reader.read(_CHUNK):
                if not self._distrusted:
                    self._take(rank, chunk)
                await asyncio.sleep(0)  # a flood must not keep timers and commands waiting
        if not self._distrusted:
            for garbage in rank.lines.close():
                self._listener.garbage(rank.number, garbage)
        rank.finished.set()

    def _take(self, rank: _Rank, chunk: bytes) -> None:
        end = chunk.rfind(b"\n")
        rank.unfinished_bytes = len(chunk) - end - 1 if end >= 0 else rank.unfinished_bytes + len(chunk)
        for found in rank.lines.feed(chunk):
            if isinstance(found, Garbage):
                self._listener.garbage(rank.number, found)
            elif not rank.lines.lost:
                if found.type == "done":
                    rank.said_done = True
                    rank.finished.set()
                self._listener.event(rank.number, found)
            if self._suspicious(rank):
                return
        self._suspicious(rank)

    def _suspicious(self, rank: _Rank) -> bool:
        lines = rank.lines
        if lines.lost:
            count = "1 event" if lines.lost == 1 else f"{lines.lost} events"
            reason = f"{count} of the worker's channel were lost, so its numbers cannot be trusted"
        elif lines.garbage > MOST_GARBAGE_LINES:
            reason = f"the worker's channel carried more than {MOST_GARBAGE_LINES} lines that are no events"
        elif rank.unfinished_bytes > LONGEST_LINE_BYTES:
            reason = f"the worker's channel carried {LONGEST_LINE_BYTES >> 20} MiB without an end of line"
        else:
            return False
        self._distrusted = True
        self._listener.distrust(rank.number, reason)
        self.kill()
        return True


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _exit_of(pid: int) -> None:
    """Returns when the process has ended; it stays a zombie, so that its group can still be signalled safely."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(pid)  # Linux 5.3
    except (AttributeError, OSError):
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            await asyncio.sleep(0.05)
        return
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _set, ended)
    try:
        await ended
    finally:
        loop.remove_reader(fd)
        os.close(fd)
