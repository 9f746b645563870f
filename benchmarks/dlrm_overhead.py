"""What the harness costs a DLRM: the same steps in a bare loop and under the measurement loop, interleaved.

    python benchmarks/dlrm_overhead.py [PAIRS]

One process, one thread, CPU seconds of the measuring thread. Prints the ratio with its exact interval.
"""

from __future__ import annotations

import math
import platform
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from harness.analysis.statistics import paired_shift
from harness.devices.cpu import CpuDevice
from harness.execution.channel import Channel
from harness.execution.context import WorkerContext
from harness.execution.phases import Measurement
from harness.registry import Registry
from harness.spec import Source, config_of, resolve

STEPS = 600
SETTINGS = {
    "rows": 50_000, "table_rows": 1000, "batch": 128, "compile": "off", "epochs": 1000, "warmup": "none",
    "steps": STEPS, "window_s": 0.5, "validation_fraction": 0.1, "test_fraction": 0.1,
}  # fmt: skip


class Rig:
    """One process's device and spec; each side gets a fresh workload of the same seed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry()
        self.description = self.registry.workload("dlrm")
        self.spec = resolve(self.description, [Source(origin="benchmark", values=SETTINGS)])
        self.device = CpuDevice(None)

    def context(self, channel: Channel) -> WorkerContext:
        self.device.open(threads=1, seed=0)
        return WorkerContext(
            channel, self.description, self.spec, config_of(self.description, self.spec), self.device, repeat=0,
            rank=0, world_size=1, cache_dir=self.folder, output_dir=self.folder, shared={},
        )  # fmt: skip

    def bare(self) -> float:
        with Pipe() as channel:
            workload = self.registry.workload_class("dlrm")()
            workload.setup(self.context(channel))
            workload.synchronize()
            begun = time.thread_time()
            epoch = 0
            workload.begin_epoch(epoch)  # the measure phase stages its epochs too, beside its clock
            for _ in range(STEPS):
                if workload.step().epoch_end:
                    epoch += 1
                    workload.begin_epoch(epoch)
            workload.synchronize()
            spent = time.thread_time() - begun
            workload.close()
        return spent / STEPS

    def harnessed(self) -> float:
        with Pipe() as channel:
            workload = self.registry.workload_class("dlrm")()
            measurement = Measurement(workload, self.context(channel), channel, self.spec)
            spent = self._measured(measurement)
            workload.close()
        return spent / STEPS

    def _measured(self, measurement: Measurement) -> float:
        """CPU seconds between the two ends of the measure phase, as the channel is told of them."""
        marks: list[float] = []
        send = measurement._channel.send

        def watch(type: str, **body: object) -> None:
            if type == "phase" and body["name"] == "measure":
                marks.append(time.thread_time())
            send(type, **body)

        measurement._channel.send = watch  # type: ignore[method-assign]
        measurement.run()
        return marks[1] - marks[0]


class Pipe:
    """A channel whose other end is read and thrown away."""

    def __enter__(self) -> Channel:
        self.parent, child = socket.socketpair()
        self.reader = threading.Thread(target=lambda: [None for _ in iter(lambda: self.parent.recv(1 << 16), b"")])
        self.reader.start()
        self.channel = Channel(child.detach())
        return self.channel

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.reader.join()
        self.parent.close()


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    rows = []
    with tempfile.TemporaryDirectory() as name:
        rig = Rig(Path(name))
        rig.bare()
        for _ in range(pairs):
            sides = [rig.bare, rig.harnessed]
            order = random.sample([0, 1], 2)
            spent = {side: sides[side]() for side in order}
            rows.append((spent[0], spent[1]))
    found = paired_shift([math.log(harnessed / bare) for bare, harnessed in rows])
    assert found.interval is not None
    low, middle, high = (math.exp(value) for value in (found.interval.low, found.value, found.interval.high))
    print(f"{platform.machine()}, torch {torch.__version__}, one thread, {pairs} interleaved pairs of {STEPS} steps\n")
    print("| loop, DLRM Kaggle MLPs, batch 128 | µs of CPU a step (median) |\n|---|---|")
    print(f"| bare | {statistics.median(a for a, _ in rows) * 1e6:.0f} |")
    print(f"| harnessed | {statistics.median(b for _, b in rows) * 1e6:.0f} |")
    print(f"\nharnessed / bare ×{middle:.4f} [{low:.4f}, {high:.4f}], {found.interval.confidence:.1%} interval")


if __name__ == "__main__":
    main()
