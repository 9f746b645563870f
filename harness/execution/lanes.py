"""Runs side by side (`--jobs`): how many at a time, and the part of the cores that each worker keeps to.

A lane is such a part. Logical cores of one physical core stay in one lane as far as they can, since they share its
units; what is left over goes to the first lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from harness.execution.plan import Plan
from harness.spec import RunSettings, RunSpec, parse_cpus
from harness.telemetry.procfs import ROOT, read_int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """What a process here may use: its cores, and how many of them at once where a container's quota is less."""

    numbers: tuple[int, ...]
    at_once: int

    def of(self, settings: RunSettings) -> Cores:
        """Those that a cell may use."""
        if settings.cpus is None:
            return self
        numbers = parse_cpus(settings.cpus)
        return Cores(numbers=numbers, at_once=min(len(numbers), self.at_once))


def lane_count(plan: Plan, cores: Cores) -> tuple[int, str | None]:
    """How many runs of the plan may go on at a time, and why these are fewer than were asked for."""
    asked = plan.jobs
    if asked == 1:
        return 1, None
    fits, why = min((_fitting(cell.spec.settings, cores) for cell in plan.cells), key=lambda found: found[0])
    count = max(1, min(asked, fits, len(plan.order)))
    if fits >= asked or count < fits:
        return count, None
    how = f"{count} runs go on side by side" if count > 1 else "runs go on one after the other, and are timed"
    return count, f"jobs = {asked}, but {why}: {how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One of `count` places where runs go on side by side; alone, it has everything."""

    number: int = 0
    count: int = 1
    cores: Cores | None = None
    root: Path = ROOT

    def place(self, spec: RunSpec) -> RunSpec:
        """The spec of a worker in this lane: its own cores, and no more threads than those."""
        if self.cores is None or self.count == 1:
            return spec
        mine = self.cores.of(spec.settings)
        part = deal(_neighbours(mine.numbers, self.root), self.count)[self.number]
        threads = min(len(part), max(1, mine.at_once // self.count))
        settings = replace(
            spec.settings, cpus=",".join(map(str, sorted(part))), threads=spec.settings.threads or threads
        )
        return replace(spec, settings=settings)


def deal(cores: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """The cores in `count` parts of equal size; the first ones take what is left over."""
    size, more = divmod(len(cores), count)
    ends = [size * part + min(part, more) for part in range(count + 1)]
    return [tuple(cores[start:end]) for start, end in pairwise(ends)]


def _fitting(settings: RunSettings, cores: Cores) -> tuple[int, str]:
    """How many workers of a cell have cores of their own, and the fact that limits them."""
    mine = cores.of(settings)
    threads = settings.threads or 1
    may = f"{mine.at_once} core{'s' if mine.at_once != 1 else ''} may be used"
    return mine.at_once // threads, may if threads == 1 else f"{may} and each worker has {threads} threads"


def _neighbours(cores: Sequence[int], root: Path) -> list[int]:
    """In the order of the physical cores, where the kernel tells them."""
    return sorted(cores, key=lambda core: (*_place(core, root), core))


def _place(core: int, root: Path) -> tuple[int, int]:
    folder = root / f"sys/devices/system/cpu/cpu{core}/topology"
    package, number = read_int(folder / "physical_package_id"), read_int(folder / "core_id")
    return (package or 0, number) if number is not None else (0, core)
