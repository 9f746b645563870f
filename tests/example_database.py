"""Makes example results databases through the real writer, the same for the same seed.

    python tests/example_database.py OUT.db [--runs N] [--seed S] [--running]

The first experiments tell known stories (STORIES names them and their tags): a baseline, a faster card, an
interleaved comparison, other data, cache policies, latencies, a busy machine, and runs that ended badly in each way.
Then come plain experiments until there are N runs; of these only the first few have series and telemetry.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.execution.plan import Plan, PlannedCell, PlannedRun
from harness.spec import RunSettings, RunSpec
from harness.store.records import RunStatus
from harness.store.rows import (
    ArtifactRow,
    CeilingRow,
    CellRow,
    CheckpointRow,
    DriftRow,
    EnvironmentRow,
    EventRow,
    ExperimentRow,
    ExperimentTagRow,
    MetricRow,
    ProcessRow,
    Row,
    RunRow,
    SeriesRow,
    TelemetryRow,
    utc_text,
)
from harness.store.writer import ResultWriter

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MACHINE = "bench-host"
_LETTERS = "abcdefghjkmnpqrstvwxyz"
_ALPHABET = "0123456789" + _LETTERS
_FLUSH_EVERY = 2000  # runs; a queue of a hundred thousand runs would be large


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A kind of cell: what it measures, and around which values. Values are drawn for each run."""

    workload: str
    mode: str
    device: str = "cpu"
    mode_kind: Literal["steady", "pass", "driven"] = "steady"
    device_kind: str = "hardware"
    label: str = ""
    timing_scope: Literal["compute", "compute+input", "end_to_end"] = "compute"
    params: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    throughput: float | None = None
    spread: float = 0.01  # relative, between repeats
    metrics: Sequence[MetricRow] = ()  # of every run, run_id left empty, values drawn around the one given


@dataclass(frozen=True, kw_only=True)
class Story:
    """A kind of experiment. `endings` are the statuses of its runs in order; the last one repeats."""

    cells: Sequence[Cell]
    repeats: int = 5
    command: Literal["run", "sweep", "ab", "calibrate"] = "run"
    tags: Sequence[str] = ()
    note: str | None = None
    status: str = "done"
    endings: Sequence[RunStatus] = ("ok",)
    contended: Sequence[int] = ()  # order indices of runs on a busy machine
    message: str | None = None


def _metric(
    name: str, value: float | None, unit: str = "", *, better: str, phase: str = "evaluate", **more: Any
) -> MetricRow:
    return MetricRow(run_id="", name=name, value=value, unit=unit, better=better, phase=phase, **more)  # type: ignore[arg-type]


def _quality(auc: float, log_loss: float) -> tuple[MetricRow, ...]:
    return (
        _metric("auc", auc, better="higher", role="primary", kind="difference"),
        _metric("auc_bayes", 0.8125, better="none", kind="difference"),
        _metric("log_loss", log_loss, "nat", better="lower", kind="difference"),
        _metric("calibration", 1.002, better="none", kind="difference"),
    )


_SYNTHETIC = {"fingerprint": "sha256:5d1f0c9a", "kind": "generated", "rows": 400_000}
_CRITEO = {"fingerprint": "sha256:b0e2471c", "kind": "file", "rows": 100_000, "path": "criteo/train.txt"}
_TRACE = {"fingerprint": "sampled:77ac03fe", "kind": "sampled", "rows": 12_000_000, "path": "trace.bin"}
_DLRM = {
    "batch_size": 2048,
    "embedding_dim": 16,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "bottom": [512, 256, 64, 16],
}

_MOST_HITS = 0.93  # the rest are first uses
_RISES = {"lru": 0.62, "sieve": 0.50, "s3-fifo": 0.48, "lfu": 0.42, "belady": 0.36}  # less rises earlier

