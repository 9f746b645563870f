"""The executor of devices that run eager PyTorch: the host loops over updates and micro-batches.

One update: look up the rows of its global batch as a leaf, run each micro-batch forward and backward, then let the
optimizer move the dense part and the table engine move its rows. The gradient is that of the mean loss over the valid
rows of the update, so padding counts nowhere: rows behind `valid` are cut off before the forward pass, not masked
after it, and a normalisation over the batch never sees them.

An update reads nothing back from the device. The loss is summed in a float64 scalar on the device until `drain`.

Shapes: B rows of one micro-batch, T tables, D embedding width; leaf [B, T, D] (or in an order of its engine's own),
logits [B], labels [B].
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.api import Device, Geometry, HostBatch, Model, OptimizerSpec, Schedule, StepStats
from harness.devices.compiler import decide
from harness.errors import RunFailed, UnavailableError, UsageError, did_you_mean

# The static scale of NVIDIA Apex's level O1 in the published Ascend runs of DLRM.
FP16_LOSS_SCALE = 128.0
_AUTOCAST = {"fp32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# Where PyTorch has one kernel for all parameters: on a CPU it halves the time of Adagrad for the MLPs of DLRM.
_FUSED = {"sgd": ("cpu", "cuda"), "adagrad": ("cpu",), "adam": ("cpu", "cuda")}
_OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}
_STATE_KEYS = ("dense", "tables", "optimizer", "update", "rng")


@dataclass(frozen=True, slots=True)
class Staged:
    """A batch on the device. `size` rows are there, the first `rows` of them valid."""

    inputs: tuple[Tensor, ...]
    ids: tuple[Tensor, ...]
    labels: Tensor | None
    rows: int
    size: int
    flat: tuple[Tensor, ...] = ()
    offsets: tuple[int, ...] = ()  # of the flat ids, [size + 1]

    def inputs_of(self, first: int, last: int) -> tuple[Tensor, ...]:
        return _rows(self.inputs, first, last, self.size)

    def ids_of(self, first: int, last: int) -> tuple[Tensor, ...]:
        """The ids of rows [first, last), the flat ones behind the others."""
        ids = _rows(self.ids, first, last, self.size)
        if not self.flat:
            return ids
        begin, end = self.offsets[first], self.offsets[last]
        return (*ids, *_rows(self.flat, begin, end, self.offsets[-1]))


class HostExecutor:
    """Trains and asks a model on `place` (`cpu`, `cuda:0`), one micro-batch at a time.

    `model.dense` is moved to the device; so is `model.tables`, if it has a method `to`.
    Raises UsageError for a precision, optimizer or compile mode the device does not offer.
    """

    def __init__(
        self,
        model: Model,
        geometry: Geometry,
        device: Device,
        place: str,
        *,
        precision: str,
        compile: str,
        optimizer: OptimizerSpec,
    ) -> None:
        _check_offered("precision", precision, device.capabilities.precisions, device.name)
        _check_offered("optimizer", optimizer.name, device.capabilities.optimizers, device.name)
        self.geometry = geometry
        self._model = model
        self._device = device
        self._place = torch.device(place)
        self._precision = precision
        self._decision = decide(compile, device_type=self._place.type, precision=precision)
        self._autocast_dtype = _AUTOCAST[precision]
        self._loss_scale = FP16_LOSS_SCALE if precision == "fp16" else 1.0
        if self._place.type == "cuda":
            torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        model.dense.to(self._place)
        move_tables = getattr(model.tables, "to", None)
        if move_tables is not None:
            move_tables(self._place)
        self._parameters = [parameter for parameter in model.dense.parameters() if parameter.requires_grad]
        self._optimizer, self._optimizer_text = _dense_optimizer(self._parameters, optimizer, self._place.type)
        self._optimizer_name = optimizer.name
        self._leaf_by_sample = bool(getattr(model.tables, "leaf_by_sample", True))
        self._asked_by_micro_batch = bool(getattr(model, "batch_statistics", False))
        self._schedule = Schedule(learning_rate=optimizer.learning_rate)
        self._compiled: Any = None
        self._compiled_rows: dict[bool, int] = {}  # training or not -> the rows its graph was made for
        self._compile_text = f"off: {self._decision.reason}"
        self._training: bool | None = None
        self._update = 0
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self._place)
        self._samples = 0
        self._updates = 0

    def prepare(self, train_example: HostBatch | None, eval_example: HostBatch | None, schedule: Schedule) -> None:
        """Runs the examples forward and backward, eager and then compiled, and forgets what came out.

        Weights, buffers and the random state are as before. Under `auto` a failed compilation falls back to eager
        and `resolved()` says why; under `on` it raises UnavailableError.
        """
        self._schedule = schedule
        train = None if train_example is None else self.stage(train_example)
        evaluate = None if eval_example is None else self.stage(eval_example)
        with self._nothing_changes():
            self._touch_tables()
            self._rehearse(train, evaluate)
            if self._decision.use:
                self._try_to_compile(train, evaluate)
            elif self._decision.required:
                raise UnavailableError(
                    f"compile = 'on' cannot be had here: {self._decision.reason}",
                    hint="install g++ or name a compiler in CXX, or leave it to compile = 'auto'",
                )
        self._device.synchronize()

    def resolved(self) -> Mapping[str, Any]:
        return {
            "engine_resolved": "eager" if self._compiled is None else "inductor",
            "compile": self._compile_text,
            "precision": self._precision,
            "loss_scale": None if self._loss_scale == 1.0 else self._loss_scale,
            "optimizer": self._optimizer_text,
            "place": str(self._place),
        }

    def stage(self, batch: HostBatch) -> Staged:
        """Zero-copy on a CPU; on CUDA through pinned memory, without waiting."""
        tensors = (*batch.inputs, *batch.ids, *(() if batch.labels is None else (batch.labels,)))
        sizes = {len(tensor) for tensor in tensors}
        if len(sizes) != 1:
            raise UsageError(f"a batch has tensors of different lengths: {sorted(sizes)}")
        size = sizes.pop()
        if not 0 <= batch.rows <= size:
            raise UsageError(f"a batch of {size} rows cannot have {batch.rows} valid ones")
        return Staged(
            inputs=tuple(self._place_tensor(tensor) for tensor in batch.inputs),
            ids=tuple(self._place_tensor(tensor) for tensor in batch.ids),
            labels=None if batch.labels is None else self._place_tensor(batch.labels),
            rows=batch.rows,
            size=size,
            flat=tuple(self._place_tensor(tensor) for tensor in batch.flat),
            offsets=_offsets(batch, size),
        )

    def train_call(self, staged: Staged) -> None:
        """Updates u = 0, 1, … take rows [u·global_batch, (u+1)·global_batch). One without a valid row is left out."""
        if staged.labels is None:
            raise UsageError("a batch without labels cannot be trained on")
        if staged.size > self.geometry.call_samples:
            raise UsageError(
                f"a call takes at most {self.geometry.call_samples} samples by its geometry, not {staged.size}"
            )
        self._set_training(True)
        for first in range(0, staged.rows, self.geometry.global_batch):
            last = min(first + self.geometry.global_batch, staged.rows)
            gradient = self._gradients(staged, staged.labels, first, last)
            learning_rate = self._schedule.at(self._update)
            self._model.tables.apply(gradient, learning_rate)
            self._optimizer.param_groups[0]["lr"] = learning_rate
            self._optimizer.step()
            self._clear_gradients()
            self._update += 1
            self._updates += 1
            self._samples += last - first

    def drain(self) -> StepStats:
        self._device.synchronize()
        loss_mean = float(self._loss_sum) / self._samples if self._samples else None
        stats = StepStats(samples=self._samples, updates=self._updates, loss_mean=loss_mean)
        self._forget_statistics()
        return stats

    def infer_call(self, staged: Staged, valid_rows: int) -> Tensor:
        if not 0 <= valid_rows <= staged.size:
            raise UsageError(f"a batch of {staged.size} rows cannot have {valid_rows} valid ones")
        self._set_training(False)
        whole = self._compiled is not None and self._compiled_rows.get(False) == staged.size
        rows = staged.size if whole else valid_rows
        with torch.no_grad():
            if self._asked_by_micro_batch and valid_rows > self.geometry.micro_batch:
                micro = self.geometry.micro_batch
                parts = [
                    self._ask(staged, first, min(first + micro, valid_rows)) for first in range(0, valid_rows, micro)
                ]
                return torch.cat(parts).to(device="cpu", dtype=torch.float32)
            return self._ask(staged, 0, rows)[:valid_rows].to(device="cpu", dtype=torch.float32)

    def state_dict(self) -> Mapping[str, Any]:
        """All that training goes on from. As in torch, the tensors are the live ones: write or copy them at once."""
        return {
            "dense": self._model.dense.state_dict(),
            "tables": dict(self._model.tables.state_dict()),
            "optimizer": {"name": self._optimizer_name, "state": self._optimizer.state_dict()},
            "update": self._update,
            "rng": self._random_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on exactly where `state_dict` was taken. UsageError where a part is missing or of another optimizer."""
        missing = [key for key in _STATE_KEYS if key not in state]
        if missing:
            raise UsageError(f"the checkpoint lacks {', '.join(missing)}")
        saved_by = state["optimizer"]["name"]
        if saved_by != self._optimizer_name:
            raise UsageError(f"the checkpoint was trained by {saved_by}, this run asks for {self._optimizer_name}")
        self._model.dense.load_state_dict(state["dense"])
        self._model.tables.load_state_dict(state["tables"])
        self._optimizer.load_state_dict(state["optimizer"]["state"])
        self._update = int(state["update"])
        self._set_random_state(state["rng"])
        self._forget_statistics()

    def close(self) -> None:
        self._device.synchronize()
        self._compiled = None
        self._compiled_rows = {}
        self._clear_gradients()

    def _ask(self, staged: Staged, first: int, last: int) -> Tensor:
        leaf = self._model.tables.lookup(staged.ids_of(first, last))
        return self._forward(staged.inputs_of(first, last), leaf, last - first)

    def _gradients(self, staged: Staged, labels: Tensor, first: int, last: int) -> Tensor:
        """Leaves the dense gradients in place and returns the leaf's: of the mean loss over rows [first, last)."""
        rows = last - first
        micro = self.geometry.micro_batch
        if rows <= micro or not self._leaf_by_sample:
            gradient = self._gradients_by_lookup(staged, labels, first, last)
        else:
            leaf = self._model.tables.lookup(staged.ids_of(first, last))
            gradient = torch.empty_like(leaf, requires_grad=False)
            gathered = leaf.detach()
            for start in range(0, rows, micro):
                stop = min(start + micro, rows)
                inputs = staged.inputs_of(first + start, first + stop)
                part = gathered[start:stop].requires_grad_()
                part_labels = labels[first + start : first + stop]
                gradient[start:stop] = self._backward(inputs, part, part_labels, stop - start, (stop - start) / rows)
        if self._loss_scale != 1.0:
            gradient = gradient / self._loss_scale
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(self._loss_scale)
        return gradient

    def _gradients_by_lookup(self, staged: Staged, labels: Tensor, first: int, last: int) -> Tensor:
        """Each micro-batch has a leaf of its own: their gradients, one behind the other."""
        rows, found = last - first, []
        for begin in range(first, last, self.geometry.micro_batch):
            end = min(begin + self.geometry.micro_batch, last)
            leaf = self._model.tables.lookup(staged.ids_of(begin, end))
            (part_labels,) = _rows((labels,), begin, end, staged.size)
            found.append(
                self._backward(staged.inputs_of(begin, end), leaf, part_labels, end - begin, (end - begin) / rows)
            )
        return found[0] if len(found) == 1 else torch.cat(found)

    def _backward(self, inputs: tuple[Tensor, ...], leaf: Tensor, labels: Tensor, rows: int, weight: float) -> Tensor:
        logits = self._forward(inputs, leaf, rows)
        loss = self._model.loss(logits, labels)
        self._loss_sum.add_(loss.detach(), alpha=rows)
        factor = weight * self._loss_scale
        (loss if factor == 1.0 else loss * factor).backward()
        if leaf.grad is None:
            raise RunFailed("the loss does not depend on the embeddings: the leaf of the table lookup has no gradient")
        return leaf.grad

    def _forward(self, inputs: tuple[Tensor, ...], leaf: Tensor, rows: int) -> Tensor:
        """Logits in float32, whatever the dense part computed in."""
        compiled = self._compiled is not None and self._compiled_rows.get(bool(self._training)) == rows
        dense = self._compiled if compiled else self._model.dense
        if self._autocast_dtype is None:
            logits: Tensor = dense(*inputs, leaf)
        else:
            with torch.autocast(self._place.type, dtype=self._autocast_dtype):
                logits = dense(*inputs, leaf)
        return logits.float()

    def _touch_tables(self) -> None:
        """Writes every page of the tables, unchanged: a page whose first write comes in a step costs microseconds."""
        with torch.no_grad():
            for tensor in self._model.tables.state_dict().values():
                if tensor.device.type == "cpu" and tensor.is_floating_point():
                    tensor.mul_(1.0)

    def _rehearse(self, train: Staged | None, evaluate: Staged | None) -> None:
        if train is not None and train.rows > 0:
            if train.labels is None:
                raise UsageError("the training example has no labels")
            self._set_training(True)
            self._gradients(train, train.labels, 0, min(train.rows, self.geometry.global_batch))
            self._clear_gradients()
        if evaluate is not None:
            self.infer_call(evaluate, evaluate.rows)

    def _try_to_compile(self, train: Staged | None, evaluate: Staged | None) -> None:
        try:
            self._compiled = torch.compile(self._model.dense, dynamic=False)
            if train is not None and train.rows > 0:
                self._compiled_rows[True] = min(train.rows, self.geometry.micro_batch)
            if evaluate is not None:
                self._compiled_rows[False] = evaluate.size
            self._rehearse(train, evaluate)
        except Exception as problem:
            self._compiled = None
            self._compiled_rows = {}
            self._clear_gradients()
            said = _first_line(problem)
            if self._decision.required:
                raise UnavailableError(
                    f"compile = 'on' but torch.compile failed: {said}", hint="compile = 'auto' falls back to eager"
                ) from problem
            self._compile_text = f"off: torch.compile failed: {said}"
        else:
            self._compile_text = f"on: inductor, {self._decision.reason}"

    @contextlib.contextmanager
    def _nothing_changes(self) -> Iterator[None]:
        """Buffers (running statistics), the random state, gradients and counts are restored on leaving."""
        buffers = [(buffer, buffer.detach().clone()) for buffer in self._model.dense.buffers()]
        random_state = self._random_state()
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
            self._set_random_state(random_state)
            self._clear_gradients()
            self._forget_statistics()
            forget = getattr(self._model.tables, "forget", None)
            if forget is not None:
                forget()

    def _random_state(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self._place.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._place)
        return state

    def _set_random_state(self, state: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self._place.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._place)

    def _set_training(self, training: bool) -> None:
        if self._training is not training:
            self._model.dense.train(training)
            self._training = training

    def _clear_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _forget_statistics(self) -> None:
        self._loss_sum.zero_()
        self._samples = 0
        self._updates = 0

    def _place_tensor(self, value: Any) -> Tensor:
        tensor = torch.as_tensor(value)
        if self._place.type != "cuda" or tensor.device.type == "cuda":
            return tensor.to(self._place)
        return tensor.pin_memory().to(self._place, non_blocking=True)


