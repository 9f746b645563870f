"""Was the machine busy with something else while a run was measured? The verdict from the numbers, and why.

The numbers are taken by `harness.telemetry.contention`; nothing here reads the machine, so a stored reading can be
judged again. What the thresholds mean, and why they are where they are, is told in docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Processor time is counted in ticks of 10 ms, and each process's last tick may fall on either side of a reading:
# under half a second on two cores a single tick is already 1 % of the machine.
SHORTEST_JUDGED_S = 0.5

# Other processes on the cores that the run needs, as a share of those cores. Whatever is taken there is lost at
# least once: 5 % is beyond the 2 % within which throughputs are called the same, and above what the daemons of an
# idle desktop take. With two runnable neighbours, two-thread steps slow down 5 to 30 times (OpenMP barriers).
FOREIGN_SHARE_OF_USED_CORES = 0.05

# Other processes anywhere on the cores that the run may use, also on those it leaves free: caches, memory bandwidth
# and turbo are shared, and gathers from embedding tables are bound by exactly these.
FOREIGN_SHARE_OF_ALLOWED_CORES = 0.25

# A hypervisor that gave the core to another machine: the same 2 % within which throughputs are called the same.
STEAL_SHARE_OF_USED_CORES = 0.02

# A control group out of quota: its tasks stood still for this share of the time of the cores in use.
THROTTLED_SHARE_OF_USED_CORES = 0.02

# Waiting for memory (reclaim, swap) stalls gathers by milliseconds at a time.
MEMORY_PRESSURE_SHARE = 0.05

# Only where other processes' time cannot be read: tasks waited for a core during this share of the time. It counts
# the run's own surplus threads too, hence far above the others.
CPU_PRESSURE_SHARE = 0.20

# More processor time than the threads asked for could use: a library started its own.
SURPLUS_CPU_FACTOR = 1.25

MOST_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentionReading:
    """What else the machine did during the measured segments of a run, added over them. None: not readable.

    Shares are of `wall_s` times `cores`, the cores that the run may use; the pressures are shares of `wall_s`.
    """

    wall_s: float
    segments: int = 1
    cores: int | None = None
    foreign_cpu_share: float | None = None  # processes that are neither the run nor the harness
    foreign_cores: float | None = None  # the same as processor seconds per second
    steal_share: float | None = None
    throttled_s: float | None = None  # added over cores
    nr_throttled: int | None = None
    pressure_some_avg: float | None = None  # some task waited for a core
    memory_pressure_some_avg: float | None = None
    load1: float | None = None  # at the end; a minute's memory, and it counts the run itself: shown, not judged
    worker_cpu_per_wall: float | None = None  # 1.0 is one core kept busy
    own_share: float | None = None  # the orchestrator and its faces


def judge(reading: ContentionReading | None, cores_used: int | None = None) -> tuple[bool | None, str | None]:
    """Whether the run was contended, and the sentence that says why (None when it was not).

    `cores_used` is the number of cores that the run keeps busy (its threads over all ranks); None stands for all
    it may use. (None, sentence) means that it could not be judged.
    """
    if reading is None:
        return None, "contention could not be judged: no measured segment was observed"
    if reading.wall_s < SHORTEST_JUDGED_S:
        return None, (
            f"contention could not be judged: only {reading.wall_s:.2f} s were measured, "
            f"less than the {SHORTEST_JUDGED_S} s that processor ticks need"
        )
    reasons = [
        reason
        for reason in (
            _foreign(reading, cores_used),
            _steal(reading, cores_used),
            _throttled(reading, cores_used),
            _memory(reading),
            _pressure(reading),
        )
        if reason is not None
    ]
    if reasons:
        return True, "; ".join(reasons)
    if reading.foreign_cpu_share is None and reading.pressure_some_avg is None:
        return None, "contention could not be judged: other processes' processor time cannot be read here"
    return False, None


def judge_card(other_pids: Iterable[Sequence[int] | None]) -> tuple[bool | None, str | None]:
    """The same for an accelerator: whether other processes computed on the card, by what each sample saw.

    One that only holds memory there cannot be told from one that waits for its next batch, so both count.
    """
    seen = [pids for pids in other_pids if pids is not None]
    if not seen:
        return None, "other processes on the card cannot be listed here"
    strangers = sorted({pid for pids in seen for pid in pids})
    if not strangers:
        return False, None
    listed = ", ".join(str(pid) for pid in strangers[:MOST_LISTED])
    more = "" if len(strangers) <= MOST_LISTED else f" and {len(strangers) - MOST_LISTED} more"
    return True, f"other processes were on the card: {listed}{more}"


def surplus_threads(reading: ContentionReading, cores_used: int) -> str | None:
    """A warning when the run used more processor time than its threads could: a library started its own.

    That is no contention (it is the run's own doing) but makes a run just as fragile.
    """
    used = reading.worker_cpu_per_wall
    if used is None or reading.wall_s < SHORTEST_JUDGED_S or used <= cores_used * SURPLUS_CPU_FACTOR:
        return None
    asked = "1 thread was" if cores_used == 1 else f"{cores_used} threads were"
    return f"the worker used {used:.1f} cores though {asked} asked for: a library runs threads of its own"


def _used(reading: ContentionReading, cores_used: int | None) -> int | None:
    """The cores in use, at most those allowed."""
    if reading.cores is None:
        return cores_used
    return reading.cores if cores_used is None else max(1, min(cores_used, reading.cores))


def _foreign(reading: ContentionReading, cores_used: int | None) -> str | None:
    foreign, cores, share = reading.foreign_cores, reading.cores, reading.foreign_cpu_share
    used = _used(reading, cores_used)
    if foreign is None or cores is None or share is None or used is None:
        return None
    # The scheduler puts strangers on free cores first; what does not fit there is taken from the run.
    taken = max(0.0, foreign - (cores - used))
    if taken / used > FOREIGN_SHARE_OF_USED_CORES:
        return f"other processes used {foreign:.2f} of the {cores} cores while this run needed {used}"
    if share > FOREIGN_SHARE_OF_ALLOWED_CORES:
        return f"other processes used {share:.0%} of the {cores} cores, and share their caches and memory"
    return None


def _steal(reading: ContentionReading, cores_used: int | None) -> str | None:
    used = _used(reading, cores_used)
    if reading.steal_share is None or reading.cores is None or used is None:
        return None
    stolen = reading.steal_share * reading.cores / used
    if stolen <= STEAL_SHARE_OF_USED_CORES:
        return None
    return f"the hypervisor took {stolen:.1%} of the cores' time for other machines"


def _throttled(reading: ContentionReading, cores_used: int | None) -> str | None:
    used = _used(reading, cores_used) or 1
    if reading.throttled_s is None or reading.throttled_s / (reading.wall_s * used) <= THROTTLED_SHARE_OF_USED_CORES:
        return None
    times = "" if reading.nr_throttled is None else f" in {reading.nr_throttled} periods"
    return f"the control group's processor quota held it back for {reading.throttled_s:.2f} core-seconds{times}"


def _memory(reading: ContentionReading) -> str | None:
    pressure = reading.memory_pressure_some_avg
    if pressure is None or pressure <= MEMORY_PRESSURE_SHARE:
        return None
    return f"tasks waited for memory during {pressure:.0%} of the time"


def _pressure(reading: ContentionReading) -> str | None:
    pressure = reading.pressure_some_avg
    if reading.foreign_cpu_share is not None or pressure is None or pressure <= CPU_PRESSURE_SHARE:
        return None
    return f"tasks waited for a core during {pressure:.0%} of the time"