DLRM_CPU = Cell(
    workload="dlrm", mode="train", params=_DLRM, data=_SYNTHETIC, profile="demo", throughput=61_000.0,
    metrics=_quality(0.7931, 0.4312),
)  # fmt: skip
DLRM_CUDA = replace(DLRM_CPU, device="cuda:0", profile="dlrm-kaggle-cuda", throughput=1_900_000.0, spread=0.004)
DLRM_CRITEO = replace(DLRM_CPU, data=_CRITEO, profile="criteo-small", metrics=_quality(0.7214, 0.5103))
DIN_INFER = Cell(
    workload="din", mode="infer", params={"batch_size": 32, "history": 100},
    data={"fingerprint": "sha256:11aa", "rows": 5000},
    throughput=8_400.0, timing_scope="compute+input",
    metrics=(
        _metric("latency_p50_s", 0.0037, "s", better="lower", phase="measure", role="primary"),
        _metric("latency_p99_s", 0.0091, "s", better="lower", phase="measure", role="gate"),
        _metric("gauc", 0.8102, better="higher", kind="difference"),
    ),
)  # fmt: skip
DIN_IPU = replace(DIN_INFER, mode="train", device="ipu", device_kind="emulated", throughput=900.0)
STORAGE = Cell(
    workload="storage", mode="read", mode_kind="driven", timing_scope="end_to_end", params={"block_bytes": 262144},
    throughput=None, data={"fingerprint": "sampled:90aa", "kind": "sampled", "rows": 10**9},
    metrics=(
        _metric("bandwidth", 1.9e9, "bytes/s", better="higher", phase="measure", role="primary"),
        _metric("accelerator_utilization", 0.91, better="higher", phase="measure", role="gate"),
    ),
)  # fmt: skip


def _policy(name: str, hit_ratio: float) -> Cell:
    return Cell(
        workload="cachesim", mode="simulate", mode_kind="pass", label=name, params={"policy": name, "capacity": 65536},
        data=_TRACE, throughput=4.1e6, spread=0.03,
        metrics=(
            _metric("hit_ratio", hit_ratio, better="higher", phase="measure", role="primary", kind="exact"),
            _metric("capacity_rows", 65536.0, "rows", better="none", phase="measure", kind="exact"),
            *(
                _metric("unique_hit_ratio", hit_ratio - 0.05 * k, better="higher", phase="measure", kind="exact",
                        labels={"table": str(k)})
                for k in range(3)
            ),
        ),
    )  # fmt: skip


STORIES: tuple[Story, ...] = (
    Story(cells=[DLRM_CPU], tags=["baseline", "nightly-1"], note="the machine was idle"),
    Story(cells=[DLRM_CUDA], tags=["card"]),
    Story(
        cells=[
            replace(DLRM_CPU, label="A", params={**_DLRM, "batch_size": 128}, throughput=21_000.0),
            replace(DLRM_CPU, label="B", params={**_DLRM, "batch_size": 512}, throughput=33_000.0),
        ],
        repeats=10, command="ab", tags=["batch-size"],
    ),
    Story(cells=[DLRM_CRITEO], tags=["criteo"], note="real rows: 100% Criteo"),
    Story(
        cells=[_policy("lru", 0.6125), _policy("lfu", 0.6411), _policy("s3-fifo", 0.6590)],
        command="sweep", repeats=3, tags=["policies"],
    ),
    Story(cells=[DIN_INFER]),
    Story(cells=[DIN_IPU], tags=["emulated"], repeats=3),
    Story(cells=[STORAGE], repeats=3),
    Story(cells=[DLRM_CPU], tags=["busy"], contended=(0, 2, 3)),
    Story(
        cells=[DLRM_CPU], tags=["broken"], repeats=6, status="failed", message="5 of 6 runs did not end well",
        endings=["ok", "failed", "crashed", "timeout", "skipped", "pending"],
    ),
    Story(cells=[DLRM_CUDA], tags=["stopped"], status="interrupted", endings=["ok", "ok", "interrupted", "skipped"]),
    Story(cells=[DLRM_CPU], tags=["lost"], status="lost", endings=["ok", "lost"],
          message="the orchestrator was killed"),
    Story(cells=[replace(DLRM_CPU, throughput=None, metrics=[_metric("auc", None, better="higher", role="primary")])],
          tags=["one-class"], repeats=2, note="only one class in the evaluation rows: AUC is undefined"),
)  # fmt: skip
_FILLERS = (DLRM_CPU, DLRM_CUDA, DIN_INFER, DLRM_CRITEO, _policy("lru", 0.61), STORAGE)
_RUNNING = Story(cells=[DLRM_CPU], tags=["now"], status="running", endings=["ok", "running", "pending"])

