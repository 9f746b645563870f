"""Kernel locks (flock): an experiment's own, which tells the living from the dead, and the machine's measurement lock.

The kernel lets go of a lock when its holder dies, however it dies, and keeps it while a laptop sleeps; no heartbeat
can say either. The descriptor is close-on-exec, so no worker inherits a lock and outlives its experiment with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from harness.errors import UsageError

_LONGEST_TEXT = 400


class FileLock:
    """One file, locked or not by this object. Its content says for people who holds it."""

    def __init__(self, path: Path, *, mode: int = 0o600) -> None:
        self.path = path
        self._mode = mode
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self, text: str) -> bool:
        """Takes the lock and writes who has it; False where somebody else holds it. Never waits."""
        if self._fd is not None:
            return True
        fd = _open(self.path, self._mode)
        if not _try_lock(fd) or not _is_at(fd, self.path):
            os.close(fd)
            return False
        self._fd = fd
        with contextlib.suppress(OSError):  # another user's file may be lockable and yet not writable
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode()[:_LONGEST_TEXT], 0)
        return True

    def holder(self) -> str:
        """What the holder wrote; empty where it cannot be read."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_TEXT].strip()
        except OSError:
            return ""

    def release(self, *, remove: bool = False) -> None:
        """Lets go; `remove` deletes the file first, while it is still ours."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        if remove:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = None


def is_held(path: Path) -> bool | None:
    """Whether a living process holds this lock; None where there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError:
        return True  # another user's private lock: not ours to declare dead
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)  # shared: two who look at once do not see each other
    finally:
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    """Whether the file is still the one of that name: its last holder may have removed it between open and lock."""
    try:
        found, ours = path.stat(), os.fstat(fd)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)


def _try_lock(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path, mode: int) -> int:
    """Opens or creates it. Creation is tried last: with fs.protected_regular (Linux 4.19), O_CREAT on another user's
    file in a sticky folder such as /tmp is refused even where the file itself could be opened."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    problem: OSError | None = None
    for attempt in (os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            fd = os.open(path, flags | attempt, mode)
        except OSError as found:
            problem = found
            continue
        if attempt & os.O_CREAT:
            with contextlib.suppress(OSError):
                os.fchmod(fd, mode)  # whatever the umask
        return fd
    raise UsageError(
        f"the lock file {path} cannot be opened: {problem.strerror if problem else 'unknown'}",
        hint="RECBENCH_RUNTIME names another folder for locks and sockets",
    )
