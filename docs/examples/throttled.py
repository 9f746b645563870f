"""A device in one file: the CPU with one thread, labelled as the stand-in it is.

bench run dlrm --device throttled --plugin docs/examples/throttled.py --profile smoke
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.api import Available, DeviceKind, Unavailable
from harness.devices.cpu import CpuDevice


class ThrottledDevice(CpuDevice):
    """Everything as the CPU does it, but always on one thread."""

    name = "throttled"
    device_kind: DeviceKind = "stand-in"

    def probe(self) -> Available | Unavailable:
        return Available(details={"name": "the CPU, one thread"})

    def open(self, *, threads: int | None, seed: int) -> None:
        super().open(threads=1, seed=seed)

    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "name": "the CPU, one thread"}


DEVICES = [ThrottledDevice]