_REASONS: Mapping[str, tuple[str, int | None]] = {
    "failed": ("RuntimeError: the size of tensor a (16) must match the size of tensor b (32)", 1),
    "crashed": ("the worker was killed by SIGKILL", -9),
    "timeout": ("no word from the worker for 5m", -15),
    "interrupted": ("stopped by Ctrl-C", 130),
    "skipped": ("skipped on request", None),
    "lost": ("the orchestrator died", None),
}
_ENVIRONMENT = {
    "cpu.model": "Example CPU 2.5 GHz", "cpu.cores_allowed": 2, "memory.total_bytes": 16 * 2**30, "os.name": "Linux",
    "os.kernel": "6.8.0", "python.version": "3.11.7", "torch.version": "2.13.0", "threads.asked": 2, "threads.used": 2,
    "cpu.governor": None,
}  # fmt: skip


def make_example(path: Path, *, runs: int = 0, seed: int = 7, running: bool = False) -> int:
    """Writes the stories and then plain experiments until there are `runs` runs; the number of runs written."""
    errors: list[str] = []
    writer = ResultWriter(path, on_error=lambda error: errors.append(error.message))
    writer.start()
    maker = _Maker(seed)
    stories = [*STORIES, _RUNNING] if running else list(STORIES)
    for story in stories:
        writer.put(*maker.experiment(story, detailed=True))
    flushed = maker.runs
    while maker.runs < runs:
        repeats = min(5, runs - maker.runs)
        cell = maker.random.choice(_FILLERS)
        tags = [f"nightly-{maker.experiments}"] if maker.experiments % 10 == 0 else []
        story = Story(cells=[cell], repeats=repeats, tags=tags)
        writer.put(*maker.experiment(story, detailed=maker.experiments < 40))
        if maker.runs - flushed >= _FLUSH_EVERY:
            writer.flush(120.0)
            flushed = maker.runs
    writer.put(*maker.machine())
    done = writer.flush(120.0)
    writer.close()
    if errors or not done:
        raise SystemExit(f"{path} could not be written: {errors or 'no answer in two minutes'}")
    return maker.runs


