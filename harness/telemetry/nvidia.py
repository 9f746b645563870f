"""NVIDIA cards through NVML (nvidia-ml-py): what the card is, and what it does from sample to sample.

Runs in the orchestrator, beside the worker: NVML answers without a CUDA context, so asking costs the card nothing.
What a card does not support (energy on old cards, utilisation in MIG mode, clocks for an ordinary user) is None.
Source of names and units: NVML API reference, "Device Queries".
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.telemetry.nvidia_devices import nvml_uuid
from harness.telemetry.power import CounterEnergy, EnergyMeter, IntegralEnergy
from harness.telemetry.procfs import ROOT
from harness.telemetry.samples import NoTelemetry

NVIDIA_UNITS = {
    "utilisation_gpu": "share",
    "utilisation_memory": "share",
    "memory_used_bytes": "bytes",
    "power_w": "W",
    "energy_j": "J",
    "clock_sm_mhz": "MHz",
    "clock_memory_mhz": "MHz",
    "temperature_c": "°C",
}

# The bits of nvmlClocksEventReasons (called ThrottleReasons before driver 535), in words. An idle card and one whose
# clocks the person fixed are told as well, since both explain a low clock.
EVENT_REASONS = {
    "GpuIdle": "idle",
    "ApplicationsClocksSetting": "application clocks set",
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "SwThermalSlowdown": "software thermal slowdown",
    "HwThermalSlowdown": "hardware thermal slowdown",
    "HwPowerBrakeSlowdown": "power brake",
    "DisplayClockSetting": "display clock setting",
    "BoardLimit": "board limit",
    "Reliability": "reliability voltage",
}

# The reasons that mean that the card would run faster if it could.
SLOWING_REASONS = frozenset(
    {
        "power cap",
        "hardware slowdown",
        "software thermal slowdown",
        "hardware thermal slowdown",
        "power brake",
        "board limit",
        "reliability voltage",
    }
)

# The inode of the first process namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h). In another one, NVML may
# name processes by numbers that mean nothing here.
FIRST_PID_NAMESPACE = "pid:[4026531836]"

INSTALL_HINT = "install the NVIDIA driver, and nvidia-ml-py with `pip install 'recbench[cuda]'`"


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaCard:
    """What does not change during a run."""

    name: str | None
    uuid: str | None
    index: int | None  # NVML's, in the order of the bus; not CUDA's
    pci_bus_id: str | None
    driver_version: str | None
    cuda_driver_version: str | None  # the newest CUDA that the driver serves, as "12.4"
    compute_capability: str | None
    memory_total_bytes: int | None
    power_limit_w: float | None
    clock_sm_max_mhz: int | None
    clock_memory_max_mhz: int | None
    mig: bool | None
    persistence: bool | None
    ecc: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaSample:
    """The card at one moment. None: this card or driver does not say.

    `utilisation_gpu` is the share of the driver's last sampling period (1/6 to 1 s) in which any kernel ran, not
    how much of the card it filled. `throttle_reasons` is () when nothing holds the clocks back.
    """

    t_s: float
    utilisation_gpu: float | None
    utilisation_memory: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    power_w: float | None
    energy_j: float | None  # since the driver was loaded
    clock_sm_mhz: int | None
    clock_memory_mhz: int | None
    temperature_c: int | None
    throttle_reasons: tuple[str, ...] | None
    other_pids: tuple[int, ...] | None  # of compute processes that are not the run's; a desktop's are no compute

    @property
    def utilisation(self) -> float | None:
        return self.utilisation_gpu

    @property
    def slowed_by(self) -> tuple[str, ...]:
        """The reasons for which the card runs slower than it could."""
        return tuple(reason for reason in self.throttle_reasons or () if reason in SLOWING_REASONS)


class NvidiaSampler:
    """One open card. Made by `open_nvidia`; `close` it when the experiment ends."""

    def __init__(
        self, nvml: Any, handle: Any, *, root: Path = ROOT, clock: Callable[[], float] = time.monotonic
    ) -> None:  # Any: nvidia-ml-py is not typed, and its handles are opaque pointers
        self._nvml = nvml
        self._handle = handle
        self._root = root
        self._clock = clock

    def card(self) -> NvidiaCard:
        nvml, cuda = self._nvml, self._ask("nvmlSystemGetCudaDriverVersion_v2", on_card=False)
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        capability = self._ask("nvmlDeviceGetCudaComputeCapability")
        limit_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        mig, ecc = self._ask("nvmlDeviceGetMigMode"), self._ask("nvmlDeviceGetEccMode")
        persistence, pci = self._ask("nvmlDeviceGetPersistenceMode"), self._ask("nvmlDeviceGetPciInfo")
        return NvidiaCard(
            name=_text(self._ask("nvmlDeviceGetName")),
            uuid=_text(self._ask("nvmlDeviceGetUUID")),
            index=self._ask("nvmlDeviceGetIndex"),
            pci_bus_id=None if pci is None else _text(pci.busId),
            driver_version=_text(self._ask("nvmlSystemGetDriverVersion", on_card=False)),
            cuda_driver_version=None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}",
            compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
            memory_total_bytes=None if memory is None else int(memory.total),
            power_limit_w=None if limit_mw is None else limit_mw / 1000,
            clock_sm_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
            clock_memory_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_MEM),
            mig=None if mig is None else bool(mig[0]),
            persistence=None if persistence is None else bool(persistence),
            ecc=None if ecc is None else bool(ecc[0]),
        )

    def sample(self, own_pids: Iterable[int] = ()) -> NvidiaSample:
        """One sample; `own_pids` are the run's processes, so that others on the card can be told from them."""
        nvml = self._nvml
        rates, memory = self._ask("nvmlDeviceGetUtilizationRates"), self._ask("nvmlDeviceGetMemoryInfo")
        return NvidiaSample(
            t_s=self._clock(),
            utilisation_gpu=None if rates is None else rates.gpu / 100,
            utilisation_memory=None if rates is None else rates.memory / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            power_w=self.power_w(),
            energy_j=self.energy_j(),
            clock_sm_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            clock_memory_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature_c=self._ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            throttle_reasons=self._throttle_reasons(),
            other_pids=self._other_pids(set(own_pids)),
        )

    def power_w(self) -> float | None:
        milliwatts = self._ask("nvmlDeviceGetPowerUsage")
        return None if milliwatts is None else milliwatts / 1000

    def energy_j(self) -> float | None:
        """The card's own counter, since the driver was loaded; Volta and later."""
        millijoules = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if millijoules is None else millijoules / 1000

    def energy_meter(self) -> EnergyMeter | NoTelemetry:
        """By the card's counter where it has one, else by integrating its power."""
        if self.energy_j() is not None:
            return CounterEnergy(self._energy_by_card, source="nvml", clock=self._clock)
        if self.power_w() is not None:
            return IntegralEnergy(self.power_w, source="nvml", clock=self._clock)
        return NoTelemetry("the card reports neither its energy nor its power (a MIG slice does not)")

    def close(self) -> None:
        """Let go of NVML; safe to call twice, and when the driver has gone."""
        nvml, self._handle = self._nvml, None
        try:
            nvml.nvmlShutdown()
        except nvml.NVMLError:
            return

    def _energy_by_card(self) -> dict[str, float] | None:
        energy_j = self.energy_j()
        return None if energy_j is None else {"card": energy_j}

    def _ask(self, function: str, *arguments: Any, on_card: bool = True) -> Any:
        """NVML's answer, or None where the card, the driver or this nvidia-ml-py does not know the question."""
        call = getattr(self._nvml, function, None)
        if call is None or (on_card and self._handle is None):
            return None
        try:
            return call(self._handle, *arguments) if on_card else call(*arguments)
        except (self._nvml.NVMLError, _mismatch(self._nvml)):
            return None

    def _throttle_reasons(self) -> tuple[str, ...] | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return None if bits is None else decode_reasons(bits, self._nvml)

    def _other_pids(self, own_pids: set[int]) -> tuple[int, ...] | None:
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        if processes is None:
            return None
        pids = {int(process.pid) for process in processes}
        if pids and own_pids and not pids & own_pids and self._own_numbers_only():
            return None  # numbered by the host: the run's own process cannot be told from a stranger's
        return tuple(sorted(pids - own_pids))

    def _own_numbers_only(self) -> bool:
        """Whether this process lives in a process namespace of its own (a container)."""
        try:
            return str((self._root / "proc/self/ns/pid").readlink()) != FIRST_PID_NAMESPACE
        except OSError:
            return False


