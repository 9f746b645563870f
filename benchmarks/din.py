"""DIN's levers side by side, and DeepCTR-Torch's DIN beside them: one thread, CPU seconds, interleaved.

Every engine takes the same samples (synthetic, vocabularies of Amazon Books, a past of at most 100). Ours take turns in
this process, the peer in one of its own, a block of steps each, in an order drawn anew every round; a ratio is the
median over rounds of the ratio of CPU seconds a sample in the same round, so load and drift touch both alike. All train
by SGD without regularisation. The peer's `fit` and `predict` are timed as a user calls them; our process has the memory
settings that the cpu device gives every worker.

    python benchmarks/din.py                                                 ours alone, about two minutes
    python -m venv peer && peer/bin/pip install deepctr-torch torch
    python benchmarks/din.py --peer-python peer/bin/python                   with the peer, about ten
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from harness.api import Geometry, OptimizerSpec, Schedule
from harness.devices.cpu import CpuDevice
from workloads.din.batches import NOTHING, Batches
from workloads.din.host import DinModel, HostDin, initialize_dense
from workloads.din.network import Shape
from workloads.din.synthetic import SyntheticSpec, generate
from workloads.din.tables import initialize_tables, make_tables

LONGEST = 100
PEER = "DeepCTR-Torch"
RATE = 0.01


@dataclass(frozen=True)
class Engine:
    name: str
    past: str = "fused"
    form: str = "merged"
    tables: str = "merged"
    compile: str = "off"
    attention: str = "din"


OURS = Engine("ours: fused, merged tables")
ENGINES = (
    OURS,
    Engine("jagged by autograd", past="plain"),
    Engine("padded, merged first layer", past="padded"),
    Engine("padded, split first layer", past="padded", form="split"),
    Engine("padded, concat first layer", past="padded", form="concat"),
    Engine("padded, merged, compiled", past="padded", compile="on"),
    Engine("fused, sparse torch embeddings", tables="bags"),
    Engine("fused, dense table gradients", tables="dense"),
    Engine("padded, linear attention (graphcore)", past="padded", attention="linear"),
)


@dataclass(frozen=True)
class Case:
    title: str
    mode: str
    batch: int
    mean_length: int | None
    samples: int  # of a block

    @property
    def steps(self) -> int:
        return max(2, self.samples // self.batch)


CASES = (
    Case("train, B = 32, every past 100", "train", 32, None, 4096),
    Case("train, B = 1024, every past 100", "train", 1024, None, 4096),
    Case("train, B = 32, lengths with mean 9", "train", 32, 9, 8192),
    Case("train, B = 1024, lengths with mean 9", "train", 1024, 9, 8192),
    Case("infer, B = 1024, every past 100", "infer", 1024, None, 8192),
    Case("infer, B = 1024, lengths with mean 9", "infer", 1024, 9, 16384),
)


class Peer:
    """The other process, which waits while we measure."""

    def __init__(self, python: str, spec: SyntheticSpec) -> None:
        script = Path(__file__).with_name("din_peer.py")
        sizes = [spec.users, spec.items, spec.categories, LONGEST, 18]
        self._process = subprocess.Popen(
            [python, str(script), *map(str, sizes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")},
        )
        self.torch = json.loads(self._line())["torch"]

    def seconds(self, case: Case, file: Path) -> float:
        asked = {"file": str(file), "mode": case.mode, "batch": case.batch}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._line())
        return answer["seconds"] / answer["samples"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the peer's process ended; its environment needs deepctr-torch and torch")
        return line


class Ours:
    """One engine with its staged batches."""

    def __init__(self, device: CpuDevice, engine: Engine, case: Case, spec: SyntheticSpec, samples) -> None:
        optimizer = OptimizerSpec(name="sgd", learning_rate=RATE)
        shape = Shape(form=engine.form, attention=engine.attention)
        dense = HostDin(shape, LONGEST, engine.past)
        tables = make_tables(engine.tables, (spec.users, spec.items, spec.categories), 18, optimizer)
        generator = torch.Generator().manual_seed(0)
        initialize_dense(dense, generator)
        initialize_tables(tables, generator)
        self.executor = device.executor(
            DinModel(dense, tables, (spec.users, spec.items, spec.categories), LONGEST),
            Geometry(micro_batch=case.batch),
            precision="fp32",
            compile=engine.compile,
            optimizer=optimizer,
        )
        longest = LONGEST if engine.past == "padded" else None
        batches = Batches(samples, case.batch, longest=longest, padding=NOTHING, fill=False)
        host = list(batches.make(0, len(batches), None))
        train, infer = (host[0], None) if case.mode == "train" else (None, host[0])
        self.executor.prepare(train, infer, Schedule(learning_rate=RATE))
        self.staged = [self.executor.stage(each) for each in host]

    def seconds(self, case: Case) -> float:
        begun = time.process_time()
        for staged in self.staged:
            if case.mode == "train":
                self.executor.train_call(staged)
            else:
                self.executor.infer_call(staged, staged.rows)
        return (time.process_time() - begun) / (case.steps * case.batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved blocks of each engine")
    parser.add_argument("--peer-python", help="a Python with deepctr-torch")
    parser.add_argument("--case", type=int, action="append", choices=range(1, len(CASES) + 1), help="only these rows")
    parser.add_argument("--few", action="store_true", help="only the default engine and its padded twin")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled engine out")
    arguments = parser.parse_args()
    device = CpuDevice()
    wanted = device.environment()
    if any(os.environ.get(name) != value for name, value in wanted.items()):  # malloc reads them once, at its start
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **wanted})
    device.open(threads=1, seed=0)
    books = SyntheticSpec()
    peer = Peer(arguments.peer_python, books) if arguments.peer_python else None
    print(
        f"\nDIN, tables of Amazon Books, SGD, one thread, torch {torch.__version__}, {arguments.rounds} rounds", end=""
    )
    print(f", {PEER} under torch {peer.torch}\n" if peer else "\n")
    print("| case | engine | samples per CPU second | ours / this | lowest to highest |")
    print("|---|---|---|---|---|")
    try:
        for number, case in enumerate(CASES, 1):
            if arguments.case is None or number in arguments.case:
                engines = [
                    engine
                    for engine in ENGINES
                    if not (engine.compile == "on" and arguments.no_compile)
                    and (not arguments.few or engine in (OURS, ENGINES[2]))
                    and not (case.mode == "infer" and engine.tables != "merged")
                ]
                _print(case, _measure(device, engines, case, peer, arguments.rounds))
    finally:
        if peer is not None:
            peer.close()


def _measure(device, engines, case: Case, peer: Peer | None, rounds: int) -> dict[str, list[float]]:
    """CPU seconds a sample of each block, engine by engine."""
    spec = SyntheticSpec(mean_length=case.mean_length)
    samples, _ = generate(spec, case.steps * case.batch)
    ready = {engine.name: Ours(device, engine, case, spec, samples) for engine in engines}
    seconds: dict[str, list[float]] = {name: [] for name in (*ready, *([PEER] if peer else []))}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.npz"
        if peer is not None:
            _write(file, samples)
        order = list(seconds)
        for turn in range(rounds + 1):  # the first one warms up
            random.shuffle(order)
            for name in order:
                taken = peer.seconds(case, file) if name == PEER else ready[name].seconds(case)
                if turn:
                    seconds[name].append(taken)
    return seconds


def _write(file: Path, samples) -> None:
    """The samples as the peer's `fit` takes them: one array a feature, the past padded with zeros."""
    past = {}
    where = samples.starts[:, None] + np.arange(LONGEST)
    inside = np.arange(LONGEST) < samples.lengths[:, None]
    for name, values in (("item", samples.sequences.items), ("category", samples.sequences.categories)):
        past[f"hist_{name}"] = np.where(inside, values[np.minimum(where, len(values) - 1)], 0)
    np.savez(
        file, user=samples.users, item=samples.items, category=samples.categories, length=samples.lengths,
        label=samples.labels.astype(np.float32), **past,
    )  # fmt: skip


def _print(case: Case, seconds: dict[str, list[float]]) -> None:
    own = seconds[OURS.name]
    for name, taken in seconds.items():
        ratios = sorted(theirs / mine for theirs, mine in zip(taken, own, strict=True))
        print(
            f"| {case.title} | {name} | {1.0 / statistics.median(taken):,.0f} | {statistics.median(ratios):.2f}× "
            f"| {ratios[0]:.2f} to {ratios[-1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
