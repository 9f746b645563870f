"""A workload and a device for tests of the orchestrator: no torch, and the worker's program is `fake_worker.py`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.api import (
    Available,
    BaseWorkload,
    Capabilities,
    Description,
    MetricSpec,
    Mode,
    Unavailable,
    setting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    behaviour: str = setting("normal", help="what the fake worker does")
    only_repeat: int | None = setting(None, help="misbehave in this repeat only")
    windows: int = setting(3, help="windows of the measure phase")
    pause_s: float = setting(0.02, help="length of a window")
    setup_s: float = setting(0.0, help="length of the set-up")


class FakeDevice:
    name = "fake"
    device_kind = "emulated"
    capabilities = Capabilities()

    def __init__(self, index: int | None = None) -> None:
        self.index = index

    def probe(self) -> Available | Unavailable:
        if self.index == 9:
            return Unavailable(reason="there is no fake card 9", hint="use fake:0", state="no card")
        if self.index == 7:
            time.sleep(20)
        return Available(details={"name": "fake"})

    def environment(self) -> Mapping[str, str]:
        return {"FAKE_DEVICE": "yes"}

    def interpreter(self) -> str | None:
        return None


class FakeWorkload(BaseWorkload):
    def setup(self, context: Any) -> None:
        raise AssertionError("the fake worker stands in for it")


DESCRIPTION = Description(
    name="fake",
    version=1,
    summary="for tests",
    config=Config,
    workload=FakeWorkload,
    modes={"train": Mode("steady"), "scan": Mode("pass", sample="requests")},
    metrics=(MetricSpec("auc", "", "higher", "gate", "difference"),),
)
WORKLOADS = (DESCRIPTION,)
DEVICES = (FakeDevice,)
