"""DLRM training engines side by side on one CPU thread: tables merged or in bags, fp32 or bf16, eager or compiled.

Every engine takes the same steps over the same batches of the Kaggle configuration. They take turns in one process, a
block of steps each, in an order drawn anew every round; a ratio is the median over rounds of the ratio of CPU seconds
to the first engine in the same round, so load and drift touch both alike. The first has its tables as
facebookresearch/dlrm has them (one sparse EmbeddingBag each); the dense part is this project's in all engines.

    python benchmarks/dlrm_engines.py                    under a minute
    python benchmarks/dlrm_engines.py --rounds 40 --table-rows 10131227

Table sizes are capped by default, so that this runs anywhere; the cap is printed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from harness.api import Geometry, HostBatch, OptimizerSpec, Schedule
from harness.devices.cpu import CpuDevice
from workloads.dlrm.batches import Batches
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.data import Rows, click_log_spec, generate
from workloads.dlrm.model import DlrmDense, DlrmModel, initialize_dense
from workloads.dlrm.sizes import model_sizes
from workloads.dlrm.tables import initialize_tables, make_tables

BATCHES = (128, 2048)
SAMPLES_A_BLOCK = 4096
POOL = 16  # different batches, used in turn


@dataclass(frozen=True)
class Engine:
    tables: str
    precision: str
    compile: str

    @property
    def name(self) -> str:
        return f"{self.tables}, {self.precision}, {'compiled' if self.compile == 'on' else 'eager'}"


ENGINES = (
    Engine("bags", "fp32", "off"),
    Engine("merged", "fp32", "off"),
    Engine("merged", "fp32", "on"),
    Engine("bags", "bf16", "off"),
    Engine("merged", "bf16", "off"),
    Engine("merged", "bf16", "on"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="paired blocks of each engine and batch size")
    parser.add_argument("--table-rows", type=int, default=200_000, help="the most rows of any table")
    parser.add_argument("--optimizer", choices=("sgd", "adagrad"), default="sgd")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled engines out")
    arguments = parser.parse_args()

    device = CpuDevice()
    device.open(threads=1, seed=0)
    config = DLRMConfig(table_rows=arguments.table_rows, optimizer=arguments.optimizer, learning_rate=0.01)
    engines = [engine for engine in ENGINES if engine.compile == "off" or not arguments.no_compile]
    print(
        f"\nDLRM, Kaggle configuration, tables of at most {arguments.table_rows:,} rows, {arguments.optimizer}, one "
        f"thread, torch {torch.__version__}, {arguments.rounds} interleaved rounds\n"
    )
    print("| batch | engine | samples per CPU second | ratio to the first | lowest to highest |")
    print("|---|---|---|---|---|")
    for batch in BATCHES:
        seconds = _measure(device, config, engines, batch, arguments.rounds)
        first = seconds[engines[0]]
        for engine in engines:
            ratios = sorted(one / other for one, other in zip(first, seconds[engine], strict=True))
            rate = _block_steps(batch) * batch / statistics.median(seconds[engine])
            print(
                f"| {batch} | {engine.name} | {rate:,.0f} | {statistics.median(ratios):.2f}× "
                f"| {ratios[0]:.2f} to {ratios[-1]:.2f} |",
                flush=True,
            )


def _measure(device, config, engines, batch, rounds) -> dict[Engine, list[float]]:
    """CPU seconds of each block, engine by engine."""
    spec = click_log_spec(config, data_seed=0)
    block = generate(spec, 0, POOL * batch)
    host = list(Batches(Rows(block.dense, block.ids, block.labels), batch, "log1p", pad=False).make(0, POOL, None))
    executors = {engine: _executor(device, config, engine, spec.cardinalities, batch, host[0]) for engine in engines}
    staged = {engine: [executor.stage(each) for each in host] for engine, executor in executors.items()}
    seconds: dict[Engine, list[float]] = {engine: [] for engine in engines}
    order = list(engines)
    for round_number in range(rounds + 1):  # the first one warms up
        random.shuffle(order)
        for engine in order:
            executor, batches = executors[engine], staged[engine]
            begin = time.process_time()
            for step in range(_block_steps(batch)):
                executor.train_call(batches[step % POOL])
            taken = time.process_time() - begin
            executor.drain()
            if round_number:
                seconds[engine].append(taken)
    return seconds


def _block_steps(batch: int) -> int:
    return max(1, SAMPLES_A_BLOCK // batch)


def _executor(device, config, engine: Engine, tables, batch: int, example: HostBatch):
    sizes = model_sizes(config, tables)
    optimizer = OptimizerSpec(name=config.optimizer, learning_rate=config.learning_rate)
    generator = torch.Generator().manual_seed(0)
    dense = DlrmDense(sizes, itself=False)
    initialize_dense(dense, generator)
    rows = make_tables(engine.tables, sizes.tables, config.embedding_dim, optimizer)
    initialize_tables(rows, generator)
    executor = device.executor(
        DlrmModel(dense, rows),
        Geometry(micro_batch=batch),
        precision=engine.precision,
        compile=engine.compile,
        optimizer=optimizer,
    )
    executor.prepare(example, None, Schedule(learning_rate=config.learning_rate))
    return executor


if __name__ == "__main__":
    main()
