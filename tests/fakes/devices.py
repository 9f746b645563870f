"""Devices without hardware: a synchronous one, and an asynchronous one whose clock the test owns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.api import Available, Capabilities, DeviceKind, Unavailable, UnavailableError


class WallEvent:
    def __init__(self, at: float) -> None:
        self.at = at

    def ready(self) -> bool:
        return True

    def seconds_since(self, earlier: WallEvent) -> float:
        return self.at - earlier.at


class StillDevice:
    """Finishes work the moment it is asked for."""

    name = "still"
    device_kind: DeviceKind = "stand-in"
    capabilities = Capabilities()

    def __init__(self, index: int | None = None) -> None:
        self.index = index
        self.synchronized = 0

    def probe(self) -> Available | Unavailable:
        return Available(details={"name": "a stand-in"})

    def environment(self) -> Mapping[str, str]:
        return {}

    def interpreter(self) -> str | None:
        return None

    def open(self, *, threads: int | None, seed: int) -> None:
        self.threads = threads

    def synchronize(self) -> None:
        self.synchronized += 1

    def record_event(self) -> WallEvent:
        return WallEvent(time.perf_counter())

    def memory_peak_bytes(self) -> int | None:
        return None

    def describe(self) -> Mapping[str, Any]:
        return {"name": "a stand-in"}

    def ceilings(self) -> Mapping[str, float | None]:
        return {"matrix_flops{precision=fp32}": 1e9}

    def executor(self, *_: Any, **__: Any) -> Any:
        raise UnavailableError("this stand-in executes nothing")


class LateEvent:
    """Ready only after the device was synchronised or `ready_after` further events were recorded."""

    def __init__(self, device: LateDevice, number: int, at: float) -> None:
        self.device, self.number, self.at = device, number, at

    def ready(self) -> bool:
        return self.device.finished >= self.number

    def seconds_since(self, earlier: LateEvent) -> float:
        assert self.ready() and earlier.ready(), "asked before the device was there"
        return self.at - earlier.at


class LateDevice(StillDevice):
    """An asynchronous device: each event comes `tick_s` of device time after the one before, and is ready late."""

    name = "late"
    capabilities = Capabilities(asynchronous=True)

    def __init__(self, index: int | None = None, *, tick_s: float = 0.5, lag: int = 2) -> None:
        super().__init__(index)
        self.tick_s, self.lag = tick_s, lag
        self.recorded = self.finished = 0

    def synchronize(self) -> None:
        super().synchronize()
        self.finished = self.recorded

    def record_event(self) -> LateEvent:  # type: ignore[override]
        self.recorded += 1
        self.finished = max(self.finished, self.recorded - self.lag)
        return LateEvent(self, self.recorded, self.recorded * self.tick_s)


DEVICES = [StillDevice, LateDevice]
