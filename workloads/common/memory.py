"""How much memory is free, asked before the first byte is allocated: the kernel's own answer is to kill the process."""

from __future__ import annotations

from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Memory this process may still take: what the machine has left, or the container's limit if that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = _number(_CGROUP / "memory.max")
    used = _number(_CGROUP / "memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used + _cached_files(_CGROUP / "memory.stat")))
    return free


def _cached_files(path: Path) -> int:
    """Bytes of file cache that count as used and that the kernel gives back when asked for memory."""
    try:
        entries = dict(line.split(" ", 1) for line in path.read_text().splitlines())
        return int(entries["inactive_file"]) + int(entries["active_file"])
    except (OSError, ValueError, KeyError):
        return 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or the word "max"
        return None
