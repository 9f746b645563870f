"""Reads, around the measure phase, what else the machine did: the numbers that `harness.analysis.contention` judges.

Other processes' processor time = busy time of the cores that the worker may run on, less the worker's process tree,
less the harness itself. Formed this way it also sees what a container hides: /proc/stat counts the whole host while
its processes are invisible from inside.

    meter = ContentionMeter(lambda: [worker.pid], lambda: [os.getpid()])
    meter.begin(); ...; meter.end()     # once for every measured segment
    reading = meter.reading()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.analysis.contention import ContentionReading
from harness.telemetry.cgroup import Throttling, read_throttling
from harness.telemetry.processes import Processes, allowed_cpus, look_period_s, process_tree, read_processes, tree_cpu_s
from harness.telemetry.procfs import ROOT, MachineTimes, read_load, read_machine_times, read_pressure_s

# A tick looks through the process table, which costs some 20 us a process where the kernel keeps no lists of children:
# seldom is enough, since it only serves a worker that dies before its segment ends.
TICK_PERIOD_S = 5.0

# The kernel counts every moment of a core as something. Where less than half of the time is accounted for, the
# counters are stand-ins (gVisor shows zeros) and say nothing.
LEAST_ACCOUNTED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Snapshot:
    t_s: float
    machine: MachineTimes | None
    roots: frozenset[tuple[int, int]]
    worker: Processes
    own: Processes
    throttling: Throttling | None
    cpu_pressure_s: float | None
    memory_pressure_s: float | None


@dataclass(frozen=True, slots=True)
class _Segment:
    """What happened between two snapshots, in seconds. None: not readable."""

    wall_s: float
    cores: int | None
    foreign_s: float | None
    steal_s: float | None
    worker_s: float | None
    own_s: float | None
    throttled_s: float | None
    nr_throttled: float | None
    cpu_pressure_s: float | None
    memory_pressure_s: float | None


class ContentionMeter:
    """Watches the measured segments of one run.

    `worker_pids` names the worker (every rank of it); its descendants are found here. `own_pids` names the
    orchestrator and the faces attached to it; programs that they started and waited for count with them. `cpus` are
    the cores given to the worker; None asks its threads. Nothing is raised where a number cannot be read.
    """

    def __init__(
        self,
        worker_pids: Callable[[], Iterable[int]],
        own_pids: Callable[[], Iterable[int]],
        *,
        cpus: Iterable[int] | None = None,
        root: Path = ROOT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker_pids = worker_pids
        self._own_pids = own_pids
        self._given_cpus = None if cpus is None else tuple(sorted(set(cpus)))
        self._root = root
        self._clock = clock
        self._segments: list[_Segment] = []
        self._first: _Snapshot | None = None
        self._last: _Snapshot | None = None
        self._cpus: tuple[int, ...] | None = None
        self._own_overlap: dict[int, float] = {}
        self._tick_period_s = TICK_PERIOD_S

    def begin(self) -> None:
        """Start a segment. One that is still open is ended where it was last seen."""
        self._close()
        self._first = self._snapshot()
        self._cpus = self._given_cpus
        if self._cpus is None:
            self._cpus = allowed_cpus((pid for pid, _ in self._first.worker), self._root)
        self._own_overlap = {pid: self._overlap(pid) for pid, _ in self._first.own}

    def tick(self) -> None:
        """Remember the numbers so far, in case the worker dies before `end`; call it as often as convenient."""
        if self._first is None:
            return
        since = self._last.t_s if self._last is not None else self._first.t_s
        if self._clock() - since >= self._tick_period_s:
            began_s = time.thread_time()
            self._look()
            self._tick_period_s = look_period_s(time.thread_time() - began_s, TICK_PERIOD_S)

    def end(self) -> None:
        """End the segment. Where the worker is gone already, it ends at the last tick that saw it."""
        if self._first is None:
            return
        self._look()
        if self._last is None:
            self._segments.append(_between(self._first, self._snapshot(), self._cpus, self._own_overlap))
        self._close()

    def reading(self) -> ContentionReading | None:
        """All segments added, the open one up to its last tick; None before there is any."""
        segments = list(self._segments)
        if self._first is not None and self._last is not None:
            segments.append(_between(self._first, self._last, self._cpus, self._own_overlap))
        load = read_load(self._root)
        return _add(segments, None if load is None else load[0]) if segments else None

    def _look(self) -> None:
        now = self._snapshot()
        if self._first is not None and self._first.roots <= now.worker.keys():
            self._last = now

    def _close(self) -> None:
        if self._first is not None and self._last is not None:
            self._segments.append(_between(self._first, self._last, self._cpus, self._own_overlap))
        self._first = self._last = None

    def _snapshot(self) -> _Snapshot:
        roots = set(self._worker_pids())
        machine = read_machine_times(self._root)
        worker = read_processes(process_tree(roots, self._root), self._root)
        return _Snapshot(
            t_s=self._clock(),
            machine=machine,
            roots=frozenset(key for key in worker if key[0] in roots),
            worker=worker,
            own=read_processes(set(self._own_pids()) - {pid for pid, _ in worker}, self._root),
            throttling=read_throttling(self._root),
            cpu_pressure_s=read_pressure_s("cpu", self._root),
            memory_pressure_s=read_pressure_s("memory", self._root),
        )

    def _overlap(self, pid: int) -> float:
        """The share of a harness process's time that fell on the worker's cores, as far as its bindings tell."""
        own = allowed_cpus([pid], self._root)
        if own is None or self._cpus is None:
            return 1.0
        return len(set(own) & set(self._cpus)) / len(own)


def _between(
    first: _Snapshot, last: _Snapshot, cpus: tuple[int, ...] | None, own_overlap: dict[int, float]
) -> _Segment:
    wall_s = last.t_s - first.t_s
    cores = steal_s = busy_s = foreign_s = None
    before = first.machine.of(cpus) if first.machine else None
    after = last.machine.of(cpus) if last.machine else None
    if before is not None and after is not None and first.machine is not None:
        passed = after.since(before)
        cores = len(cpus) if cpus is not None else len(first.machine.cores)
        if passed.total >= LEAST_ACCOUNTED_SHARE * wall_s * cores:
            steal_s, busy_s = passed.steal, passed.busy
    worker_alive = bool(first.roots) and first.roots <= last.worker.keys()
    worker_s = tree_cpu_s(first.worker, last.worker) if worker_alive else None
    own = {key: tree_cpu_s({key: first.own[key]}, {key: last.own[key]}) for key in first.own.keys() & last.own.keys()}
    if busy_s is not None and worker_s is not None:
        own_here_s = sum(seconds * own_overlap.get(key[0], 1.0) for key, seconds in own.items())
        # Ticks of the cores and of the processes are counted apart: a small negative rest is none at all.
        foreign_s = max(0.0, busy_s - worker_s - own_here_s)
    throttled_s = nr_throttled = None
    if first.throttling is not None and last.throttling is not None:
        throttled_s = last.throttling.seconds - first.throttling.seconds
        nr_throttled = last.throttling.periods - first.throttling.periods
    return _Segment(
        wall_s=wall_s,
        cores=cores,
        foreign_s=foreign_s,
        steal_s=steal_s,
        worker_s=worker_s,
        own_s=sum(own.values()) if own else None,
        throttled_s=throttled_s,
        nr_throttled=nr_throttled,
        cpu_pressure_s=_difference(first.cpu_pressure_s, last.cpu_pressure_s),
        memory_pressure_s=_difference(first.memory_pressure_s, last.memory_pressure_s),
    )


def _difference(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else max(0.0, last - first)


def _add(segments: list[_Segment], load1: float | None) -> ContentionReading:
    wall_s = sum(segment.wall_s for segment in segments)
    core_s = _total(None if s.cores is None else s.wall_s * s.cores for s in segments)
    foreign_s = _total(segment.foreign_s for segment in segments)
    nr_throttled = _total(segment.nr_throttled for segment in segments)
    return ContentionReading(
        wall_s=wall_s,
        segments=len(segments),
        cores=segments[-1].cores,
        foreign_cpu_share=_ratio(foreign_s, core_s),
        foreign_cores=_ratio(foreign_s, wall_s),
        steal_share=_ratio(_total(segment.steal_s for segment in segments), core_s),
        throttled_s=_total(segment.throttled_s for segment in segments),
        nr_throttled=None if nr_throttled is None else int(nr_throttled),
        pressure_some_avg=_ratio(_total(segment.cpu_pressure_s for segment in segments), wall_s),
        memory_pressure_some_avg=_ratio(_total(segment.memory_pressure_s for segment in segments), wall_s),
        load1=load1,
        worker_cpu_per_wall=_ratio(_total(segment.worker_s for segment in segments), wall_s),
        own_share=_ratio(_total(segment.own_s for segment in segments), core_s),
    )


def _total(values: Iterable[float | None]) -> float | None:
    """The sum, or None as soon as one part of it is not known."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
