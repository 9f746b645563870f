"""What a workload or a device implements, and the words they share with the harness.

This is the only harness module that workloads import. It imports no torch, so the command line can read every
description; tensors and modules appear here as `Any`, and the executors' side knows what they are.

Roles, in one line each: the *harness* owns time, phases, stopping and recording; the *workload* owns data and model and
says what one step is; the *executor* owns how a step runs on a device (gradients, optimizers, compilation, graphs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from harness.errors import BenchError, DataError, RunFailed, UnavailableError, UsageError
from harness.patterns import files_named, matches
from harness.settings import Setting, setting, settings_of

__all__ = [
    "Answer",
    "Available",
    "BaseWorkload",
    "BenchError",
    "Better",
    "Capabilities",
    "Command",
    "CommandGroup",
    "Context",
    "DataError",
    "DataIdentity",
    "Description",
    "Device",
    "DeviceEvent",
    "DeviceKind",
    "Executor",
    "Figure",
    "FigureSpec",
    "Geometry",
    "HostBatch",
    "Job",
    "Kind",
    "Line",
    "Metric",
    "MetricSpec",
    "Mode",
    "ModeKind",
    "Model",
    "OptimizerSpec",
    "Part",
    "Portable",
    "PortableModel",
    "Role",
    "RunFailed",
    "Schedule",
    "Setting",
    "Step",
    "StepStats",
    "TableEngine",
    "TimingScope",
    "Unavailable",
    "UnavailableError",
    "UsageError",
    "Work",
    "Workload",
    "files_named",
    "matches",
    "setting",
    "settings_of",
]

ModeKind = Literal["steady", "pass", "driven"]
TimingScope = Literal["compute", "compute+input", "end_to_end"]
DeviceKind = Literal["hardware", "emulated", "stand-in"]
Better = Literal["higher", "lower", "none"]
Role = Literal["primary", "gate", "info"]
Kind = Literal["ratio", "difference", "exact"]
Part = Literal["validation", "test"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric a workload declares: unit, which way is better, its role in a comparison, and how it compares.

    `ratio` compares by quotient (rates, seconds), `difference` by subtraction (AUC, log loss), `exact` by equality.
    """

    name: str
    unit: str
    better: Better
    role: Role = "info"
    kind: Kind = "ratio"
    help: str = ""


@dataclass(frozen=True, slots=True)
class Mode:
    """What a workload does in one mode.

    `steady` repeats a step until told to stop; `pass` goes once through its work and is done; `driven` hands the
    clock to something outside (LoadGen, storage emulation) and only reports what happened.
    """

    kind: ModeKind
    help: str = ""
    timing_scopes: tuple[TimingScope, ...] = ("compute",)
    sample: str = "samples"  # what one sample is called: samples, requests, rows
    latency: bool = False  # each step answers a request when it returns: the percentiles of its time are metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSpec:
    """A metric over a setting: a point a cell, a line for each combination of the other settings that vary.

    `over` is the setting along the x axis, `at` the metric that says where a cell stands on it (a size in rows, however
    it was written). `complement` draws 1 - metric.
    """

    metric: str
    over: str
    at: str
    title: str
    x_label: str
    y_label: str
    log_x: bool = False
    complement: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All the command line needs to know of a workload, free of torch.

    `workload` is the class, or its place as text (`"package.module:Class"`) so that it is imported in the worker
    only. `version` is raised when numbers stop being comparable. `run_defaults` are the workload's own defaults of
    run settings (`epochs`, `warmup`, …), by mode; the key `*` holds for every mode. `setup_key` names what a config
    sets up: cells of a `pass` mode with the same key may share a worker; None, and each has its own.
    `axes` are settings of which `bench run` takes several values at once, each a cell: by name, what parts their text.
    `aliases` are other words for settings, of the workload or of the run: `--WORD` and `WORD =` mean the setting, whose
    own name the value is kept under. `many_files`: `--data` may be several files, or a pattern (`harness.patterns`).
    `figure` is what an experiment of several cells draws, with `--plot`, `--html` and `--png`. `install` says how to
    get the packages that the workload itself imports: `pip install 'recbench[cache]'`.
    """

    name: str
    version: int
    summary: str
    config: type
    workload: str | type
    modes: Mapping[str, Mode]
    metrics: tuple[MetricSpec, ...] = ()
    run_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    setup_key: Callable[[Any], str | None] | None = None
    axes: Mapping[str, Callable[[str], Sequence[str]]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    many_files: bool = False
    figure: FigureSpec | None = None
    install: str = ""

    @property
    def default_mode(self) -> str:
        return next(iter(self.modes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a figure: points (x, y) in ascending x; a y of None interrupts it. Some thousands of points do."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Lines over one axis, as a terminal, a page or a picture draws them. `log_x`: the x axis is logarithmic."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found: `lines` for a person, `value` for `--json`, `figures` for its pictures."""

    lines: Sequence[str]
    value: Mapping[str, Any]
    figures: Sequence[Figure] = ()


