"""Watches machine and device while runs are measured: telemetry twice a second, contention and energy of each run.

Runs in the orchestrator. A source that cannot be read is left out and said once; nothing here can fail a run.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.analysis.contention import ContentionReading, judge, surplus_threads
from harness.registry import parse_device
from harness.spec import RunSettings, parse_cpus
from harness.telemetry.contention import ContentionMeter
from harness.telemetry.graphcore import GRAPHCORE_UNITS, GraphcoreSample, GraphcoreSampler, open_graphcore
from harness.telemetry.host import HOST_UNITS, HostSampler
from harness.telemetry.nvidia import NVIDIA_UNITS, NvidiaSample, NvidiaSampler, open_nvidia
from harness.telemetry.power import EnergyMeter, rapl_meter
from harness.telemetry.processes import process_tree
from harness.telemetry.samples import CardSample, NoTelemetry, series_values

PERIOD_S = 0.5
Pids = Callable[[], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Load:
    """What else happened while a run was measured, as its row keeps it."""

    contended: bool | None
    reason: str | None
    values: Mapping[str, Any]
    warning: str | None = None


class Watch:
    """The samplers of an experiment's devices, open as long as it lasts. `pythons`: a device's `--python`, if given."""

    def __init__(
        self,
        devices: Iterable[str],
        worker_pids: Pids,
        own_pids: Pids,
        pythons: Mapping[str, str | None] | None = None,
    ) -> None:
        self.notices: list[str] = []
        self._worker_pids = worker_pids
        self._own_pids = own_pids
        self._host = HostSampler(worker_pids)
        self._cards: dict[str, NvidiaSampler | GraphcoreSampler] = {}
        for device in dict.fromkeys(devices):
            found = _open_card(device, (pythons or {}).get(device))
            if isinstance(found, NoTelemetry):
                self.notices.append(f"no telemetry of {device}: {found.reason}")
            elif found is not None:
                self._cards[device] = found

    async def sample(self, meters: Meters | None) -> list[tuple[str, dict[str, float | None], dict[str, Any]]]:
        """(source, numbers to store, all there is to show) of each source. The card is asked off the event loop."""
        host = self._host.sample()
        found = [("host", series_values(host, HOST_UNITS), dataclasses.asdict(host))]
        card: CardSample | None = None
        device = meters.device if meters is not None else next(iter(self._cards), None)
        if device in self._cards:
            sampler = self._cards[device]
            units = GRAPHCORE_UNITS if isinstance(sampler, GraphcoreSampler) else NVIDIA_UNITS
            sample: NvidiaSample | GraphcoreSample = await asyncio.to_thread(
                sampler.sample, process_tree(self._worker_pids())
            )
            shown = {**dataclasses.asdict(sample), "slowed_by": sample.slowed_by}
            found.append((device, series_values(sample, units), shown))
            card = sample
        if meters is not None:
            meters.tick(card)
        return found

    def meters(self, settings: RunSettings) -> Meters:
        """The meters of a new run."""
        card = self._cards.get(settings.device)
        found = card.energy_meter() if card is not None else rapl_meter()
        energy = None if isinstance(found, NoTelemetry) else found
        cpus = None if settings.cpus is None else parse_cpus(settings.cpus)
        cores_used = None if settings.threads is None else settings.threads * settings.ranks
        contention = ContentionMeter(self._worker_pids, self._own_pids, cpus=cpus)
        return Meters(settings.device, contention, energy, cores_used)

    def close(self) -> None:
        for card in self._cards.values():
            card.close()


def _open_card(device: str, python: str | None) -> NvidiaSampler | GraphcoreSampler | NoTelemetry | None:
    """None where a device has no telemetry of its own."""
    family, index = parse_device(device)
    if family == "cuda":
        return open_nvidia(index or 0)
    return open_graphcore(python) if family == "ipu" else None


class Meters:
    """Contention and energy over the measured segments of one run."""

    def __init__(
        self, device: str, contention: ContentionMeter, energy: EnergyMeter | None, cores_used: int | None
    ) -> None:
        self.device = device
        self._contention = contention
        self._energy = energy
        self._cores_used = cores_used
        self._open = False
        self._other_pids: set[int] = set()
        self._slowed_by: set[str] = set()
        self._utilizations: list[float] = []

    def begin(self) -> None:
        """A measured segment begins."""
        self._open = True
        self._contention.begin()
        if self._energy is not None:
            self._energy.begin()

    def end(self) -> None:
        """The segment is over; nothing happens where none is open."""
        if not self._open:
            return
        self._open = False
        self._contention.end()
        if self._energy is not None:
            self._energy.end()

    def tick(self, card: CardSample | None) -> None:
        if not self._open:
            return
        self._contention.tick()
        if self._energy is not None:
            self._energy.tick()
        if card is not None:
            self._other_pids.update(card.other_pids or ())
            self._slowed_by.update(card.slowed_by)
            if card.utilisation is not None:
                self._utilizations.append(card.utilisation)

    def accelerator_utilization(self) -> float | None:
        """Mean share of its sampling periods in which the card ran any kernel; None where there is no card to ask."""
        return fmean(self._utilizations) if self._utilizations else None

    def energy_j(self) -> float | None:
        """Of all segments; None where it cannot be read."""
        return self._energy.energy_j() if self._energy is not None else None

    def load(self) -> Load:
        """The verdict over all segments."""
        reading = self._contention.reading()
        contended, reason = judge(reading, self._cores_used)
        if self._other_pids:
            count = "another process" if len(self._other_pids) == 1 else f"{len(self._other_pids)} other processes"
            sentence = f"{count} used the card"
            reason = f"{reason}; {sentence}" if contended and reason else sentence
            contended = True
        return Load(contended, reason, self._values(reading), self._warning(reading))

    def _values(self, reading: ContentionReading | None) -> dict[str, Any]:
        values: dict[str, Any] = {} if reading is None else dataclasses.asdict(reading)
        if self._other_pids:
            values["other_pids_on_card"] = sorted(self._other_pids)
        if self._slowed_by:
            values["card_slowed_by"] = sorted(self._slowed_by)
        if self._energy is not None:
            values["energy_source"], values["energy_method"] = self._energy.source, self._energy.method
        return values

    def _warning(self, reading: ContentionReading | None) -> str | None:
        surplus = None
        if reading is not None and self._cores_used is not None:
            surplus = surplus_threads(reading, self._cores_used)
        slowed = f"the card was slowed by {', '.join(sorted(self._slowed_by))}" if self._slowed_by else None
        return "; ".join(part for part in (surplus, slowed) if part) or None
