"""The worker's process tree on Linux: who belongs to it, what processor time it used, where it may run.

Processes come and go while they are looked at: one that is gone is left out, never an error.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.telemetry.procfs import ROOT, clock_ticks_per_s, online_cpus, parse_cpu_list, read_text


@dataclass(frozen=True, slots=True)
class ProcessTimes:
    """One process in /proc/PID/stat. `started` (clock ticks since boot) tells a reused pid from the first one."""

    pid: int
    parent: int
    started: int
    own_cpu_s: float  # user and system, all its threads
    reaped_cpu_s: float  # of children that ended and were waited for, and theirs
    rss_bytes: int


# The share of one core that may go into looking through the process table: 2 of the 20 ms a second that the
# orchestrator and the dashboard may take together. Ten thousand processes take some 0.2 s to look through.
LOOK_SHARE = 0.002

Processes = dict[tuple[int, int], ProcessTimes]  # by pid and start time, so that a reused pid is another process


def tree_cpu_s(first: Processes, last: Processes) -> float:
    """Processor seconds that a process tree used between two looks at it.

    A child that ended meanwhile has handed its whole time to the parent that waited for it, so what it had used
    before the first look is taken off again, at most as much as parents received.
    """
    surviving = used = 0.0
    for key in first.keys() & last.keys():
        before, after = first[key], last[key]
        surviving += after.reaped_cpu_s - before.reaped_cpu_s
        used += after.own_cpu_s - before.own_cpu_s
    born = sum(last[key].own_cpu_s + last[key].reaped_cpu_s for key in last.keys() - first.keys())
    gone = sum(first[key].own_cpu_s + first[key].reaped_cpu_s for key in first.keys() - last.keys())
    return max(0.0, used + surviving + born - min(gone, surviving))


def read_process(pid: int, root: Path = ROOT) -> ProcessTimes | None:
    """/proc/PID/stat, or None where the process is gone."""
    text = read_text(f"{root}/proc/{pid}/stat")
    if text is None or ")" not in text:
        return None
    # The command stands in brackets and may hold spaces and brackets: what follows the last one is regular.
    fields = text[text.rindex(")") + 2 :].split()
    if len(fields) < 22:
        return None
    ticks = clock_ticks_per_s()
    return ProcessTimes(
        pid=pid,
        parent=int(fields[1]),
        started=int(fields[19]),
        own_cpu_s=(int(fields[11]) + int(fields[12])) / ticks,
        reaped_cpu_s=(int(fields[13]) + int(fields[14])) / ticks,
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def look_period_s(cost_s: float, least_s: float) -> float:
    """How long to wait before the next look through the process table, when the last one took `cost_s`."""
    return max(least_s, cost_s / LOOK_SHARE)


def read_processes(pids: Iterable[int], root: Path = ROOT) -> Processes:
    found = (read_process(pid, root) for pid in pids)
    return {(process.pid, process.started): process for process in found if process is not None}


def process_tree(pids: Iterable[int], root: Path = ROOT) -> tuple[int, ...]:
    """`pids` and all their living descendants, in ascending order; those that are gone are left out.

    Uses the kernel's lists of children where it keeps them (CONFIG_PROC_CHILDREN), else scans all processes.
    """
    found = {pid for pid in pids if (root / "proc" / str(pid)).is_dir()}
    if not found:
        return ()
    children = _children_by_scan(root) if _children(next(iter(found)), root) is None else None
    waiting = list(found)
    while waiting:
        pid = waiting.pop()
        below = children.get(pid, ()) if children is not None else (_children(pid, root) or ())
        for child in below:
            if child not in found:
                found.add(child)
                waiting.append(child)
    return tuple(sorted(found))


def _children(pid: int, root: Path) -> tuple[int, ...] | None:
    """The children of all threads of a process, or None where this kernel does not list them."""
    listed = False
    children: list[int] = []
    for task in thread_ids(pid, root):
        text = read_text(f"{root}/proc/{pid}/task/{task}/children")
        if text is not None:
            listed = True
            children += [int(word) for word in text.split()]
    return tuple(children) if listed else None


def _children_by_scan(root: Path) -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for pid in _numbered(root / "proc"):
        process = read_process(pid, root)
        if process is not None:
            children[process.parent].append(pid)
    return children


def thread_ids(pid: int, root: Path = ROOT) -> tuple[int, ...]:
    return tuple(_numbered(root / "proc" / str(pid) / "task"))


def _numbered(folder: Path) -> list[int]:
    try:
        with os.scandir(folder) as entries:
            return sorted(int(entry.name) for entry in entries if entry.name.isdigit())
    except OSError:
        return []


def allowed_cpus(pids: Iterable[int], root: Path = ROOT) -> tuple[int, ...] | None:
    """Every core that any thread of these processes may run on; None where it cannot be read.

    All threads are asked, because OpenMP may bind the main thread to one core and the others elsewhere.
    A process that nobody bound is listed with every core that the machine could ever have, so the list is cut
    to those that are online (a container may number them otherwise: then it stays as it is).
    """
    cpus: set[int] = set()
    for pid in pids:
        for task in thread_ids(pid, root):
            status = read_text(f"{root}/proc/{pid}/task/{task}/status") or ""
            for line in status.splitlines():
                if line.startswith("Cpus_allowed_list:"):
                    cpus.update(parse_cpu_list(line.partition(":")[2]))
    online = online_cpus(root)
    return tuple(sorted(cpus & set(online) if online is not None else cpus)) or tuple(sorted(cpus)) or None