class Job(Protocol):
    """What the harness gives a command's work, which runs in a process of its own."""

    width: int  # of the person's terminal, in characters
    cache_dir: Path

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Says how far the work is; cheap, rate-limited."""

    def log(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """A line beside the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command that a workload contributes. `config` declares its settings, each a flag but for `arguments`.

    `arguments` are settings given by place; a list takes all that is left. `work` is the place as text of a function
    of a config and a `Job` that gives an `Answer`; it may import what it likes. One that `draws` has figures in its
    answer, and takes `--plot`, `--html` and `--png`.
    """

    name: str
    summary: str
    config: type
    work: str
    arguments: tuple[str, ...] = ()
    draws: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandGroup:
    """Commands under one word: `bench NAME COMMAND`. `install` says how to get the packages that their work imports."""

    name: str
    summary: str
    commands: tuple[Command, ...]
    install: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did. `samples` were asked of the device (it may still be at work on them).

    `done`: a `pass` has gone through its work. `epoch_end`: the next step begins a new epoch.
    """

    samples: int
    done: bool = False
    epoch_end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one step must do at least, from its definition and not from its implementation.

    `flops` floating-point operations; `stream_bytes` read and written in order; `gathered_rows` random row accesses of
    `row_bytes` each (reads and updates count one each); `disk_bytes` read from storage.
    """

    flops: float = 0.0
    stream_bytes: float = 0.0
    gathered_rows: float = 0.0
    row_bytes: float = 0.0
    disk_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIdentity:
    """Which rows a run saw. Two runs are comparable only where `fingerprint` agrees.

    `kind`: `manifest` (a data set's own checksum), `full` (hash of every byte), `sampled` (huge files), `generated`
    (the generator's version and spec). `rules` names the preprocessing that changes quality.
    """

    fingerprint: str
    kind: Literal["manifest", "full", "sampled", "generated"]
    rows: int | None = None
    description: str = ""
    rules: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value of a declared or ad-hoc metric. `value` is None where it is undefined."""

    name: str
    value: float | None
    labels: Mapping[str, str] = field(default_factory=dict)


class Context(Protocol):
    """What the harness gives a workload. Valid from `setup` to `close`."""

    config: Any  # the workload's Config, resolved
    mode: str
    device: Device
    timing_scope: TimingScope
    seed: int  # of this repeat: initialisation and order
    data_seed: int  # of the experiment: generated rows
    repeat: int
    rank: int
    world_size: int
    data: Path | None  # --data
    init_from: Path | None  # --init-from
    cache_dir: Path  # parsed inputs, shared by runs
    output_dir: Path  # this run's artifacts

    def identify(self, identity: DataIdentity) -> None:
        """Records which rows this run uses. Call it in `setup`, once the data is known."""

    def timer(self, name: str) -> AbstractContextManager[None]:
        """A named host timer of the harness; its total becomes the metric `NAME_s`."""

    def metric(self, name: str, value: float | None, **labels: str) -> None:
        """Records one number in the phase that runs now."""

    def series(self, name: str, axis: str, unit: str, x: Sequence[float], y: Sequence[float | None]) -> None:
        """Records numbers over an axis."""

    def progress(self, done: float, total: float | None, unit: str) -> None:
        """Says how far a long part of set-up or evaluation is; cheap, rate-limited by the harness."""

    def engine(self, **facts: Any) -> None:
        """Records what was really used: `engine_resolved="eager"`, `compile="off: no C++ compiler"`, …

        Two names are for people: `warnings`, sentences that must stand beside the numbers, and `settings_to_paste`.
        """

    def log(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        """A line of the run's log."""

    def artifact(self, kind: str, path: Path) -> None:
        """Registers a finished file under `output_dir`."""

    def should_stop(self) -> bool:
        """True once the person or a limit asked to stop; long set-ups and `driven` modes look at it."""

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """An object that outlives this cell in its worker (a mapped trace); made once per key."""


@runtime_checkable
class Workload(Protocol):
    """One repeat of one cell. Made with no arguments, then `setup`.

    A workload never times itself, never prints, and never writes the database. Steps of `steady` and `pass` modes must
    not wait for the device; `evaluate` may. `driven` modes implement `drive` instead of `step`.
    """

    def setup(self, context: Context) -> None: ...

    def begin_epoch(self, epoch: int) -> None:
        """Before the first step of an epoch: shuffle, stage. Outside the clock in scope `compute`, inside otherwise."""

    def step(self) -> Step: ...

    def drive(self, observe: Callable[[int, float], None]) -> None:
        """`driven` modes: runs under an outside clock; calls `observe(samples, seconds)` per completed request."""

    def evaluate(self, part: Part) -> Sequence[Metric]:
        """Quality on held-out rows, computed exactly, outside the clock. Empty where there is none.

        Called with `validation` while training goes on (for targets and selection) and with `test` at the end.
        """

    def epoch_samples(self) -> int | None:
        """Samples of one epoch or of a whole pass, for fractions of epochs and the time left; None if unknown."""

    def training_loss(self) -> float | None:
        """Mean loss since it was last asked, None where there is none. May wait for the device."""

    def synchronize(self) -> None:
        """Waits until all work asked for is done."""

    def work_per_step(self) -> Work | None:
        """The least work of a step, or None where no bound applies."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class BaseWorkload:
    """The parts of `Workload` that most workloads leave alone."""

    def begin_epoch(self, epoch: int) -> None:
        return None

    def drive(self, observe: Callable[[int, float], None]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no driven mode")

    def evaluate(self, part: Part) -> Sequence[Metric]:
        return ()

    def epoch_samples(self) -> int | None:
        return None

    def training_loss(self) -> float | None:
        return None

    def synchronize(self) -> None:
        return None

    def work_per_step(self) -> Work | None:
        return None

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        return None

    def close(self) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """A device that can run. `details`: name, count, driver, versions, and what else `bench doctor` shows."""

    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """A device that cannot run, in one sentence, and what to do about it.

    `state` tells three cases apart: nothing installed, installed without a card, and not built yet.
    """

    reason: str
    hint: str
    state: Literal["not installed", "no card", "not built", "broken"] = "not installed"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an executor of this device can take."""

    static_shapes: bool = False  # every call must repeat the first call's shapes
    jagged: bool = True
    graphs: bool = False
    max_samples_per_call: int | None = None
    optimizers: tuple[str, ...] = ("sgd", "adagrad", "adam")
    precisions: tuple[str, ...] = ("fp32",)
    asynchronous: bool = False


class DeviceEvent(Protocol):
    """A point in the device's stream of work."""

    def ready(self) -> bool: ...

    def seconds_since(self, earlier: DeviceEvent) -> float:
        """Device time between two events; both must be ready."""


@runtime_checkable
class Device(Protocol):
    """Where a run happens. Constructed with an index or None; constructing and reading attributes imports no torch.

    `probe`, `environment` and `interpreter` serve the parent (probe runs in a child process, because a vendor's
    package may crash on import); everything else is the worker's side and comes after `open`.
    """

    name: str
    device_kind: DeviceKind  # `hardware` only when proven
    capabilities: Capabilities

    def probe(self) -> Available | Unavailable: ...

    def environment(self) -> Mapping[str, str]:
        """Variables the worker is started with."""

    def interpreter(self) -> str | None:
        """A Python of its own (the Poplar SDK's), or None for ours."""

    def open(self, *, threads: int | None, seed: int) -> None:
        """Selects the card, sets and verifies thread counts, seeds the framework."""

    def synchronize(self) -> None: ...

    def record_event(self) -> DeviceEvent: ...

    def memory_peak_bytes(self) -> int | None: ...

    def describe(self) -> Mapping[str, Any]:
        """What it is: name, driver, framework versions, threads asked and verified."""

    def ceilings(self) -> Mapping[str, float | None]:
        """Measured limits: `matrix_flops{precision}`, `stream_bytes_per_s`, `gather_rows_per_s`, …; takes seconds."""

    def executor(
        self,
        model: Model,
        geometry: Geometry,
        *,
        precision: str,
        compile: str,
        optimizer: OptimizerSpec,
    ) -> Executor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """How many samples one executor call takes, and how often it updates the weights.

    `global_batch` samples make one update; a call makes `device_iterations` of them.
    """

    micro_batch: int
    replicas: int = 1
    gradient_accumulation: int = 1
    device_iterations: int = 1

    def __post_init__(self) -> None:
        for name in ("micro_batch", "replicas", "gradient_accumulation", "device_iterations"):
            if getattr(self, name) < 1:
                raise UsageError(f"geometry: {name} must be at least 1, not {getattr(self, name)}")

    @property
    def global_batch(self) -> int:
        return self.micro_batch * self.replicas * self.gradient_accumulation

    @property
    def call_samples(self) -> int:
        return self.global_batch * self.device_iterations

    @property
    def updates_per_call(self) -> int:
        return self.device_iterations


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """An optimizer by name and numbers; each executor maps it to its own, and refuses what it cannot map."""

    name: str
    learning_rate: float
    eps: float = 1e-10
    initial_accumulator: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)  # of adam


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Learning rate by update: linear warm-up, constant, then polynomial decay (facebookresearch/dlrm: power 2).

    Before those it may change in jumps: `pieces` holds (update, rate) in ascending order, each rate from its update on,
    and every `factor_updates` updates it is multiplied by `factor`.
    """

    learning_rate: float
    warmup_updates: int = 0
    decay_start: int | None = None
    decay_updates: int = 0
    power: float = 2.0
    pieces: tuple[tuple[int, float], ...] = ()
    factor: float = 1.0
    factor_updates: int = 0

    def at(self, update: int) -> float:
        """The rate of the update with this index, from 0."""
        rate = self.learning_rate if not self.pieces and not self.factor_updates else self._jumped(update)
        if update < self.warmup_updates:
            return rate * (update + 1) / self.warmup_updates
        if self.decay_start is None or self.decay_updates <= 0 or update < self.decay_start:
            return rate
        left = max(0.0, 1.0 - (update - self.decay_start) / self.decay_updates)
        return float(rate * left**self.power)

    def _jumped(self, update: int) -> float:
        rate = self.learning_rate
        for begin, value in self.pieces:
            if begin > update:
                break
            rate = value
        return float(rate * self.factor ** (update // self.factor_updates)) if self.factor_updates else rate


@dataclass(frozen=True, slots=True, kw_only=True)
class HostBatch:
    """Samples in host memory, as tensors with samples in dimension 0.

    `inputs` go to the dense module in order, `ids` to the table engine, `labels` to the loss. `rows` are valid; what
    lies behind them is padding that must count nowhere.

    `flat` are ids of samples of different length, one sample behind the other: those of sample i stand at `offsets[i]`
    to `offsets[i + 1]` of each, and go to the table engine behind `ids`. A device of static shapes gets none.
    """

    inputs: tuple[Any, ...]
    ids: tuple[Any, ...]
    labels: Any | None
    rows: int
    flat: tuple[Any, ...] = ()
    offsets: Any | None = None  # [B + 1] int64, stays in host memory


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStats:
    """What was trained since the last drain. `loss_mean` is over the valid samples; None without samples."""

    samples: int
    updates: int
    loss_mean: float | None


class TableEngine(Protocol):
    """Embedding tables outside autograd: gather a leaf, then apply its gradient row by row.

    `state_dict` holds one float32 tensor [rows, width] per table under its canonical name, however the engine stores
    them, so that any engine loads any other's.

    An engine whose leaf is in an order of its own, not sample by sample, says `leaf_by_sample = False`. It is then
    asked once for each micro-batch, keeps what it gave until `apply` or `forget`, and `apply` takes the gradients of
    all those leaves, one behind the other.
    """

    def lookup(self, ids: tuple[Any, ...]) -> Any:
        """The rows of `ids` as a leaf that requires a gradient, [B, tables, width]."""

    def apply(self, grad: Any, learning_rate: float) -> None:
        """Updates the rows of the last lookup with the leaf's gradient."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Model(Protocol):
    """A dense module and its tables. `dense(*inputs, leaf)` gives logits [B]; `loss(logits, labels)` is a mean.

    One whose predictions depend on what else is in the batch says `batch_statistics = True`: it is asked by
    micro-batches too.
    """

    dense: Any
    tables: TableEngine

    def loss(self, logits: Any, labels: Any) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Portable:
    """A whole model, tables included, as files that run under a vendor's older Python (3.8, torch 2.0).

    `files` import the standard library, torch and each other only. `factory`, written `module:function`, takes
    `arguments` (JSON) and gives an `nn.Module` in which `forward(*inputs, *ids, valid)` gives logits [B] by static
    shapes; `valid` [B] is 1.0 for samples and 0.0 for padding, which no statistics over a batch may see. Its parameters
    and buffers are called `dense.NAME` as in the model's dense part, and `tables.TABLE.weight` as in its table engine.
    It is trained on the mean binary cross-entropy of its logits; a model with another loss is refused.
    """

    files: tuple[Path, ...]
    factory: str
    arguments: Mapping[str, Any]


@runtime_checkable
class PortableModel(Protocol):
    """A model that devices with a Python of their own can run, too."""

    def portable(self) -> Portable: ...


class Executor(Protocol):
    """Runs a model on a device. No workload's loop calls `backward` or asks which device it is."""

    geometry: Geometry

    def prepare(self, train_example: HostBatch | None, eval_example: HostBatch | None, schedule: Schedule) -> None:
        """Compiles, captures graphs, touches memory. Timed as set-up (`compile_s`); changes no weight."""

    def resolved(self) -> Mapping[str, Any]:
        """What is really used, for the record: `engine_resolved`, `precision`, `compile`, …"""

    def stage(self, batch: HostBatch) -> Any:
        """The batch where the device wants it. The result stays valid until the executor closes."""

    def train_call(self, staged: Any) -> None:
        """`geometry.updates_per_call` updates. Does not wait for the device."""

    def drain(self) -> StepStats:
        """Waits, and says what was trained since the last drain."""

    def infer_call(self, staged: Any, valid_rows: int) -> Any:
        """Logits [valid_rows], float32, in host memory: a float32 sigmoid would tie what they tell apart."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...
