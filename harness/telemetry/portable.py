"""The same readings through psutil, where there is no Linux /proc (macOS, BSD)."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from harness.telemetry.processes import Processes, ProcessTimes
from harness.telemetry.procfs import CPU_FIELDS, CpuTimes, MachineTimes


def machine_times() -> MachineTimes:
    cores = {
        core: CpuTimes(*(float(getattr(times, name, 0.0)) for name in CPU_FIELDS))
        for core, times in enumerate(psutil.cpu_times(percpu=True))
    }
    return MachineTimes(cores, int(psutil.cpu_stats().ctx_switches))


def memory_bytes() -> tuple[int, int]:
    """Used and available."""
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available), int(memory.available)


def load() -> tuple[float, float, float]:
    one, five, fifteen = psutil.getloadavg()
    return float(one), float(five), float(fifteen)


def physical_cores() -> int | None:
    cores: int | None = psutil.cpu_count(logical=False)
    return cores


def process_tree(roots: Iterable[int]) -> tuple[int, ...]:
    pids: set[int] = set()
    for pid in roots:
        try:
            pids |= {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
        except psutil.Error:
            continue  # it has ended
    return tuple(sorted(pids))


def read_processes(pids: Iterable[int]) -> Processes:
    found = (_read_process(pid) for pid in pids)
    return {(process.pid, process.started): process for process in found if process is not None}


def _read_process(pid: int) -> ProcessTimes | None:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            return ProcessTimes(
                pid=pid,
                parent=process.ppid(),
                started=int(process.create_time() * 1000),
                own_cpu_s=times.user + times.system,
                reaped_cpu_s=getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0),
                rss_bytes=memory.rss,
            )
    except psutil.Error:
        return None