def open_nvidia(
    device: int | str = 0,
    *,
    environ: Mapping[str, str] | None = None,
    nvml: Any = None,
    root: Path = ROOT,
    clock: Callable[[], float] = time.monotonic,
) -> NvidiaSampler | NoTelemetry:
    """The card that CUDA calls `device` (an index under `environ`'s CUDA_VISIBLE_DEVICES, or a UUID, with or without
    its prefix, as torch reports it: the surer way). Never raises: without a card it says why.

    `nvml` is the `pynvml` module or something that answers like it.
    """
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return NoTelemetry("nvidia-ml-py is not installed", "pip install 'recbench[cuda]'")
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError, OSError) as error:
        return NoTelemetry(f"the NVIDIA driver does not answer: {error}", INSTALL_HINT)
    try:
        uuid = nvml_uuid(device, nvml, environ)
        found = uuid if isinstance(uuid, NoTelemetry) else nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError as error:
        found = NoTelemetry(f"the card {device} cannot be opened: {error}")
    if isinstance(found, NoTelemetry):
        try:
            nvml.nvmlShutdown()
        except nvml.NVMLError:
            pass
        return found
    return NvidiaSampler(nvml, found, root=root, clock=clock)


def decode_reasons(bits: int, nvml: Any) -> tuple[str, ...]:
    """The reasons set in a bit mask, in words, lowest bit first; a bit without a name is told by its value."""
    known: dict[int, str] = {}
    for name, words in EVENT_REASONS.items():
        for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
            bit = getattr(nvml, prefix + name, None)
            if bit:
                known[int(bit)] = words
    single = [1 << position for position in range(bits.bit_length()) if bits >> position & 1]
    return tuple(known.get(bit, f"reason {bit:#x}") for bit in single)


def _mismatch(nvml: Any) -> type[Exception]:
    """What newer nvidia-ml-py raises, outside its tree of errors, for a driver with older structures."""
    mismatch = getattr(nvml, "NVMLLibraryMismatchError", None)
    return mismatch if isinstance(mismatch, type) and issubclass(mismatch, Exception) else nvml.NVMLError


def _text(value: Any) -> str | None:
    """Older nvidia-ml-py answers in bytes."""
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
