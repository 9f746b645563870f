"""A workload and a device of another distribution: after `pip install`, `bench run counting --device twin` works."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import BaseWorkload, Context, DataIdentity, Description, DeviceKind, Metric, Mode, Part, Step, setting
from harness.devices.cpu import CpuDevice


@dataclass(frozen=True, kw_only=True)
class CountingConfig:
    numbers: int = setting(1_000_000, help="numbers to add up in one step", minimum=1)


class Counting(BaseWorkload):
    def setup(self, context: Context) -> None:
        self.config: CountingConfig = context.config
        self.total = 0
        context.identify(DataIdentity(fingerprint="natural numbers", kind="generated"))

    def step(self) -> Step:
        self.total = sum(range(self.config.numbers))
        return Step(self.config.numbers)

    def evaluate(self, part: Part) -> list[Metric]:
        return [Metric("total", float(self.total))]


class TwinDevice(CpuDevice):
    name = "twin"
    device_kind: DeviceKind = "stand-in"


COUNTING = Description(
    name="counting",
    version=1,
    summary="adds up numbers",
    config=CountingConfig,
    workload=Counting,
    modes={"add": Mode("steady", sample="numbers")},
)
