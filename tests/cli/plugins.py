"""Plug-in files for the tests of the command line."""

from __future__ import annotations

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path
from harness.api import BaseWorkload, Description, Mode, Step, setting

@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = setting(8, minimum=1, unit="columns", help="how wide", by_mode={"infer": 16}, group="Shape")
    layers: tuple[int, ...] = setting((4, 2), help="layer widths", group="Shape")
    fast: bool = setting(True, help="take the short way", group="Shape")
    trace: Path | None = setting(None, help="a trace", group="Shape")

class Toy(BaseWorkload):
    def setup(self, context): ...
    def step(self):
        return Step(1)

WORKLOADS = [Description(
    name="toy", version=1, summary="a toy", config=Config, workload=Toy,
    modes={"train": Mode("steady"), "infer": Mode("pass")},
)]
"""
CLASHING = GOOD.replace("width: int", "profile: int")
RAISING = "raise RuntimeError('half a plug-in')\n"
