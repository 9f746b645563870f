"""The control group this process lives in: its processor quota, its memory limit, and how often it was throttled.

Both kernels' layouts are read: version 2 (one tree) and version 1 (a tree per controller), found through
/proc/self/mounts and /proc/self/cgroup. A limit may stand at any level above, so all levels up to the mount are
asked: the tightest limit holds, and the level that was throttled most tells how long.
Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel, scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.telemetry.procfs import ROOT, read_int, read_text

# Version 1 says "no limit" with the largest page-aligned number; anything near it is no limit.
NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """`cpu_quota_cores`: processor seconds allowed per second. None: no limit, or none that can be read."""

    version: Literal["v1", "v2"] | None
    cpu_quota_cores: float | None
    memory_limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class Throttling:
    """Since the group was made: periods cut short, and the seconds (added over cores) that tasks stood still."""

    periods: int
    seconds: float


def read_limits(root: Path = ROOT) -> CgroupLimits:
    """The tightest processor quota and memory limit above this process."""
    cpu_levels, cpu_version = _levels("cpu", root)
    memory_levels, memory_version = _levels("memory", root)
    quotas = [quota for level in cpu_levels if (quota := _quota_cores(level)) is not None]
    limits = [limit for level in memory_levels if (limit := _memory_limit_bytes(level)) is not None]
    return CgroupLimits(
        version=cpu_version or memory_version,
        cpu_quota_cores=min(quotas, default=None),
        memory_limit_bytes=min(limits, default=None),
    )


def read_throttling(root: Path = ROOT) -> Throttling | None:
    """How long this process's group was held back until now; None where the kernel does not say."""
    levels, _ = _levels("cpu", root)
    found = [throttling for level in levels if (throttling := _throttling(level)) is not None]
    return max(found, key=lambda throttling: throttling.seconds, default=None)


def cgroup_names(root: Path = ROOT, pid: str = "self") -> tuple[str, ...]:
    """The group paths of a process as /proc names them; container engines show in them."""
    lines = (read_text(root / "proc" / pid / "cgroup") or "").splitlines()
    return tuple(dict.fromkeys(line.split(":", 2)[2] for line in lines if line.count(":") >= 2))


def _levels(controller: str, root: Path) -> tuple[list[Path], Literal["v1", "v2"] | None]:
    """The folders from this process's group up to the mount, and the version of the tree they are in."""
    memberships = [
        line.split(":", 2) for line in (read_text(root / "proc/self/cgroup") or "").splitlines() if line.count(":") >= 2
    ]
    for mount, kind, options in _mounts(root):
        if kind == "cgroup" and controller in options:
            for _, controllers, path in memberships:
                if controller in controllers.split(","):
                    return list(_upwards(mount, path)), "v1"
    for mount, kind, _ in _mounts(root):
        if kind == "cgroup2":
            for number, controllers, path in memberships:
                if number == "0" and not controllers:
                    return list(_upwards(mount, path)), "v2"
    return [], None


def _mounts(root: Path) -> Iterator[tuple[Path, str, list[str]]]:
    for line in (read_text(root / "proc/self/mounts") or "").splitlines():
        words = line.split()
        if len(words) >= 4 and words[2] in ("cgroup", "cgroup2"):
            yield root / words[1].lstrip("/"), words[2], words[3].split(",")


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """From the group to the mount. In a container /proc may name the host's path, which is not mounted here: then
    the mount itself is the group."""
    folder = mount / path.lstrip("/")
    if ".." in folder.parts or not folder.is_dir():
        folder = mount
    while folder != mount:
        yield folder
        folder = folder.parent
    yield mount


def _quota_cores(level: Path) -> float | None:
    together = read_text(level / "cpu.max")
    if together is not None:
        quota, _, period = together.partition(" ")
        return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None
    quota_us = read_int(level / "cpu.cfs_quota_us")
    period_us = read_int(level / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us is not None and quota_us > 0 and period_us else None


def _memory_limit_bytes(level: Path) -> int | None:
    limit = read_int(level / "memory.max")  # the word "max" reads as None
    if limit is None:
        limit = read_int(level / "memory.limit_in_bytes")
    return limit if limit is not None and limit < NO_LIMIT_BYTES else None


def _throttling(level: Path) -> Throttling | None:
    fields = dict(line.split(" ", 1) for line in (read_text(level / "cpu.stat") or "").splitlines() if " " in line)
    periods = fields.get("nr_throttled", "")
    if not periods.isdigit():
        return None
    microseconds, nanoseconds = fields.get("throttled_usec", ""), fields.get("throttled_time", "")
    if microseconds.isdigit():
        return Throttling(int(periods), int(microseconds) / 1e6)
    if nanoseconds.isdigit():
        return Throttling(int(periods), int(nanoseconds) / 1e9)
    return None
