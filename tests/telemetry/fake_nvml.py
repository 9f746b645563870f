"""Something that answers like the module `pynvml`, for machines without a card.

Its names are checked against the installed nvidia-ml-py in test_nvidia.py, so that it cannot drift from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any


class FakeNvml:
    """`cards` are (UUID, name) in NVML's order. A question that `answers` lacks is not supported by the card."""

    NVML_CLOCK_SM = 1
    NVML_CLOCK_MEM = 2
    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    class NVMLLibraryMismatchError(Exception):
        pass

    def __init__(self, cards: Sequence[tuple[str, str]] = (), *, driver: bool = True, **answers: Any) -> None:
        self.cards = list(cards)
        self.driver = driver
        self.answers = answers
        self.open = 0

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError("NVML Shared Library Not Found")
        self.open += 1

    def nvmlShutdown(self) -> None:
        if not self.open:
            raise self.NVMLError("Uninitialized")
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        return ("handle", index)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:
        for index, (known, _) in enumerate(self.cards):
            if known == uuid:
                return ("handle", index)
        raise self.NVMLError("Not Found")

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        return self.cards[handle[1]][0]

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return self.cards[handle[1]][1]

    def nvmlDeviceGetIndex(self, handle: Any) -> int:
        index: int = handle[1]
        return index

    def nvmlSystemGetDriverVersion(self) -> Any:
        return self._answer("driver_version")

    def nvmlSystemGetCudaDriverVersion_v2(self) -> Any:
        return self._answer("cuda_driver_version")

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any:
        gpu, memory = self._answer("rates")
        return SimpleNamespace(gpu=gpu, memory=memory)

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any:
        used, total = self._answer("memory")
        return SimpleNamespace(used=used, total=total, free=total - used)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> Any:
        return self._answer("power_mw")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> Any:
        return self._answer("energy_mj")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any) -> Any:
        return self._answer("limit_mw")

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int) -> Any:
        return self._answer("clocks")[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, kind: int) -> Any:
        return self._answer("max_clocks")[kind]

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> Any:
        return self._answer("temperature")

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> Any:
        return self._answer("capability")

    def nvmlDeviceGetMigMode(self, handle: Any) -> Any:
        return self._answer("mig")

    def nvmlDeviceGetEccMode(self, handle: Any) -> Any:
        return self._answer("ecc")

    def nvmlDeviceGetPersistenceMode(self, handle: Any) -> Any:
        return self._answer("persistence")

    def nvmlDeviceGetPciInfo(self, handle: Any) -> Any:
        return SimpleNamespace(busId=self._answer("bus"))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> Any:
        return [SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in self._answer("compute_pids")]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> Any:
        return self._answer("event_reasons")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> Any:
        return self._answer("throttle_reasons")

    def _answer(self, question: str) -> Any:
        if question not in self.answers:
            raise self.NVMLError("Not Supported")
        answer = self.answers[question]
        if isinstance(answer, Exception):
            raise answer
        return answer


EVENT_NAMES = (
    "GpuIdle",
    "ApplicationsClocksSetting",
    "SwPowerCap",
    "HwSlowdown",
    "SyncBoost",
    "SwThermalSlowdown",
    "HwThermalSlowdown",
    "HwPowerBrakeSlowdown",
    "DisplayClockSetting",
)
for _bit, _name in enumerate(EVENT_NAMES):
    setattr(FakeNvml, f"nvmlClocksThrottleReason{_name}", 1 << _bit)
