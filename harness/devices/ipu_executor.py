"""The executor of the IPU: PopTorch in a process of its own runs a whole call, this side hands out batches and rates.

A batch is written once, when it is staged, into memory that both processes share; a call sends a line of JSON. Calls
are asynchronous: a few wait in the channel so that the IPU never waits for the host, and `drain`, `infer_call` and
`state_dict` wait for them. The model's own tensors are brought up to date by `state_dict`, not by each call.

Shapes are static: a call always takes the samples of its geometry. What a batch lacks is padding, zeros with the
weight 0 (`harness.devices.ipu_bundle.steps` says how the mean comes out right).
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.api import Geometry, HostBatch, Model, OptimizerSpec, Portable, PortableModel, Schedule, StepStats
from harness.devices.ipu_bundle.arrays import dtype_name, lay_out, map_file
from harness.devices.ipu_process import IpuProcess
from harness.errors import RunFailed, UsageError, did_you_mean

CALLS_AHEAD = 4  # calls that wait in the channel: enough that the IPU is never idle, few enough that a stop is prompt
_STAGED_AHEAD = 64  # batches whose shared memory the other side has not opened yet; each holds a file descriptor
_MOST_ID = 2**31 - 1  # PopTorch makes int32 of int64
_STATE_KEYS = ("dense", "tables", "optimizer", "update", "rng")
_DTYPES = {torch.float64: torch.float32, torch.int64: torch.int32}  # what PopTorch would make of them in each call
_ALLOWED = (torch.float32, torch.int32, torch.bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class IpuOptions:
    """How the programs are made, apart from the geometry."""

    seed: int = 0
    threads: int | None = None
    emulated: bool = False
    cache: Path | None = None  # of compiled executables; PopTorch never prunes it
    memory_proportion: float | None = None  # of the IPU's memory for temporary data, 0 to 1


@dataclass(slots=True, weakref_slot=True, eq=False)
class Staged:
    """A batch in shared memory, `size` rows of which the first `rows` are valid, as slot `slot` of the other side."""

    slot: int
    rows: int
    size: int
    labelled: bool
    tensors: Mapping[str, Tensor] = field(repr=False)


class IpuEvent:
    """A point in the order of calls: reached when the call before it has ended."""

    def __init__(self, executor: IpuExecutor | None) -> None:
        self._executor = executor
        self._call = 0 if executor is None else executor.asked
        self._at = time.monotonic()
        self._settled = executor is None or executor.done >= self._call

    def settle(self, call: int, at: float) -> bool:
        """Hears that a call has ended at a moment of the same clock (CLOCK_MONOTONIC is one for all processes)."""
        if not self._settled and call >= self._call:
            self._at, self._settled, self._executor = max(self._at, at), True, None
        return self._settled

    def ready(self) -> bool:
        if not self._settled and self._executor is not None:
            self._executor.poll()
        return self._settled

    def seconds_since(self, earlier: Any) -> float:
        return float(self._at - earlier._at)


class IpuExecutor:
    """Runs a portable model. `report` hears facts (`engine`) and progress; None where nobody listens.

    Raises UsageError for what an IPU cannot take, RunFailed for what PopTorch says.
    """

    def __init__(
        self,
        model: Model,
        geometry: Geometry,
        process: IpuProcess,
        options: IpuOptions,
        *,
        optimizer: OptimizerSpec,
        report: Callable[[], Any] = lambda: None,
        release: Callable[[IpuProcess], None] = IpuProcess.end,
    ) -> None:
        self.geometry = geometry
        self.asked = 0  # training calls
        self.done = 0
        self._model = model
        self._portable = portable_of(model)
        self._process: IpuProcess | None = process
        self._options = options
        self._optimizer = optimizer
        self._report = report
        self._release = release
        self._schedule = Schedule(learning_rate=optimizer.learning_rate)
        self._specs: list[tuple[str, torch.dtype, tuple[int, ...]]] | None = None
        self._rows = {"train": 0, "infer": 0}
        self._answers: Tensor | None = None
        self._slots = 0
        self._unopened: dict[int, int] = {}  # slot: the file descriptor that the other side has not opened yet
        self._events: deque[IpuEvent] = deque()
        self._compile_s: Mapping[str, float] = {}
        self._random: list[int] | None = None
        self._update = 0
        self._measured = 0  # the call that performance counters were last asked after
        self._own_names = {portable: own for own, portable in table_names(model.tables.state_dict()).items()}
        self._weights, memory, weights_fd = self._shared(self._weight_layout())
        self._copy_weights_out()
        folder = process.add_model(self._portable.files)
        process.post(
            "build",
            folder=str(folder),
            factory=self._portable.factory,
            arguments=dict(self._portable.arguments),
            geometry={
                "micro_batch": geometry.micro_batch,
                "replicas": geometry.replicas,
                "gradient_accumulation": geometry.gradient_accumulation,
                "device_iterations": geometry.device_iterations,
            },
            optimizer={"name": optimizer.name, "learning_rate": optimizer.learning_rate},
            how={
                "seed": options.seed,
                "threads": options.threads,
                "emulated": options.emulated,
                "cache": None if options.cache is None else str(options.cache),
                "memory_proportion": options.memory_proportion,
            },
            weights=memory,
        )
        try:
            process.wait_for("build")
        finally:
            os.close(weights_fd)
        self._forget_statistics()

    def prepare(self, train_example: HostBatch | None, eval_example: HostBatch | None, schedule: Schedule) -> None:
        """Compiles a program for each example, without running it. No limit of its own: see `hang_limit`.

        The compiler's progress is reported as it comes, so only a silent compiler counts as hung.
        """
        process = self._alive()
        self._schedule = schedule
        examples = [example for example in (train_example, eval_example) if example is not None]
        if not examples:
            return
        if train_example is not None and train_example.labels is None:
            raise UsageError("the training example has no labels")
        self._specs = specs_of(examples[0])
        group = self.geometry.micro_batch * self.geometry.replicas
        if train_example is not None:
            self._rows["train"] = self.geometry.call_samples
        iterations = 1
        if eval_example is not None:
            iterations = -(-len(eval_example.ids[0]) // group)
            self._rows["infer"] = iterations * group
        staged = [None if example is None else self.stage(example) for example in (train_example, eval_example)]
        layout, memory, fd = self._shared([("logits", "float32", [max(1, self._rows["infer"])])])
        self._answers = layout["logits"]
        process.compiled = None
        process.post(
            "compile",
            train=None if staged[0] is None else staged[0].slot,
            infer=None if staged[1] is None else staged[1].slot,
            rows=self._rows,
            iterations=iterations,
            answer=memory,
        )
        told: list[float | None] = [None]

        def tick() -> None:
            report = self._report()
            if report is not None and process.compiled is not None and process.compiled != told[0]:
                told[0] = process.compiled
                report.progress(process.compiled, 1.0, "of the graph compiled")

        try:
            self._compile_s = self._wait_for("compile", tick)["seconds"]
        finally:
            os.close(fd)
        if self._random is not None:
            self._load(self._random)

    def resolved(self) -> Mapping[str, Any]:
        facts = self._alive().facts
        return {
            "engine_resolved": f"poptorch {facts['poptorch']}",
            "compile": "on: PopTorch compiles each mode to one program",
            "precision": "fp32",
            "loss_scale": None,
            "optimizer": "torch.optim.SGD, run by PopART",
            "place": "ipu",
            "executable_cache": None if self._options.cache is None else str(self._options.cache),
            "available_memory_proportion": self._options.memory_proportion,
            **{f"compile_{name}_s": seconds for name, seconds in self._compile_s.items()},
        }

    def stage(self, batch: HostBatch) -> Staged:
        """One copy, into shared memory. UsageError for another shape than the first and for ids from 2**31 on."""
        if self._specs is None:
            raise UsageError("the IPU's shapes are not known before `prepare`")
        if batch.flat:
            raise UsageError("the IPU has static shapes: it takes no flat ids of samples of different length")
        specs = specs_of(batch)
        size = len((*batch.inputs, *batch.ids)[0])
        if not 0 <= batch.rows <= size:
            raise UsageError(f"a batch of {size} rows cannot have {batch.rows} valid ones")
        most = max(self._rows.values())
        if size > most:
            raise UsageError(f"a call takes at most {most} samples by its geometry, not {size}")
        self._check_shapes(specs)
        for number, tensor in enumerate(batch.ids):
            check_ids(tensor[: batch.rows], number)
        process = self._alive()
        while len(self._unopened) >= _STAGED_AHEAD:
            self._take(None)
        tensors, memory, fd = self._shared(
            [(name, str(dtype).removeprefix("torch."), [most, *shape]) for name, dtype, shape in self._specs]
        )
        sources = [*batch.inputs, *batch.ids, *(() if batch.labels is None else (batch.labels,))]
        for (name, _, _), source in zip(self._specs, sources, strict=False):
            tensors[name][: batch.rows].copy_(torch.as_tensor(source)[: batch.rows])  # padding stays zero
        self._slots += 1
        self._unopened[self._slots] = fd
        process.post("stage", slot=self._slots, memory=memory)
        staged = Staged(
            slot=self._slots, rows=batch.rows, size=size, labelled=batch.labels is not None, tensors=tensors
        )
        weakref.finalize(staged, _free, weakref.ref(self), self._slots)
        return staged

    def train_call(self, staged: Staged) -> None:
        if not staged.labelled:
            raise UsageError("a batch without labels cannot be trained on")
        if not self._rows["train"]:
            raise UsageError("no training program was prepared")
        if staged.size > self.geometry.call_samples:
            raise UsageError(
                f"a call takes at most {self.geometry.call_samples} samples by its geometry, not {staged.size}"
            )
        updates = -(-staged.rows // self.geometry.global_batch)
        if not updates:
            return
        while self.asked - self.done >= CALLS_AHEAD:
            self._take(None)
        rates = [self._schedule.at(self._update + index) for index in range(updates)]
        if min(rates) == max(rates):
            rates = rates[:1]
        self._alive().post("train", slot=staged.slot, rows=staged.rows, rates=rates)
        self.asked += 1
        self._update += updates
        self._updates += updates
        self._samples += staged.rows

    def drain(self) -> StepStats:
        self.wait()
        if self.done > self._measured:
            self._measured = self.done
            self._report_performance()
        loss_mean = self._loss_sum / self._samples if self._samples else None
        stats = StepStats(samples=self._samples, updates=self._updates, loss_mean=loss_mean)
        self._forget_statistics()
        return stats

    def infer_call(self, staged: Staged, valid_rows: int) -> Tensor:
        if not 0 <= valid_rows <= staged.size:
            raise UsageError(f"a batch of {staged.size} rows cannot have {valid_rows} valid ones")
        if not self._rows["infer"] or self._answers is None:
            raise UsageError("no inference program was prepared")
        if staged.size > self._rows["infer"]:
            raise UsageError(f"an inference call takes at most {self._rows['infer']} samples, not {staged.size}")
        if not valid_rows:
            return torch.empty(0)
        self._alive().post("infer", slot=staged.slot, rows=valid_rows)
        self._wait_for("infer")
        return self._answers[:valid_rows].clone()

    def state_dict(self) -> Mapping[str, Any]:
        """All that training goes on from, copied from the IPU into the model; the tensors are the live ones."""
        if self._process is not None:
            self._process.post("save")
            self._random = self._wait_for("save")["random"]
            self._copy_weights_in()
        return {
            "dense": self._model.dense.state_dict(),
            "tables": dict(self._model.tables.state_dict()),
            "optimizer": {"name": self._optimizer.name, "state": {}},
            "update": self._update,
            "rng": {"cpu": torch.get_rng_state(), "ipu": self._random},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        missing = [key for key in _STATE_KEYS if key not in state]
        if missing:
            raise UsageError(f"the checkpoint lacks {', '.join(missing)}")
        saved_by = state["optimizer"]["name"]
        if saved_by != self._optimizer.name:
            raise UsageError(f"the checkpoint was trained by {saved_by}, this run asks for {self._optimizer.name}")
        self.wait()
        self._model.dense.load_state_dict(state["dense"])
        self._model.tables.load_state_dict(state["tables"])
        self._update = int(state["update"])
        self._random = state["rng"].get("ipu")
        self._copy_weights_out()
        self._load(self._random)
        self._forget_statistics()

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for fd in self._unopened.values():
            os.close(fd)
        self._unopened.clear()
        self._release(process)

    def wait(self) -> None:
        """Until every training call has ended."""
        while self._process is not None and self.done < self.asked:
            self._take(None)

    def poll(self) -> None:
        """Hears what has come, without waiting."""
        while self._process is not None and self._take(0.0):
            pass

    def record_event(self) -> IpuEvent:
        event = IpuEvent(self)
        if not event.ready():
            self._events.append(event)
        return event

    def free(self, slot: int) -> None:
        """Nobody holds this batch any more."""
        if self._process is not None:
            self._process.post("free", slot=slot)

    def _take(self, timeout_s: float | None) -> bool:
        message = self._alive().take(timeout_s)
        if message is not None:
            self._hear(message)
        return message is not None

    def _wait_for(self, name: str, tick: Callable[[], None] | None = None) -> dict[str, Any]:
        """The answer of this name; those of earlier requests come before it."""
        process = self._alive()
        while True:
            message = process.take(None if tick is None else 0.25)
            if message is not None and message["say"] == name:
                return message
            if message is not None:
                self._hear(message)
            elif tick is not None:
                tick()

    def _hear(self, message: Mapping[str, Any]) -> None:
        if message["say"] == "stage":
            os.close(self._unopened.pop(message["slot"]))
        elif message["say"] == "train":
            self.done += 1
            self._loss_sum += message["loss_sum"]
            while self._events and self._events[0].settle(self.done, message["at"]):
                self._events.popleft()
        else:
            raise RunFailed(f"the IPU's process answered {message['say']!r}, which nobody had asked for")

    def _report_performance(self) -> None:
        report = self._report()
        if report is None:
            return
        self._alive().post("performance")
        seconds = self._wait_for("performance")["seconds"]
        if seconds:  # of the last call: (least, most, mean) over its device iterations
            report.engine(**{f"ipu_{name}_s": times[2] for name, times in seconds.items()})

    def _load(self, random: list[int] | None) -> None:
        self._alive().post("load", random=random)
        self._wait_for("load")

    def _check_shapes(self, specs: list[tuple[str, torch.dtype, tuple[int, ...]]]) -> None:
        """A batch may lack labels; all else is as in the example."""
        assert self._specs is not None
        for ours, theirs in zip(self._specs, specs, strict=False):
            if ours != theirs:
                raise UsageError(
                    f"the IPU has static shapes: {theirs[0]} is {theirs[1]} {list(theirs[2])} a sample here, and was "
                    f"{ours[1]} {list(ours[2])} when the program was made"
                )
        count = len([spec for spec in self._specs if spec[0] != "labels"])
        if len([spec for spec in specs if spec[0] != "labels"]) != count:
            raise UsageError(f"the IPU has static shapes: a batch has {count} inputs and ids, not {len(specs)}")

    def _weight_layout(self) -> list[tuple[str, str, list[int]]]:
        return [(name, dtype_name(tensor), list(tensor.shape)) for name, tensor in self._named().items()]

    def _named(self) -> dict[str, Tensor]:
        """Parameters and buffers under the names they have in the portable model."""
        dense = {f"dense.{name}": tensor for name, tensor in self._model.dense.state_dict().items()}
        state = self._model.tables.state_dict()
        return {**dense, **{portable: state[own] for own, portable in table_names(state).items()}}

    def _copy_weights_out(self) -> None:
        for name, tensor in self._named().items():
            self._weights[name].copy_(tensor.detach())

    def _copy_weights_in(self) -> None:
        dense, tables = {}, {}
        for name, tensor in self._weights.items():
            if name.startswith("dense."):
                dense[name.removeprefix("dense.")] = tensor
            else:
                tables[self._own_names[name]] = tensor
        self._model.dense.load_state_dict(dense)
        self._model.tables.load_state_dict(tables)

    def _shared(self, wanted: list[tuple[str, str, list[int]]]) -> tuple[dict[str, Tensor], dict[str, Any], int]:
        """Zeroed tensors in shared memory, how the other side finds them, and the descriptor to close once it has."""
        layout, size = lay_out(wanted)
        fd = os.memfd_create("recbench-ipu")
        os.ftruncate(fd, size)
        tensors = map_file(f"/proc/self/fd/{fd}", layout, size)
        return tensors, {"path": f"/proc/{os.getpid()}/fd/{fd}", "layout": layout, "size": size}, fd

    def _alive(self) -> IpuProcess:
        if self._process is None:
            raise UsageError("the executor of the IPU is closed")
        return self._process

    def _forget_statistics(self) -> None:
        self._loss_sum = 0.0
        self._samples = 0
        self._updates = 0


def portable_of(model: Model) -> Portable:
    """UsageError for a model that exists for this Python alone."""
    if not isinstance(model, PortableModel):
        raise UsageError(
            "device = 'ipu' needs a model that runs under PopTorch's Python, and this workload's model has no portable "
            "form",
            hint="run it on --device cpu or cuda",
        )
    return model.portable()


def table_names(state: Mapping[str, Any]) -> dict[str, str]:
    """The tables of a table engine's state, by their names there: what they are called in the portable model.

    An engine writes TABLE or TABLE.weight; moments and counts that it keeps beside them have other endings.
    """
    weights = [name for name in state if name.endswith(".weight")] or list(state)
    return {name: f"tables.{name.removesuffix('.weight')}.weight" for name in weights}


def check_loss(model: Model) -> None:
    """UsageError where the model's loss is another than the one that the IPU's step computes."""
    logits, labels = torch.tensor([-1.5, 0.0, 3.0]), torch.tensor([0.0, 1.0, 1.0])
    ours = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    if not torch.allclose(torch.as_tensor(model.loss(logits, labels)).float(), ours, rtol=1e-4):
        raise UsageError(
            "device = 'ipu' trains on the mean binary cross-entropy of the logits, and this model has another loss"
        )


def specs_of(batch: HostBatch) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
    """Name, type and shape of a sample of each tensor, as the IPU gets them. UsageError for types it does not have."""
    named = [(f"input {number}", tensor) for number, tensor in enumerate(batch.inputs)]
    named += [(f"ids {number}", tensor) for number, tensor in enumerate(batch.ids)]
    named += [] if batch.labels is None else [("labels", batch.labels)]
    sizes = {len(tensor) for _, tensor in named}
    if len(sizes) != 1:
        raise UsageError(f"a batch has tensors of different lengths: {sorted(sizes)}")
    specs = []
    for name, value in named:
        tensor = torch.as_tensor(value)
        dtype = torch.float32 if name == "labels" else _DTYPES.get(tensor.dtype, tensor.dtype)
        if dtype not in _ALLOWED:
            raise UsageError(
                f"{name} is {tensor.dtype}, and the IPU takes float32, int32 and bool here",
                hint=did_you_mean(str(dtype), [str(allowed) for allowed in _ALLOWED]),
            )
        specs.append((name, dtype, tuple(tensor.shape[1:])))
    return specs


def check_ids(ids: Any, number: int) -> None:
    """UsageError for ids that int32 does not hold: PopTorch would make other ids of them."""
    tensor = torch.as_tensor(ids)
    if not tensor.numel() or tensor.is_floating_point():
        return
    least, most = int(tensor.min()), int(tensor.max())
    if most > _MOST_ID or least < 0:
        wrong = most if most > _MOST_ID else least
        raise UsageError(
            f"ids {number} has the id {wrong}, and on the IPU ids are int32: 0 to {_MOST_ID}",
            hint="hash or renumber the ids",
        )


def _free(executor: weakref.ref[IpuExecutor], slot: int) -> None:
    """A staged batch was given up. Where the other side is gone there is nothing to free."""
    found = executor()
    if found is not None:
        try:
            found.free(slot)
        except RunFailed:
            return