def _rows(tensors: tuple[Tensor, ...], first: int, last: int, size: int) -> tuple[Tensor, ...]:
    if first == 0 and last == size:
        return tensors
    return tuple(tensor[first:last] for tensor in tensors)


def _offsets(batch: HostBatch, size: int) -> tuple[int, ...]:
    """Where the flat ids of each sample begin. UsageError where they do not fit the samples or the ids."""
    if not batch.flat:
        return ()
    offsets: list[int] = [] if batch.offsets is None else batch.offsets.tolist()
    lengths = {len(tensor) for tensor in batch.flat}
    if len(offsets) != size + 1 or lengths != {offsets[-1]}:
        raise UsageError(f"a batch of {size} rows has {len(offsets)} offsets into flat ids of length {sorted(lengths)}")
    return tuple(offsets)


def _dense_optimizer(
    parameters: list[torch.nn.Parameter], spec: OptimizerSpec, device_type: str
) -> tuple[torch.optim.Optimizer, str]:
    make: Any = _OPTIMIZERS[spec.name]
    arguments: dict[str, Any] = {"lr": spec.learning_rate}
    if spec.name == "adagrad":
        arguments |= {"eps": spec.eps, "initial_accumulator_value": spec.initial_accumulator}
    if spec.name == "adam":
        arguments |= {"eps": spec.eps, "betas": spec.betas}
    fused = device_type in _FUSED[spec.name] and "fused" in inspect.signature(make).parameters
    if fused:
        arguments["fused"] = True
    return make(parameters, **arguments), f"torch.optim.{make.__name__}{' (fused)' if fused else ''}"


def _check_offered(what: str, value: str, offered: tuple[str, ...], device: str) -> None:
    if value not in offered:
        raise UsageError(
            f"{what} = {value!r} is not offered on {device}; it offers {', '.join(offered)}",
            hint=did_you_mean(value, offered),
        )


def _first_line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {lines[0]}" if lines else type(problem).__name__
