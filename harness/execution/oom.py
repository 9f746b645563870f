"""How often the kernel's out-of-memory killer has struck, so that a SIGKILL can be explained.

The control group's own count where it is readable (cgroup-v2.rst, memory.events; cgroup-v1/memory.rst,
memory.oom_control), else the whole machine's (/proc/vmstat, oom_kill, Linux 4.13).
"""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def oom_kills(root: Path = Path("/")) -> int | None:
    """Kills so far; None where nothing tells. Only the difference between two readings means anything."""
    groups = root / _GROUPS.relative_to("/")
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        inside = path.lstrip("/")
        if controllers == "":
            places = (groups / inside / "memory.events", groups / "unified" / inside / "memory.events")
        elif "memory" in controllers.split(","):
            places = (groups / "memory" / inside / "memory.oom_control", groups / "memory/memory.oom_control")
        else:
            continue
        for place in places:
            count = _count(place)
            if count is not None:
                return count
    return _count(root / "proc/vmstat")


def _count(place: Path) -> int | None:
    for line in _text(place).splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
