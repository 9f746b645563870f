"""The worker's half of a device whose execution is not built yet: every use says so, and what would be needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from harness.api import DeviceEvent, Executor, Geometry, Model, OptimizerSpec
from harness.errors import UnavailableError

HINT = "run on --device cpu or cuda meanwhile; `bench doctor` tells what is found here"


class Unbuilt:
    """Refuses to run. The device's own file says how it is probed."""

    name: str

    def open(self, *, threads: int | None, seed: int) -> None:
        self._refuse()

    def synchronize(self) -> None:
        self._refuse()

    def record_event(self) -> DeviceEvent:
        self._refuse()

    def memory_peak_bytes(self) -> int | None:
        self._refuse()

    def describe(self) -> Mapping[str, Any]:
        self._refuse()

    def ceilings(self) -> Mapping[str, float | None]:
        self._refuse()

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UnavailableError(f"execution on {self.name} is not built yet", hint=HINT)
