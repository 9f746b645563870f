"""A fused device, as an IPU is one: device iterations × accumulation × replicas in one call, static shapes.

It is a stand-in: it proves the contracts, it measures nothing. Its loop is its own and shares nothing with the host
executor, so that equal weights mean something. The file is a plug-in too: `bench run … --plugin tests/contract/fakes.py
--device fused`. As PopTorch does, it freezes shapes at the first call and deals a combined batch to (device iterations,
accumulation, replicas, micro-batch) in this order (assumed, not verified on hardware).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.api import (
    Available,
    Capabilities,
    DeviceEvent,
    DeviceKind,
    Executor,
    Geometry,
    HostBatch,
    Model,
    OptimizerSpec,
    Schedule,
    StepStats,
    Unavailable,
    UsageError,
)


@dataclass(frozen=True)
class Tick:
    at: float

    def ready(self) -> bool:
        return True

    def seconds_since(self, earlier: Any) -> float:
        return self.at - earlier.at


class FusedDevice:
    name = "fused"
    device_kind: DeviceKind = "stand-in"
    capabilities = Capabilities(static_shapes=True, jagged=False, optimizers=("sgd",), precisions=("fp32",))

    def __init__(self, index: int | None = None) -> None:
        self.index = index

    def probe(self) -> Available | Unavailable:
        return Available(details={"summary": "a stand-in for a fused accelerator", "name": "fused stand-in"})

    def environment(self) -> Mapping[str, str]:
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "FUSED_STAND_IN": "1"}

    def interpreter(self) -> str | None:
        return sys.executable

    def open(self, *, threads: int | None, seed: int) -> None:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        torch.manual_seed(seed)

    def synchronize(self) -> None:
        return None

    def record_event(self) -> DeviceEvent:
        return Tick(time.perf_counter())

    def memory_peak_bytes(self) -> int | None:
        return None

    def describe(self) -> Mapping[str, Any]:
        return {"name": "fused stand-in"}

    def ceilings(self) -> Mapping[str, float | None]:
        return {}

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        if precision not in self.capabilities.precisions:
            raise UsageError(f"precision = {precision!r} is not offered on fused; it offers fp32")
        if optimizer.name not in self.capabilities.optimizers:
            raise UsageError(f"optimizer = {optimizer.name!r} is not offered on fused; it offers sgd")
        return FusedExecutor(model, geometry)


class FusedExecutor:
    """One call is one program. Every update's losses are one sum, differentiated micro-batch by micro-batch."""

    def __init__(self, model: Model, geometry: Geometry) -> None:
        self.geometry = geometry
        self.model = model
        self.schedule: Schedule | None = None
        self.shapes: dict[str, list[Any]] = {}
        self.update = 0
        self.losses: list[tuple[float, int]] = []
        self.updates = 0

    def prepare(self, train_example: HostBatch | None, eval_example: HostBatch | None, schedule: Schedule) -> None:
        self.schedule = schedule
        if train_example is not None:
            self.shapes["train"] = self._padded(train_example, self.geometry.call_samples)[0]
        if eval_example is not None:
            self.shapes["eval"] = self._padded(eval_example, len(eval_example.ids[0]))[0]

    def resolved(self) -> Mapping[str, Any]:
        return {"engine_resolved": "fused stand-in", "compile": "whole call", "precision": "fp32"}

    def stage(self, batch: HostBatch) -> HostBatch:
        if not 0 <= batch.rows <= len(batch.ids[0]):
            raise UsageError(f"a batch of {len(batch.ids[0])} rows cannot have {batch.rows} valid ones")
        return batch

    def train_call(self, staged: HostBatch) -> None:
        import torch

        if staged.labels is None:
            raise UsageError("a batch without labels cannot be trained on")
        shapes, inputs, ids, labels = self._padded(staged, self.geometry.call_samples)
        self._check("train", shapes)
        assert self.schedule is not None
        model, geometry = self.model, self.geometry
        model.dense.train()
        parameters = [parameter for parameter in model.dense.parameters() if parameter.requires_grad]
        parts = geometry.gradient_accumulation * geometry.replicas
        shape = (geometry.device_iterations, parts, geometry.micro_batch)
        inputs = [tensor.reshape(*shape, *tensor.shape[1:]) for tensor in inputs]
        labels = labels.reshape(*shape, *labels.shape[1:])
        for iteration in range(geometry.device_iterations):
            left = staged.rows - iteration * geometry.global_batch
            if left <= 0:
                break
            valid = min(left, geometry.global_batch)
            rows = slice(iteration * geometry.global_batch, (iteration + 1) * geometry.global_batch)
            gathered = model.tables.lookup(tuple(tensor[rows] for tensor in ids)).detach()
            total: list[Any] | None = None
            leaf_gradient = torch.zeros_like(gathered)
            for part in range(parts):
                count = min(geometry.micro_batch, valid - part * geometry.micro_batch)
                if count <= 0:
                    break
                here = slice(part * geometry.micro_batch, part * geometry.micro_batch + count)
                leaf = gathered[here].clone().requires_grad_()
                logits = model.dense(*(tensor[iteration, part, :count] for tensor in inputs), leaf)
                loss = model.loss(logits, labels[iteration, part, :count])
                seed = torch.tensor(count / valid)
                *dense, of_leaf = torch.autograd.grad(loss, [*parameters, leaf], grad_outputs=seed)
                total = dense if total is None else [one + other for one, other in zip(total, dense, strict=True)]
                leaf_gradient[here] = of_leaf
                self.losses.append((float(loss.detach()), count))
            rate = self.schedule.at(self.update)
            assert total is not None
            with torch.no_grad():
                for parameter, gradient in zip(parameters, total, strict=True):
                    parameter.add_(gradient, alpha=-rate)
            model.tables.apply(leaf_gradient, rate)
            self.update += 1
            self.updates += 1

    def drain(self) -> StepStats:
        samples = sum(count for _, count in self.losses)
        mean = sum(loss * count for loss, count in self.losses) / samples if samples else None
        stats = StepStats(samples=samples, updates=self.updates, loss_mean=mean)
        self.losses, self.updates = [], 0
        return stats

    def infer_call(self, staged: HostBatch, valid_rows: int) -> Any:
        import torch

        shapes, inputs, ids, _ = self._padded(staged, self._eval_rows())
        self._check("eval", shapes)
        self.model.dense.eval()
        with torch.no_grad():
            logits = self.model.dense(*inputs, self.model.tables.lookup(tuple(ids)))
            return logits[:valid_rows].float().cpu()

    def state_dict(self) -> Mapping[str, Any]:
        import torch

        return {
            "dense": self.model.dense.state_dict(),
            "tables": dict(self.model.tables.state_dict()),
            "optimizer": {"name": "sgd"},
            "update": self.update,
            "rng": torch.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        import torch

        missing = {"dense", "tables", "optimizer", "update", "rng"} - set(state)
        if missing:
            raise UsageError(f"the checkpoint lacks {', '.join(sorted(missing))}")
        self.model.dense.load_state_dict(state["dense"])
        self.model.tables.load_state_dict(state["tables"])
        self.update = state["update"]
        torch.set_rng_state(state["rng"])
        self.drain()

    def close(self) -> None:
        self.shapes = {}

    def _eval_rows(self) -> int:
        if "eval" not in self.shapes:
            raise UsageError("fused: no evaluation program was prepared")
        return int(self.shapes["eval"][0][0][0])

    def _padded(self, batch: HostBatch, rows: int) -> tuple[list[Any], list[Any], list[Any], Any]:
        """Shapes and tensors, filled up with zeros to the static number of rows."""
        import torch

        size = len(batch.ids[0])
        if size > rows:
            raise UsageError(f"fused: static shapes take {rows} rows, not {size}")

        def fill(tensor: Any) -> Any:
            return torch.cat([tensor, tensor.new_zeros(rows - size, *tensor.shape[1:])]) if rows > size else tensor

        inputs = [fill(tensor) for tensor in batch.inputs]
        ids = [fill(tensor) for tensor in batch.ids]
        labels = None if batch.labels is None else fill(batch.labels)
        return [(tuple(tensor.shape), str(tensor.dtype)) for tensor in (*inputs, *ids)], inputs, ids, labels

    def _check(self, program: str, shapes: list[Any]) -> None:
        """A call must repeat the shapes and dtypes the program was made for."""
        if program not in self.shapes:
            raise UsageError(f"fused: no {program} program was prepared")
        if shapes != self.shapes[program]:
            raise UsageError(f"fused: static shapes: the program takes {self.shapes[program]}, not {shapes}")


DEVICES = [FusedDevice]
