"""Samples the host and the worker's process tree twice a second, cheaply, from the orchestrator's process.

On Linux one reading of /proc/stat gives all cores and the context switches; elsewhere psutil serves. What is
expensive or disturbs the worker (frequency readings interrupt the cores that they ask; the process table is walked to
find children) is read seldom and repeated until the next reading.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.telemetry import portable
from harness.telemetry.processes import Processes, look_period_s, process_tree, read_processes, tree_cpu_s
from harness.telemetry.procfs import (
    ROOT,
    MachineTimes,
    online_cpus,
    read_int,
    read_load,
    read_machine_times,
    read_memory_bytes,
    read_text,
)

# Children are looked for, and frequency and temperature are read, this often; seldomer among very many processes.
SLOW_PERIOD_S = 5.0

HOST_UNITS = {
    "cpu_total": "share",
    "memory_used_bytes": "bytes",
    "memory_available_bytes": "bytes",
    "worker_cpu_per_wall": "cores",
    "worker_rss_bytes": "bytes",
    "worker_read_bytes": "bytes",
    "worker_write_bytes": "bytes",
    "load1": "processes",
    "context_switches_per_s": "1/s",
    "frequency_mhz": "MHz",
    "temperature_c": "°C",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """The host at one moment. Shares are over the time since the sample before. None: not readable here.

    `worker_cpu_per_wall` counts a child that nobody saw when its parent has waited for it, all at once.
    `worker_rss_bytes` counts pages shared between the worker's processes once for each. The worker's reads and
    writes are those that reached a storage device, since the worker began.
    """

    t_s: float  # monotonic
    unix_s: float  # wall clock
    cpu_by_core: tuple[float, ...] | None  # busy share by core, in the order of their numbers
    cpu_total: float | None
    memory_used_bytes: int | None
    memory_available_bytes: int | None
    worker_processes: int
    worker_cpu_per_wall: float | None  # 1.0 is one core kept busy
    worker_rss_bytes: int | None
    worker_read_bytes: int | None
    worker_write_bytes: int | None
    load1: float | None
    load5: float | None
    load15: float | None
    context_switches_per_s: float | None
    frequency_mhz: float | None
    temperature_c: float | None


class HostSampler:
    """Keeps the counters of the sample before. `worker_pids` names the workers of the moment, none between runs.

    The first sample is taken against the construction, so it means something unless it follows at once.
    """

    def __init__(
        self,
        worker_pids: Callable[[], Iterable[int]],
        *,
        root: Path = ROOT,
        clock: Callable[[], float] = time.monotonic,
        through_psutil: bool | None = None,
    ) -> None:
        self._worker_pids = worker_pids
        self._root = root
        self._clock = clock
        self._portable = not sys.platform.startswith("linux") if through_psutil is None else through_psutil
        self._roots: tuple[int, ...] = ()
        self._tree: tuple[int, ...] = ()
        self._looked_s: float | None = None
        self._period_s = SLOW_PERIOD_S
        self._frequency_mhz: float | None = None
        self._temperature_c: float | None = None
        self._t_s = clock()
        self._machine = self._machine_times()
        self._worker = self._processes(self._t_s)

    def sample(self) -> HostSample:
        """One sample; never raises because of something that cannot be read or a process that has ended."""
        t_s = self._clock()
        wall_s = t_s - self._t_s
        machine = self._machine_times()
        by_core, total = _shares(self._machine, machine)
        worker = self._processes(t_s)
        known = bool(worker.keys() & self._worker.keys()) and wall_s > 0
        # A child seen for the first time may be seconds old: what it used until now belongs to no single sample.
        before_worker = worker | self._worker
        used_bytes, available_bytes = self._memory()
        read_bytes, write_bytes = self._storage_bytes(worker)
        load = portable.load() if self._portable else read_load(self._root)
        switches = None
        if machine and self._machine and wall_s > 0:
            before, after = self._machine.context_switches, machine.context_switches
            switches = None if before is None or after is None else (after - before) / wall_s
        sample = HostSample(
            t_s=t_s,
            unix_s=time.time(),
            cpu_by_core=by_core,
            cpu_total=total,
            memory_used_bytes=used_bytes,
            memory_available_bytes=available_bytes,
            worker_processes=len(worker),
            worker_cpu_per_wall=tree_cpu_s(before_worker, worker) / wall_s if known else None,
            worker_rss_bytes=sum(process.rss_bytes for process in worker.values()) if worker else None,
            worker_read_bytes=read_bytes,
            worker_write_bytes=write_bytes,
            load1=load[0] if load else None,
            load5=load[1] if load else None,
            load15=load[2] if load else None,
            context_switches_per_s=switches,
            frequency_mhz=self._frequency_mhz,
            temperature_c=self._temperature_c,
        )
        self._t_s, self._machine, self._worker = t_s, machine, worker
        return sample

    def _machine_times(self) -> MachineTimes | None:
        return portable.machine_times() if self._portable else read_machine_times(self._root)

    def _processes(self, t_s: float) -> Processes:
        roots = tuple(self._worker_pids())
        if self._looked_s is None or roots != self._roots or t_s - self._looked_s >= self._period_s:
            began_s = time.thread_time()
            self._roots, self._looked_s = roots, t_s
            self._tree = portable.process_tree(roots) if self._portable else process_tree(roots, self._root)
            self._frequency_mhz, self._temperature_c = self._frequency(), self._temperature()
            self._period_s = look_period_s(time.thread_time() - began_s, SLOW_PERIOD_S)
        return portable.read_processes(self._tree) if self._portable else read_processes(self._tree, self._root)

    def _memory(self) -> tuple[int | None, int | None]:
        if self._portable:
            return portable.memory_bytes()
        sizes = read_memory_bytes(self._root)
        total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
        return (None if total is None or available is None else total - available), available

    def _storage_bytes(self, worker: Processes) -> tuple[int | None, int | None]:
        """Bytes read from and written to storage by the whole tree; None where one process forbids asking."""
        if not worker or self._portable:
            return None, None
        read_bytes = write_bytes = 0
        for pid, _ in worker:
            text = read_text(f"{self._root}/proc/{pid}/io")
            if not text:
                return None, None
            counters = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
            try:
                read_bytes += int(counters["read_bytes"])
                write_bytes += int(counters["write_bytes"])
            except (KeyError, ValueError):
                return None, None
        return read_bytes, write_bytes

    def _frequency(self) -> float | None:
        """Of the first core only: asking each would interrupt each."""
        if self._portable:
            return None
        cores = online_cpus(self._root) or (0,)
        scaling = self._root / f"sys/devices/system/cpu/cpu{cores[0]}/cpufreq/scaling_cur_freq"
        khz = read_int(scaling)
        return None if khz is None else khz / 1000

    def _temperature(self) -> float | None:
        """The hottest processor sensor, by the kernel's drivers for processors."""
        hottest: float | None = None
        for folder in sorted((self._root / "sys/class/hwmon").glob("hwmon*")):
            if read_text(folder / "name") not in ("coretemp", "k10temp", "zenpower", "cpu_thermal"):
                continue
            for file in folder.glob("temp*_input"):
                millidegrees = read_int(file)
                if millidegrees is not None and (hottest is None or millidegrees / 1000 > hottest):
                    hottest = millidegrees / 1000
        return hottest


def _shares(before: MachineTimes | None, after: MachineTimes | None) -> tuple[tuple[float, ...] | None, float | None]:
    """Busy share by core and over all; a core that came or went between the readings is left out."""
    if before is None or after is None:
        return None, None
    passed = [after.cores[core].since(before.cores[core]) for core in sorted(after.cores) if core in before.cores]
    whole = sum((times.total for times in passed), 0.0)
    if whole <= 0:
        return None, None
    by_core = tuple(times.busy / times.total if times.total > 0 else 0.0 for times in passed)
    return by_core, sum(times.busy for times in passed) / whole
