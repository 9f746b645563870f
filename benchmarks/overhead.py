"""What the harness costs a step: an empty workload under the measurement loop, beside the bare loop.

    python benchmarks/overhead.py

One process, one thread, CPU seconds, interleaved. The promise is at most 2 µs a step.
"""

from __future__ import annotations

import argparse
import platform
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

from harness.api import BaseWorkload, Context, Step
from harness.devices.cpu import CpuDevice
from harness.execution.channel import Channel
from harness.execution.context import WorkerContext
from harness.execution.phases import Measurement
from harness.registry import Registry
from harness.spec import Source, config_of, resolve

STEPS = 1_000_000
ROUNDS = 7
FAKES = Path(__file__).resolve().parents[1] / "tests" / "fakes" / "workloads.py"


class Empty(BaseWorkload):
    """The cheapest legal step."""

    def setup(self, context: Context) -> None:
        self.done = Step(1)

    def step(self) -> Step:
        return self.done


def bare() -> float:
    """CPU seconds a step of nothing but the calls."""
    workload = Empty()
    workload.done = Step(1)
    step = workload.step
    begun = time.thread_time()
    for _ in range(STEPS):
        step()
    return (time.thread_time() - begun) / STEPS


def harnessed(folder: Path) -> float:
    """CPU seconds a step under the real loop, windows and events included."""
    registry = Registry([FAKES])
    description = registry.workload("steady")
    spec = resolve(
        description, [Source(origin="benchmark", values={"steps": STEPS, "epochs": 10**9, "window_s": 0.25})]
    )
    parent, child = socket.socketpair()
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: parent.recv(1 << 16), b"")])
    reader.start()
    channel = Channel(child.detach())
    context = WorkerContext(
        channel, description, spec, config_of(description, spec), CpuDevice(None), repeat=0, rank=0, world_size=1,
        cache_dir=folder, output_dir=folder, shared={},
    )  # fmt: skip
    measurement = Measurement(Empty(), context, channel, spec)
    begun = time.thread_time()
    measurement.run()
    spent = time.thread_time() - begun
    channel.close()
    reader.join()
    parent.close()
    return spent / STEPS


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as name:
        pairs = [(bare(), harnessed(Path(name))) for _ in range(ROUNDS)]
    extra = [(under - alone) * 1e6 for alone, under in pairs]
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {ROUNDS} × {STEPS:,} steps"
    )
    print("| loop | µs a step (median) |\n|---|---|")
    print(f"| bare | {statistics.median(a for a, _ in pairs) * 1e6:.3f} |")
    print(f"| harnessed | {statistics.median(b for _, b in pairs) * 1e6:.3f} |")
    print(f"| **harness** | **{statistics.median(extra):.3f}** (from {min(extra):.3f} to {max(extra):.3f}) |")


if __name__ == "__main__":
    main()
