"""IPU devices for tests: on the stand-in, or on real PopTorch, with processes that are used again.

A process of the IPU imports torch, which takes seconds. It can build one model after the other, so a test file needs
one or two of them instead of one a test.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from harness.api import Executor, Geometry, Model, OptimizerSpec
from harness.devices.ipu import IpuDevice
from harness.devices.ipu_process import IpuProcess
from harness.errors import BenchError

STANDINS = Path(__file__).resolve().parents[1] / "standins"
REAL = os.environ.get("RECBENCH_IPU_PYTHON")  # a Python with real PopTorch, its SDK enabled
NO_REAL = "no real PopTorch: name its Python in RECBENCH_IPU_PYTHON, with the SDK's enable.sh sourced"

_IDLE: dict[str, list[IpuProcess]] = defaultdict(list)
_MADE: list[Executor] = []


class PooledIpu(IpuDevice):
    """`place`: `stand-in` or `real`."""

    def __init__(self, place: str = "stand-in") -> None:
        super().__init__(python=REAL if place == "real" else None)
        self.place = place

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        made = super().executor(model, geometry, precision=precision, compile=compile, optimizer=optimizer)
        _MADE.append(made)
        return made

    def _start(self) -> IpuProcess:
        if _IDLE[self.place]:
            return _IDLE[self.place].pop()
        return start(self.place)

    def _release(self, process: IpuProcess) -> None:
        try:
            process.post("close")
            while (message := process.take(None)) is None or message["say"] != "close":
                pass
        except BenchError:
            process.end()
        else:
            _IDLE[self.place].append(process)

    def release_unused(self) -> None:
        """The process of a device that was opened and never given a model."""
        if self._process is not None:
            _IDLE[self.place].append(self._process)
            self._process = None


def start(place: str = "stand-in", **variables: str) -> IpuProcess:
    """A process of its own, the stand-in on its path and `variables` in its environment."""
    before = dict(os.environ)
    if place == "stand-in":
        os.environ["PYTHONPATH"] = str(STANDINS)
    os.environ.update(variables)
    try:
        return IpuProcess(REAL if place == "real" and REAL else sys.executable)
    finally:
        os.environ.clear()
        os.environ.update(before)


def close_all() -> None:
    """After each test: every executor lets go of its process."""
    while _MADE:
        _MADE.pop().close()


def end_all() -> None:
    """After the last test of a file."""
    close_all()
    for processes in _IDLE.values():
        while processes:
            processes.pop().end()
