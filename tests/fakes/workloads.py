"""Four workloads that later ones resemble, free of torch: steady, many cells in one worker, driven, two ranks.

A plug-in file: `bench run steady --plugin tests/fakes/workloads.py` works.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.api import (
    BaseWorkload,
    Context,
    DataIdentity,
    Description,
    Metric,
    MetricSpec,
    Mode,
    Part,
    RunFailed,
    Step,
    UsageError,
    Work,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class SteadyConfig:
    batch: int = setting(10, help="samples a step", minimum=1, by_mode={"other": 20})
    rows: int = setting(1000, help="samples an epoch", minimum=1, kind="identity")
    step_s: float = setting(0.0, help="seconds a step sleeps", unit="s", minimum=0.0)
    fail_at: int | None = setting(None, help="raise at this step")
    kill_at: int | None = setting(None, help="SIGKILL itself at this step")
    hang_at: int | None = setting(None, help="sleep for ever at this step")
    usage_error: bool = setting(False, help="raise a UsageError in set-up")


class Steady(BaseWorkload):
    """Counts samples and learns nothing; its quality is the number of samples it has seen."""

    def setup(self, context: Context) -> None:
        self.config: SteadyConfig = context.config
        self.context = context
        self.seen = self.position = self.steps = 0
        self.epochs: list[int] = []
        if self.config.usage_error:
            raise UsageError("batch = 0 makes no sense", hint="try 1")
        context.identify(DataIdentity(fingerprint=f"rows{self.config.rows}", kind="generated", rows=self.config.rows))
        context.engine(engine_resolved="counting")

    def begin_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def step(self) -> Step:
        config = self.config
        self.steps += 1
        if config.step_s:
            time.sleep(config.step_s)
        if config.fail_at == self.steps:
            raise RunFailed(f"failed at step {self.steps} as asked", hint="do not ask")
        if config.kill_at == self.steps:
            os.kill(os.getpid(), signal.SIGKILL)
        if config.hang_at == self.steps:
            time.sleep(3600)
        samples = min(config.batch, config.rows - self.position)
        self.position += samples
        self.seen += samples
        epoch_end = self.position >= config.rows
        if epoch_end:
            self.position = 0
        return Step(samples, epoch_end=epoch_end)

    def evaluate(self, part: Part) -> Sequence[Metric]:
        return [Metric("seen", float(self.seen)), Metric("auc", None if self.seen == 0 else 1 - 1 / (1 + self.seen))]

    def epoch_samples(self) -> int | None:
        return self.config.rows

    def training_loss(self) -> float | None:
        return 1.0 / (1 + self.seen)

    def work_per_step(self) -> Work | None:
        return Work(flops=1e3 * self.config.batch)

    def state_dict(self) -> Mapping[str, Any]:
        return {"seen": self.seen, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.seen, self.position = state["seen"], state["position"]


@dataclass(frozen=True, kw_only=True)
class ManyConfig:
    trace: str = setting("a", help="which trace", kind="identity")
    size: int = setting(1, help="cache size")


class Many(BaseWorkload):
    """A `pass` whose cells share one expensive set-up, as cache simulation will."""

    def setup(self, context: Context) -> None:
        self.config: ManyConfig = context.config

        def load() -> list[int]:
            context.log(f"loaded trace {self.config.trace}")
            return list(range(100))

        self.trace = context.shared(f"trace-{self.config.trace}", load)
        context.identify(DataIdentity(fingerprint=self.config.trace, kind="full", rows=len(self.trace)))
        self.next = 0
        self.hits = 0

    def step(self) -> Step:
        block = self.trace[self.next : self.next + 30]
        self.next += len(block)
        self.hits += sum(1 for item in block if item < self.config.size)
        return Step(len(block), done=self.next >= len(self.trace))

    def evaluate(self, part: Part) -> Sequence[Metric]:
        return [Metric("hit_ratio", self.hits / len(self.trace), {"size": str(self.config.size)})]

    def epoch_samples(self) -> int | None:
        return 100


@dataclass(frozen=True, kw_only=True)
class DrivenConfig:
    requests: int = setting(20, help="requests that the outside clock sends")


class Driven(BaseWorkload):
    """The clock is somebody else's: it is told what happened, request by request."""

    def setup(self, context: Context) -> None:
        self.config: DrivenConfig = context.config
        self.context = context

    def step(self) -> Step:
        raise AssertionError("a driven mode takes no steps")

    def drive(self, observe: Callable[[int, float], None]) -> None:
        for index in range(self.config.requests):
            if self.context.should_stop():
                return
            observe(2, 0.001 * (index + 1))


@dataclass(frozen=True, kw_only=True)
class RanksConfig:
    batch: int = setting(8, help="samples a step and rank")


class Ranks(BaseWorkload):
    """One run made by several processes; each counts its own samples."""

    def setup(self, context: Context) -> None:
        self.context = context
        self.config: RanksConfig = context.config
        if context.world_size > 1 and os.environ.get("RANK") != str(context.rank):
            raise RunFailed(f"RANK is {os.environ.get('RANK')!r} in rank {context.rank}")

    def step(self) -> Step:
        time.sleep(0.001)
        return Step(self.config.batch * (self.context.rank + 1))

    def evaluate(self, part: Part) -> Sequence[Metric]:
        return [Metric("world", float(self.context.world_size))]


HERE = __name__
WORKLOADS = [
    Description(
        name="steady",
        version=3,
        summary="counts samples",
        config=SteadyConfig,
        workload=Steady,
        modes={
            "train": Mode("steady", "counts", ("compute", "compute+input", "end_to_end")),
            "other": Mode("steady", "counts otherwise"),
        },
        metrics=(MetricSpec("seen", "samples", "higher", "info", "exact"),),
        run_defaults={"*": {"warmup": "none"}, "train": {"epochs": 2}},
    ),
    Description(
        name="many", version=1, summary="many cells, one worker", config=ManyConfig, workload=Many,
        setup_key=lambda config: config.trace,
        modes={"simulate": Mode("pass", sample="requests")},
    ),
    Description(
        name="driven", version=1, summary="an outside clock", config=DrivenConfig, workload=Driven,
        modes={"serve": Mode("driven", sample="requests")},
    ),
    Description(
        name="ranks", version=1, summary="two ranks", config=RanksConfig, workload=Ranks,
        modes={"train": Mode("steady")}, run_defaults={"*": {"warmup": "none", "steps": 20}},
    ),
]  # fmt: skip
