"""Energy of a measured phase: from a counter where the hardware keeps one, else by integrating its power.

Energy = counter at the end less counter at the start, over the measured segments only. Nothing is subtracted: the
power of the idle machine, measured for two seconds before the run, is a number of its own. Where something could not
be read, the energy is None, never 0.

Processor energy is RAPL's (Documentation/power/powercap/powercap.rst of the kernel). It counts whole packages and
their memory, so everything that runs on them. Kernels since 5.10 let only root read it (CVE-2020-8694).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from harness.telemetry.procfs import ROOT, read_int, read_text
from harness.telemetry.samples import NoTelemetry

EnergyMethod = Literal["counter", "integral"]

# A trapezoid across a longer silence would invent the power in between. Four samples at the slowest telemetry (1 Hz).
LONGEST_GAP_S = 4.0

IDLE_S = 2.0
IDLE_TICK_S = 0.5


class EnergyMeter(Protocol):
    """Adds up the energy of one or more segments. `tick` is called with the telemetry, at least every few seconds:
    it catches counters before they wrap a second time, and samples power."""

    @property
    def method(self) -> EnergyMethod: ...
    @property
    def source(self) -> str:
        """Where the numbers come from, as `nvml` or `rapl: package-0 + dram`."""

    @property
    def seconds(self) -> float:
        """The length of all segments that were ended."""

    def begin(self) -> None: ...
    def tick(self) -> None: ...
    def end(self) -> None: ...
    def energy_j(self) -> float | None:
        """Of all segments that were ended; None where there is none or a part could not be read."""


class CounterEnergy:
    """Energy by counters that only grow, in joules by name. A counter with a `range_j` starts again at 0 beyond it."""

    method: EnergyMethod = "counter"

    def __init__(
        self,
        counters: Callable[[], Mapping[str, float] | None],
        *,
        source: str,
        range_j: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.seconds = 0.0
        self._counters = counters
        self._range_j = dict(range_j or {})
        self._clock = clock
        self._energy_j: float | None = None
        self._failed = False
        self._since_s: float | None = None
        self._last: Mapping[str, float] | None = None

    def begin(self) -> None:
        self.end()
        self._since_s = self._clock()
        self._last = self._counters()
        self._failed |= self._last is None

    def tick(self) -> None:
        if self._since_s is None:
            return
        now = self._counters()
        if now is None or self._last is None or now.keys() != self._last.keys():
            self._failed = True
            return
        steps = [self._step(name, self._last[name], now[name]) for name in now]
        self._last = now
        if any(step is None for step in steps):
            self._failed = True
            return
        self._energy_j = (self._energy_j or 0.0) + sum(step for step in steps if step is not None)

    def end(self) -> None:
        if self._since_s is None:
            return
        self.tick()
        self.seconds += self._clock() - self._since_s
        self._since_s = None

    def energy_j(self) -> float | None:
        return None if self._failed else self._energy_j

    def _step(self, name: str, before: float, now: float) -> float | None:
        """The growth since the last reading. A counter without a range that fell was reset: unknown."""
        if now >= before:
            return now - before
        return now - before + self._range_j[name] if name in self._range_j else None


class IntegralEnergy:
    """Energy as the trapezoid integral of sampled power, for hardware without a counter."""

    method: EnergyMethod = "integral"

    def __init__(
        self,
        power_w: Callable[[], float | None],
        *,
        source: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.seconds = 0.0
        self._power_w = power_w
        self._clock = clock
        self._energy_j: float | None = None
        self._failed = False
        self._times_s: list[float] | None = None
        self._powers_w: list[float] = []

    def begin(self) -> None:
        self.end()
        self._times_s, self._powers_w = [], []
        self._failed |= not self._read()

    def tick(self) -> None:
        self._read()

    def end(self) -> None:
        if self._times_s is None:
            return
        self._failed |= not self._read()
        if self._times_s:
            self.seconds += self._times_s[-1] - self._times_s[0]
            energy_j = trapezoid(self._times_s, self._powers_w)
            self._failed |= energy_j is None
            self._energy_j = (self._energy_j or 0.0) + (energy_j or 0.0)
        self._times_s = None

    def energy_j(self) -> float | None:
        return None if self._failed else self._energy_j

    def _read(self) -> bool:
        """Add a sample; one that fails in the middle leaves a gap, which the trapezoid judges."""
        if self._times_s is None:
            return False
        t_s, power_w = self._clock(), self._power_w()
        if power_w is None:
            return False
        self._times_s.append(t_s)
        self._powers_w.append(power_w)
        return True


def trapezoid(times_s: Sequence[float], powers_w: Sequence[float]) -> float | None:
    """Joules under the sampled power. None for fewer than two samples or a gap longer than `LONGEST_GAP_S`."""
    if len(times_s) < 2:
        return None
    energy_j = 0.0
    for index in range(1, len(times_s)):
        step_s = times_s[index] - times_s[index - 1]
        if step_s > LONGEST_GAP_S:
            return None
        energy_j += step_s * (powers_w[index] + powers_w[index - 1]) / 2
    return energy_j


def mean_power_w(meter: EnergyMeter) -> float | None:
    energy_j = meter.energy_j()
    return None if energy_j is None or meter.seconds <= 0 else energy_j / meter.seconds


def idle_power_w(
    meter: EnergyMeter, *, seconds: float = IDLE_S, sleep: Callable[[float], None] = time.sleep
) -> float | None:
    """The power of the machine before the run, over `seconds`; takes that long. Give it a meter of its own."""
    meter.begin()
    for _ in range(max(1, round(seconds / IDLE_TICK_S))):
        sleep(IDLE_TICK_S)
        meter.tick()
    meter.end()
    return mean_power_w(meter)


def rapl_meter(*, root: Path = ROOT, clock: Callable[[], float] = time.monotonic) -> CounterEnergy | NoTelemetry:
    """A meter of all processor packages and, where it is counted apart, their memory; else why there is none."""
    zones = _rapl_zones(root)
    if not zones:
        return NoTelemetry("this machine has no RAPL energy counters (virtual machines and containers have none)")
    unreadable = [zone for zone in zones if read_int(zone / "energy_uj") is None]
    if unreadable:
        return NoTelemetry(
            f"the RAPL energy counter {unreadable[0].name} may not be read",
            "let the user read /sys/class/powercap/intel-rapl:*/energy_uj, or run as root",
        )
    ranges = {zone.name: read_int(zone / "max_energy_range_uj") for zone in zones}
    names = [read_text(zone / "name") or zone.name for zone in zones]

    def counters() -> dict[str, float] | None:
        values = {zone.name: read_int(zone / "energy_uj") for zone in zones}
        known = {name: value / 1e6 for name, value in values.items() if value is not None}
        return known if len(known) == len(values) else None

    return CounterEnergy(
        counters,
        source="rapl: " + " + ".join(names),
        range_j={name: value / 1e6 for name, value in ranges.items() if value is not None},
        clock=clock,
    )


def _rapl_zones(root: Path) -> list[Path]:
    """Packages, and the memory beside them. Cores and graphics lie within a package, `psys` holds all of them, and
    intel-rapl-mmio is a second view of the same package: none may be counted again."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    return [
        zone
        for zone in zones
        if (name := read_text(zone / "name")) is not None and (name.startswith("package") or name == "dram")
    ]