class _Maker:
    """Rows of experiments, one after the other in time, all drawn from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.runs = 0
        self.experiments = 0
        self._now = START
        self._environments: dict[str, EnvironmentRow] = {}

    def experiment(self, story: Story, *, detailed: bool) -> Iterator[Row]:
        self.experiments += 1
        self._now += timedelta(minutes=self.random.randint(20, 90))
        created = self._stamp()
        plan = self._plan(story)
        experiment = ExperimentRow(
            id=plan.experiment_id, command=story.command, created_at=created, argv=plan.argv, status=story.status,
            interleaved=plan.interleaved, data_seed=0, harness_version="0.1.0", git_commit="89e26fa0c0ffee",
            git_dirty=False,
            host=MACHINE, face="plain", plan=plan.to_json(), message=story.message, note=story.note,
            exit_code={"done": 0, "failed": 1, "interrupted": 130}.get(story.status),
        )  # fmt: skip
        yield experiment
        for tag in story.tags:
            yield ExperimentTagRow(experiment_id=plan.experiment_id, tag=tag)
        environments = {}
        for cell, planned in zip(story.cells, plan.cells, strict=True):
            environment = self._environment(cell.device)
            environments[planned.id] = environment.hash
            yield environment
            yield _cell_row(cell, planned, plan.experiment_id)
        kinds = dict(zip([planned.id for planned in plan.cells], story.cells, strict=True))
        for order_index, run in enumerate(plan.order):
            status = story.endings[min(order_index, len(story.endings) - 1)]
            yield from self._run(
                run, order_index, kinds[run.cell_id], status, plan.experiment_id, environments[run.cell_id],
                busy=order_index in story.contended, detailed=detailed,
            )  # fmt: skip
        if story.status in ("done", "failed", "interrupted"):
            yield replace(experiment, ended_at=self._stamp())

    def machine(self) -> Iterator[Row]:
        """Ceilings and drift of the machine, each measured twice."""
        for days in (0, 30):
            at = utc_text(START + timedelta(days=days))
            for name, value, unit in (
                ("matrix_fp32", 9.1e10, "flop/s"), ("stream", 1.35e10, "bytes/s"), ("row_gather", 4.2e7, "rows/s"),
                ("host_to_device", None, "bytes/s"), ("disk", 8.0e8, "bytes/s"),
            ):  # fmt: skip
                drawn = None if value is None else self._around(value, 0.02)
                yield CeilingRow(
                    machine=MACHINE, device="cpu", threads=2, name=name, value=drawn, unit=unit, measured_at=at,
                    contended=False,
                )  # fmt: skip
            yield DriftRow(
                machine=MACHINE, device="cpu", metric="throughput", value=self._around(0.013, 0.1), n_experiments=6,
                measured_at=at, body={"workload": "dlrm"},
            )  # fmt: skip

    def _plan(self, story: Story) -> Plan:
        cells = tuple(
            PlannedCell(id=self._id(), index=index, spec=_spec(cell, story.repeats))
            for index, cell in enumerate(story.cells)
        )
        order = []
        for repeat in range(story.repeats):
            around = list(cells)
            if story.command == "ab":
                self.random.shuffle(around)
            order += [PlannedRun(id=self._id(), cell_id=cell.id, repeat=repeat) for cell in around]
        if story.command != "ab":
            order.sort(key=lambda run: [cell.id for cell in cells].index(run.cell_id))
        return Plan(
            experiment_id=self._id(), command=story.command, database=Path("results.db"), cells=cells,
            order=tuple(order),
            argv=("bench", story.command, story.cells[0].workload, "--device", story.cells[0].device), face="plain",
            interleaved=story.command == "ab", tags=tuple(story.tags), note=story.note,
        )  # fmt: skip

    def _run(
        self,
        run: PlannedRun,
        order_index: int,
        cell: Cell,
        status: RunStatus,
        experiment_id: str,
        environment: str,
        *,
        busy: bool,
        detailed: bool,
    ) -> Iterator[Row]:
        self.runs += 1
        began = status not in ("pending", "skipped")
        ended = began and status not in ("running", "lost")
        measured = status in ("ok", "interrupted")
        started_at = self._stamp()
        wall_s = self.random.uniform(4.0, 30.0)
        if began:
            self._now += timedelta(seconds=wall_s)
        reason, exit_code = _REASONS.get(status, (None, 0 if status == "ok" else None))
        yield RunRow(
            id=run.id, cell_id=run.cell_id, repeat=run.repeat, order_index=order_index, seed=run.repeat, status=status,
            started_at=started_at if began else None, ended_at=self._stamp() if ended else None,
            wall_s=wall_s if ended else None, reason=reason, exit_code=exit_code,
            contended=busy if measured else None,
            contention_reason="other processes used 61% of a core" if busy else None,
            contention={"foreign_cpu_share": 0.61 if busy else 0.01, "steal_share": None} if measured else {},
            environment_hash=environment if began else None, face="plain", log_path=f"recbench-output/{run.id}.log",
        )  # fmt: skip
        if not began:
            return
        yield ProcessRow(
            id=self._id(), run_id=run.id, rank=0, pid=self.random.randint(1000, 60000), python="3.11.7",
            started_at=started_at, exit_code=exit_code if exit_code is None or exit_code >= 0 else None,
            signal=-exit_code if exit_code is not None and exit_code < 0 else None, environment_hash=environment,
        )  # fmt: skip
        slowed = 0.7 if busy else 1.0
        rate = None if cell.throughput is None else self._around(cell.throughput * slowed, cell.spread)
        if status == "ok":
            yield from self._metrics(run.id, cell, rate, wall_s)
        if detailed:
            yield from self._details(run.id, experiment_id, cell, rate, wall_s, reason)

    def _metrics(self, run_id: str, cell: Cell, rate: float | None, wall_s: float) -> Iterator[Row]:
        if rate is not None:
            yield MetricRow(
                run_id=run_id, name="throughput", value=rate, unit="samples/s", better="higher", role="primary",
            )  # fmt: skip
        for metric in cell.metrics:
            spread = {"ratio": cell.spread, "difference": 0.0005, "exact": 0.0}[metric.kind]
            drawn = None if metric.value is None else self._around(metric.value, spread)
            yield replace(metric, run_id=run_id, value=drawn)
        yield MetricRow(run_id=run_id, name="setup_s", value=wall_s * 0.1, unit="s", better="lower", phase="setup")
        yield MetricRow(run_id=run_id, name="measure_s", value=wall_s * 0.8, unit="s")
        yield MetricRow(run_id=run_id, name="energy_j_per_sample", value=None, unit="J", better="lower")

    def _details(
        self, run_id: str, experiment_id: str, cell: Cell, rate: float | None, wall_s: float, reason: str | None
    ) -> Iterator[Row]:
        windows = max(4, int(wall_s))
        seconds = tuple(float(second + 1) for second in range(windows))
        if rate is not None:
            rates = tuple(self._around(rate * (0.8 if second < 2 else 1.0), 0.02) for second in seconds)
            half = windows // 2
            for start, stop in ((0, half), (half, windows)):
                yield SeriesRow(
                    run_id=run_id, name="throughput", axis="seconds", unit="samples/s", start_index=start,
                    x=seconds[start:stop], y=rates[start:stop],
                )  # fmt: skip
        if cell.mode == "train":
            samples = tuple(second * (rate or 1000.0) for second in seconds)
            losses = tuple(0.44 + 0.25 * math.exp(-second / 5) for second in seconds)
            yield SeriesRow(run_id=run_id, name="loss", axis="samples", unit="nat", x=samples, y=losses)
            yield CheckpointRow(
                run_id=run_id, path=f"recbench-output/{run_id}.checkpoint", created_at=self._stamp(), step=windows * 30,
                samples=int(samples[-1]), epoch=1.0,
            )  # fmt: skip
        if cell.workload == "cachesim":
            sizes = tuple(float(2**power) for power in range(8, 21))
            yield SeriesRow(
                run_id=run_id, name="hit_ratio", axis="rows", unit="", labels={"policy": cell.label or "lru"}, x=sizes,
                y=tuple(hit_ratio_at(cell, size) for size in sizes),
            )  # fmt: skip
        for second in seconds:
            yield TelemetryRow(
                run_id=run_id, t_s=second, source="host",
                values={"cpu_share": self._around(0.95, 0.02), "memory_used_bytes": 3.1e9, "frequency_hz": None},
            )  # fmt: skip
            if cell.device.startswith("cuda"):
                yield TelemetryRow(
                    run_id=run_id, t_s=second, source="nvidia:0",
                    values={"utilization": self._around(0.97, 0.01), "power_w": self._around(412.0, 0.03)},
                )  # fmt: skip
        yield EventRow(
            experiment_id=experiment_id, run_id=run_id, t_s=0.4, wall=self._stamp(), kind="log", text="data are ready"
        )
        if reason is not None:
            yield EventRow(
                experiment_id=experiment_id, run_id=run_id, t_s=wall_s, wall=self._stamp(), level="error", kind="error",
                text=reason,
            )  # fmt: skip
        yield ArtifactRow(
            run_id=run_id, kind="predictions", path=f"recbench-output/{run_id}.predictions",
            sha256=hashlib.sha256(run_id.encode()).hexdigest(), bytes=800_000,
        )  # fmt: skip

    def _environment(self, device: str) -> EnvironmentRow:
        if device not in self._environments:
            values = dict(_ENVIRONMENT)
            if device.startswith("cuda"):
                values |= {"gpu.name": "Example GPU", "gpu.driver_version": "570.1", "gpu.memory_bytes": 80 * 2**30}
            name = hashlib.sha256(repr(sorted(values.items(), key=str)).encode()).hexdigest()[:16]
            self._environments[device] = EnvironmentRow(hash=name, values=values, first_seen=self._stamp())
        return self._environments[device]

    def _around(self, value: float, spread: float) -> float:
        return value * (1 + self.random.gauss(0.0, spread)) if spread else value

    def _stamp(self) -> str:
        return utc_text(self._now)

    def _id(self) -> str:
        return self.random.choice(_LETTERS) + "".join(self.random.choices(_ALPHABET, k=11))


def hit_ratio_at(cell: Cell, size: float) -> float:
    """A hit ratio that rises with the cache, passes through the cell's own at its own size, and ends below 1.

    Policies that know more (frequencies, the future) rise earlier: a small cache tells them apart, a large one hardly.
    """
    policy = str(cell.params["policy"])
    own = next(metric.value for metric in cell.metrics if metric.name == "hit_ratio" and not metric.labels)
    assert own is not None
    scale = -math.log(1 - own / _MOST_HITS)
    shape = (size / cell.params["capacity"]) ** _RISES.get(policy, _RISES["lru"])
    return _MOST_HITS * (1 - math.exp(-scale * shape))


def _spec(cell: Cell, repeats: int) -> RunSpec:
    settings = RunSettings(
        device=cell.device, mode=cell.mode, repeats=repeats, timing_scope=cell.timing_scope, seconds=10.0
    )
    return RunSpec(
        workload=cell.workload, workload_version=1, mode=cell.mode, mode_kind=cell.mode_kind, settings=settings,
        params=cell.params, profile=cell.profile, label=cell.label, origins={"device": "--device"},
    )  # fmt: skip


def _cell_row(cell: Cell, planned: PlannedCell, experiment_id: str) -> CellRow:
    spec = planned.spec
    return CellRow(
        id=planned.id, experiment_id=experiment_id, index=planned.index, label=spec.label, workload=spec.workload,
        workload_version=spec.workload_version, mode=spec.mode, mode_kind=spec.mode_kind, device=spec.device,
        device_kind=cell.device_kind, timing_scope=spec.settings.timing_scope, params=spec.params,
        params_hash=spec.params_hash, protocol=spec.protocol, settings=spec.to_json()["settings"], origins=spec.origins,
        profile=spec.profile, data=cell.data, engine={"engine_resolved": "eager", "precision": "fp32", "threads": 2},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes an example results database.")
    parser.add_argument("database", type=Path)
    parser.add_argument("--runs", type=int, default=0, help="at least so many runs; the stories alone when not given")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--running", action="store_true", help="with an experiment that is still running")
    given = parser.parse_args()
    if given.database.exists():
        parser.error(f"{given.database} is there already")
    written = make_example(given.database, runs=given.runs, seed=given.seed, running=given.running)
    print(f"{given.database}: {written} runs")


if __name__ == "__main__":
    main()
