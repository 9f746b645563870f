"""Linux's /proc and /sys as plain numbers: processor times, pressure, load and memory.

Read directly rather than through psutil where one file answers several questions: the kernel walks every
interrupt counter of every core for each reading of /proc/stat, which costs milliseconds on large hosts, and the
sampler must stay cheap. Every function takes the `root` that /proc and /sys stand in, so that tests bring their
own trees; every file that is missing, forbidden or not as expected reads as None.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds of one core (or of several, added) since the machine started; see proc_stat(5).

    Guest time is part of `user`, so it is not counted again. `iowait` counts as idle: the core was free.
    """

    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0

    @property
    def busy(self) -> float:
        """Seconds in which this machine's own work ran; stolen time was another machine's."""
        return self.user + self.nice + self.system + self.irq + self.softirq

    @property
    def total(self) -> float:
        return self.busy + self.idle + self.iowait + self.steal

    def __add__(self, other: CpuTimes) -> CpuTimes:
        return CpuTimes(*(getattr(self, name) + getattr(other, name) for name in CPU_FIELDS))

    def since(self, earlier: CpuTimes) -> CpuTimes:
        """The seconds between two readings; a counter that ran backwards (iowait may) gives 0."""
        return CpuTimes(*(max(0.0, getattr(self, name) - getattr(earlier, name)) for name in CPU_FIELDS))


CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True, slots=True)
class MachineTimes:
    """One reading of /proc/stat: seconds by core number, and context switches since the machine started."""

    cores: dict[int, CpuTimes]
    context_switches: int | None

    def of(self, cpus: Iterable[int] | None) -> CpuTimes | None:
        """The seconds of the given cores added; None where one of them is not listed.

        A container may list its cores under other numbers (lxcfs): then the whole list stands for them,
        provided that it has as many entries.
        """
        wanted = None if cpus is None else set(cpus)
        if not self.cores or wanted == set():
            return None
        if wanted is None or len(wanted) == len(self.cores):
            chosen = set(self.cores)
        elif wanted <= set(self.cores):
            chosen = wanted
        else:
            return None
        return sum((self.cores[cpu] for cpu in chosen), CpuTimes())


def read_text(path: Path | str) -> str | None:
    """The file's text, or None where it is missing or forbidden. Unbuffered: most of these files are one line."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a third of the cost of Path.read_text
            return file.read().decode("utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return None


def read_int(path: Path | str) -> int | None:
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """`0-3,8` as (0, 1, 2, 3, 8): the kernel's list format, also that of `--cpus`. Raises ValueError."""
    cpus: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cpus))


def clock_ticks_per_s() -> int:
    return os.sysconf("SC_CLK_TCK")


def read_machine_times(root: Path = ROOT) -> MachineTimes | None:
    """/proc/stat in one reading, or None where there is none."""
    text = read_text(root / "proc/stat")
    if text is None:
        return None
    ticks = clock_ticks_per_s()
    cores: dict[int, CpuTimes] = {}
    switches: int | None = None
    for line in text.splitlines():
        if line.startswith("cpu") and line[3:4].isdigit():
            name, *fields = line.split()
            try:
                seconds = [int(value) / ticks for value in fields[: len(CPU_FIELDS)]]
                cores[int(name[3:])] = CpuTimes(*seconds)
            except ValueError:
                return None
        elif line.startswith("ctxt "):
            switches = int(line.split()[1])
            break  # the long interrupt lines are of no use here
    return MachineTimes(cores, switches) if cores else None


def online_cpus(root: Path = ROOT) -> tuple[int, ...] | None:
    text = read_text(root / "sys/devices/system/cpu/online")
    try:
        return None if not text else parse_cpu_list(text)
    except ValueError:
        return None


def read_pressure_s(resource: str, root: Path = ROOT) -> float | None:
    """Seconds since boot in which some task waited for `resource` (cpu, memory, io); kernel pressure stall
    information (Documentation/accounting/psi.rst). None where the kernel keeps none."""
    for line in (read_text(root / "proc/pressure" / resource) or "").splitlines():
        if line.startswith("some "):
            for field in line.split():
                key, _, value = field.partition("=")
                if key == "total" and value.isdigit():
                    return int(value) / 1e6
    return None


def read_load(root: Path = ROOT) -> tuple[float, float, float] | None:
    """The load average of 1, 5 and 15 minutes."""
    words = (read_text(root / "proc/loadavg") or "").split()
    try:
        return (float(words[0]), float(words[1]), float(words[2]))
    except (IndexError, ValueError):
        return None


def read_memory_bytes(root: Path = ROOT) -> dict[str, int]:
    """/proc/meminfo with its sizes in bytes and its counts (HugePages_Total) as they are; empty if unreadable."""
    memory: dict[str, int] = {}
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            memory[name] = int(words[0]) * (1024 if words[1:] == ["kB"] else 1)
    return memory
