"""Events of a device that has finished by the time a call returns: the host's monotonic clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from harness.api import DeviceEvent


@dataclass(frozen=True, slots=True)
class HostEvent:
    """The moment it was made."""

    at_ns: int = field(default_factory=time.perf_counter_ns)

    def ready(self) -> bool:
        return True

    def seconds_since(self, earlier: DeviceEvent) -> float:
        if not isinstance(earlier, HostEvent):
            raise TypeError(f"a host event cannot be compared with a {type(earlier).__name__}")
        return (self.at_ns - earlier.at_ns) * 1e-9
