"""The wrapper that runs a recorded model: iterations x accumulation x replicas in one call, on weights of its own."""

from __future__ import annotations

import copy
import hashlib
import os
import sys
import time
import weakref
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import nn

from . import failures, optimizers
from .enums import ConnectionType, OutputMode, ReductionType
from .errors import Error
from .graph import Graph, rebuild, record
from .options import Options

_NO_EXECUTABLE = "Model has not been compiled or has been destroyed."
_DEMOTED = {torch.int64: torch.int32, torch.float64: torch.float32}
_TAKEN: List[int] = []  # the IPUs that executors hold


def trainingModel(
    model: Any, options: Optional[Options] = None, optimizer: Optional[torch.optim.Optimizer] = None
) -> PoplarExecutor:
    user = model.user_model if isinstance(model, PoplarExecutor) else model
    if is_wrapped(user):
        raise RuntimeError(
            "Model has already been wrapped in 'poptorch.trainingModel'. Call model.destroy() on the model to unwrap "
            "before wrapping again."
        )
    return PoplarExecutor(user, options, training=True, optimizer=optimizer)


def inferenceModel(model: Any, options: Optional[Options] = None) -> PoplarExecutor:
    user = model.user_model if isinstance(model, PoplarExecutor) else model
    return PoplarExecutor(user, options, training=False)


class PoplarExecutor:
    """See the contract in this package's docstring."""

    def __init__(
        self,
        user_model: nn.Module,
        options: Optional[Options],
        training: bool,
        optimizer: Optional[torch.optim.Optimizer] = None,
    ) -> None:
        if options is not None and not isinstance(options, Options):
            raise Error("Invalid type: 'options' is of type %s (Expected poptorch.Options)" % type(options))
        if options is not None:
            options.freeze()
        self.options = options.clone() if options is not None else Options()
        if self.options.output_mode == OutputMode.Default:
            self.options.outputMode(OutputMode.Final if training else OutputMode.All)
        if not training:
            if self.options.Training.gradient_accumulation != 1:
                raise Error(
                    "You must set poptorch.Options().Training.gradientAccumulation to 1 or leave it as its default "
                    "value (1) when running a poptorch.inferenceModel()."
                )
            assert optimizer is None, "Optimizer should be None for inference"
        if self.options.emulated and self.options.replication_factor > 1:
            raise Error("The IPU model does not support replication")
        self.options.freeze()
        self.user_model = user_model
        self.training = training
        self._model = copy.copy(user_model)  # shallow: its training flag stays what it is now
        self._graph: Optional[Graph] = None
        self._expected: List[Any] = []
        self._ipus = 0
        self._calls = 0
        self._host_is_stale = False
        self._random: Optional[torch.Tensor] = None
        self._counters: Dict[str, List[List[float]]] = empty_counters()
        self._compile_s: Optional[float] = None
        self._parameters: List[torch.Tensor] = []
        self._buffers: List[List[torch.Tensor]] = []  # by replica
        self._optimizer: Any = None
        if training:
            optimizer = optimizer or torch.optim.SGD(user_model.parameters(), lr=0.01)
            self._kind = optimizers.kind_of(optimizer)
            self._numbers = optimizers.numbers_of(optimizer)
            wrap(user_model, self)

    def __call__(self, *arguments: Any) -> Any:
        assert self.options.connection_type != ConnectionType.Never, (
            "Trying to run a model on an offline device (ConnectionType.Never): use model.compile(inputs) instead of "
            "model(inputs)"
        )
        given = [demote(value) for value in arguments]
        if self._graph is None:
            self._compile(given)
        if not self._ipus:
            self.attachToDevice()
        validate(self._expected, given)
        self._calls += 1
        failures.perhaps(str(self._calls))
        return self._run(given)

    def compile(self, *arguments: Any) -> None:
        self._compile([demote(value) for value in arguments])

    def isCompiled(self) -> bool:
        return self._graph is not None

    def isAttachedToDevice(self) -> bool:
        return self._graph is not None and bool(self._ipus)

    def attachToDevice(self) -> None:
        self._need_executable()
        if self._ipus:
            raise Error("Device is already attached")
        wanted, there = self.options.ipus, int(os.environ.get("POPTORCH_STANDIN_IPUS", "8"))
        if sum(_TAKEN) + wanted > there:
            raise Error("Failed to acquire %d IPU(s): %d of %d are taken" % (wanted, sum(_TAKEN), there))
        _TAKEN.append(wanted)
        self._ipus = wanted
        self._finalizer = weakref.finalize(self, _TAKEN.remove, wanted)
        self.copyWeightsToDevice()

    def detachFromDevice(self) -> None:
        self._need_executable()
        if not self._ipus:
            raise Error("Device is not attached")
        if self.training and self._host_is_stale:
            self.copyWeightsToHost()
        self._finalizer()
        self._ipus = 0

    def copyWeightsToHost(self) -> None:
        self._need_executable()
        self._host_is_stale = False
        with torch.no_grad():
            pairs = list(zip(raw_parameters(self.user_model), self._parameters))
            pairs += list(zip(raw_buffers(self.user_model), self._buffers[0] if self._buffers else []))
            for host, device in pairs:
                host.copy_(device)

    def copyWeightsToDevice(self) -> None:
        self._need_executable()
        self._host_is_stale = False
        with torch.no_grad():
            for device, host in zip(self._parameters, raw_parameters(self.user_model)):
                device.copy_(host)
            for replica in self._buffers:
                for device, host in zip(replica, raw_buffers(self.user_model)):
                    device.copy_(host)

    def copyWeightsToHostIfNeeded(self) -> bool:
        if self._host_is_stale:
            self.copyWeightsToHost()
            return True
        return False

    def setOptimizer(self, optimizer: torch.optim.Optimizer) -> None:
        kind, numbers = optimizers.kind_of(optimizer), optimizers.numbers_of(optimizer)
        if self._graph is not None:
            if kind is not self._kind:
                raise Error("the optimizer's kind was compiled in: the executable is already compiled")
            optimizers.check_constants(self._numbers, numbers)
            optimizers.set_numbers(self._optimizer, numbers)
        self._kind, self._numbers = kind, numbers

    def state_dict(self, *arguments: Any, **named: Any) -> Any:
        return self.user_model.state_dict(*arguments, **named)

    def load_state_dict(self, state: Any, strict: bool = True) -> Any:
        out = self.user_model.load_state_dict(state, strict)
        if self.isAttachedToDevice():
            self.copyWeightsToDevice()
        return out

    @property
    def rng_state(self) -> List[int]:
        self._need_executable()
        assert self._random is not None
        return [int(self.options.random_seed) if self.options.exists("random_seed") else 0, *self._random.tolist()]

    @rng_state.setter
    def rng_state(self, state: List[int]) -> None:
        self._need_executable()
        self._random = torch.tensor(state[1:], dtype=torch.uint8)

    def getPerfCounters(self) -> Dict[str, List[List[float]]]:
        return self._counters if self._graph is not None else empty_counters()

    def getLatency(self) -> Tuple[float, float, float]:
        return self._latency("input", "output_complete")

    def getHostIpuLatency(self) -> Tuple[float, float, float]:
        return self._latency("input", "input_complete")

    def getComputeLatency(self) -> Tuple[float, float, float]:
        return self._latency("input_complete", "output")

    def getIpuHostLatency(self) -> Tuple[float, float, float]:
        return self._latency("output", "output_complete")

    def cycleCount(self) -> int:
        self._need_executable()
        if not self.options.log_cycle_count:
            raise Error("Cycle count logging is disabled. Please set the option logCycleCount to True to enable.")
        return 1000 * self._calls

    def compilationTime(self) -> float:
        self._need_executable()
        if not self.options.show_progress:
            raise Error("Compilation time requires showCompilationProgressBar")
        return self._compile_s or 0.0

    def destroy(self) -> None:
        if self._graph is None:
            return
        if self.training:
            self.copyWeightsToHostIfNeeded()
        if self._ipus:
            self._finalizer()
            self._ipus = 0
        self._graph = None
        if self.training:
            unwrap(self.user_model)

    def _need_executable(self) -> None:
        if self._graph is None:
            raise Error(_NO_EXECUTABLE)

    def _compile(self, given: List[Any]) -> None:
        began = time.monotonic()
        failures.perhaps("compile")
        micro = [narrow(value, self.options) for value in given]
        self.options.ipus  # noqa: B018  # raises where it is no power of two
        self._graph, _ = record(self._model, micro, self.training)
        self._expected = given
        self._parameters = [tensor.detach().clone() for tensor in raw_parameters(self.user_model)]
        self._buffers = [
            [tensor.detach().clone() for tensor in raw_buffers(self.user_model)]
            for _ in range(self.options.replication_factor)
        ]
        if self.training:
            self._optimizer = optimizers.on_device(self._kind, self._numbers, self._parameters)
        generator = torch.Generator()
        if self.options.exists("random_seed"):
            generator.manual_seed(self.options.random_seed)
        self._random = generator.get_state()
        if self.options.show_progress:
            for share in (0, 50, 100):
                sys.stderr.write("\rGraph compilation: %3d%%|%s| %d/100 [00:01<00:01]" % (share, "#" * 8, share))
                sys.stderr.flush()
            sys.stderr.write("\n")
        if self.options.cache is not None:
            shapes = repr([tuple(value.shape) if isinstance(value, torch.Tensor) else value for value in given])
            Path(self.options.cache).mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(shapes.encode()).hexdigest()[:16] + ".popef"
            (Path(self.options.cache) / name).write_text("no executable: a stand-in wrote this\n")
        self._compile_s = time.monotonic() - began
        if self.options.connection_type != ConnectionType.Never:
            self.attachToDevice()

    def _run(self, given: List[Any]) -> Any:
        """Slices are dealt to (iteration, accumulation, replica, micro-batch), the order of PopART's own arrays."""
        assert self._graph is not None
        options = self.options
        iterations, replicas = options.device_iterations, options.replication_factor
        accumulation = options.Training.gradient_accumulation if self.training else 1
        parts = accumulation * replicas
        sliced = [split(value, iterations * parts) for value in given if isinstance(value, torch.Tensor)]
        host_random = torch.get_rng_state()
        torch.set_rng_state(self._random)
        self._counters = {name: [] for name in empty_counters()}
        collected: List[List[torch.Tensor]] = []
        times: Dict[str, List[float]] = {name: [] for name in empty_counters()}
        try:
            for iteration in range(iterations):
                totals: Optional[List[torch.Tensor]] = None
                for part in range(parts):
                    times["input"].append(time.perf_counter())
                    inputs = [pieces[iteration * parts + part] for pieces in sliced]
                    times["input_complete"].append(time.perf_counter())
                    outputs, gradients = self._micro_batch(inputs, part % replicas)
                    times["output"].append(time.perf_counter())
                    collected.append(outputs)
                    times["output_complete"].append(time.perf_counter())
                    if gradients is not None:
                        totals = gradients if totals is None else [a + b for a, b in zip(totals, gradients)]
                if totals is not None:
                    self._update(totals, parts)
        finally:
            self._random = torch.get_rng_state()
            torch.set_rng_state(host_random)
        self._counters = {name: [values] for name, values in times.items()}
        self._host_is_stale = self.training
        tensors = [gather([one[index] for one in collected], options, replicas) for index in range(len(collected[0]))]
        for tensor in tensors:
            forbid_backward(tensor)
        return rebuild(self._graph.structure, tensors)

    def _micro_batch(self, inputs: List[torch.Tensor], replica: int) -> Tuple[List[torch.Tensor], Any]:
        assert self._graph is not None
        if not self.training:
            with torch.no_grad():
                return list(self._graph.run(self._parameters, self._buffers[replica], inputs)), None
        parameters = [tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in self._parameters]
        *outputs, loss = self._graph.run(parameters, self._buffers[replica], inputs)
        gradients = torch.autograd.grad(loss if loss.dim() == 0 else loss.sum(), parameters, allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, gradients)]
        return [tensor.detach() for tensor in outputs], filled

    def _update(self, totals: List[torch.Tensor], parts: int) -> None:
        mean = self.options.Training.reduction == ReductionType.Mean
        for tensor, gradient in zip(self._parameters, totals):
            tensor.grad = gradient / parts if mean and parts > 1 else gradient
        self._optimizer.step()
        for tensor in self._parameters:
            tensor.grad = None

    def _latency(self, start: str, end: str) -> Tuple[float, float, float]:
        counters = self.getPerfCounters()
        spans = [b - a for a, b in zip(counters[start][0], counters[end][0])]
        return (min(spans), max(spans), sum(spans) / len(spans)) if spans else (0.0, 0.0, 0.0)


def demote(value: Any) -> Any:
    """PopTorch takes int64 and float64 and makes int32 and float32 of them; what does not fit is lost, so it is told
    here."""
    if not isinstance(value, torch.Tensor) or value.dtype not in _DEMOTED:
        return value.contiguous() if isinstance(value, torch.Tensor) else value
    if value.dtype == torch.int64 and value.numel() and not -(2**31) <= int(value.min()) <= int(value.max()) < 2**31:
        raise Error("an int64 input does not fit in int32, which the IPU has")
    return value.to(_DEMOTED[value.dtype])


def groups(options: Options) -> int:
    return int(options.device_iterations * options.replication_factor * options.Training.gradient_accumulation)


def narrow(value: Any, options: Options) -> Any:
    """The first micro-batch of an input."""
    if not isinstance(value, torch.Tensor):
        return value
    size = value.shape[0] if value.dim() else 1
    assert size % groups(options) == 0, (
        "Invalid batch dimension: In the input %s, the batch dimension (%d) must be a multiple of "
        "Options.deviceIterations(%d) * (Options.replicationFactor(%d) / "
        "Options.inputReplicaGrouping.input_group_size(1)) * Options.Training.gradientAccumulation(%d) = %d because it "
        "is used to calculate the batch size which will be executed on the device in any given iteration."
        % (
            list(value.shape),
            size,
            options.device_iterations,
            options.replication_factor,
            options.Training.gradient_accumulation,
            groups(options),
        )
    )
    return value if not value.dim() else value.narrow(0, 0, size // groups(options))


def split(value: torch.Tensor, pieces: int) -> List[torch.Tensor]:
    return [value] * pieces if not value.dim() else list(value.split(value.shape[0] // pieces))


def validate(expected: List[Any], given: List[Any]) -> None:
    end = (
        "\nThis error occurred because the inputs passed at runtime don't match the inputs used to compile the model.\n"
        "To recompile the model for the new inputs create a new inferenceModel / trainingModel wrapper or call "
        "destroy() on the current one and try again."
    )
    if len(expected) != len(given):
        raise Error(
            "Number of positional arguments mismatch: expected %d arguments but got %d.%s"
            % (len(expected), len(given), end)
        )
    for index, (old, new) in enumerate(zip(expected, given)):
        if type(old) is not type(new):
            raise Error("Type mismatch for input %d: expected %s but got %s.%s" % (index, type(old), type(new), end))
        if isinstance(old, torch.Tensor):
            if old.dtype != new.dtype:
                raise Error(
                    "Data type mismatch for input %d: expected %s but got %s.%s" % (index, old.dtype, new.dtype, end)
                )
            if old.shape != new.shape:
                raise Error(
                    "Shape mismatch for input %d: expected %s but got %s.%s"
                    % (index, list(old.shape), list(new.shape), end)
                )
        elif old != new:
            raise Error("Value mismatch for input %d: expected %r but got %r.%s" % (index, old, new, end))


def gather(pieces: List[torch.Tensor], options: Options, replicas: int) -> torch.Tensor:
    """One output of all micro-batches, by the output mode."""
    mode = options.output_mode
    if mode == OutputMode.Sum:
        return torch.stack(pieces).sum(0)
    if mode == OutputMode.EveryN:
        period = options.output_return_period
        steps = [pieces[index : index + replicas] for index in range(0, len(pieces), replicas)]
        chosen = [tensor for step in steps[period - 1 :: period] for tensor in step]
    elif mode == OutputMode.Final:
        chosen = pieces[-replicas:]
        if len(chosen) == 1:
            return chosen[0]
    else:
        chosen = pieces
    return torch.stack(chosen) if chosen[0].dim() == 0 else torch.cat(chosen)


def forbid_backward(tensor: torch.Tensor) -> None:
    def refuse(*arguments: Any, **named: Any) -> None:
        raise Error(
            "backward() cannot be called explicitly on outputs of a PopTorch model. If you're using a trainingModel, "
            "the backwards pass is performed automatically when invoking the model. If you're using an "
            "inferenceModel, you should use a trainingModel instead."
        )

    tensor.backward = refuse  # type: ignore[method-assign]


def empty_counters() -> Dict[str, List[List[float]]]:
    return {"input": [[]], "input_complete": [[]], "output": [[]], "output_complete": [[]]}


def is_wrapped(model: nn.Module) -> bool:
    return getattr(type(model), "wrapped_by_poptorch", False)


def wrap(model: nn.Module, executor: PoplarExecutor) -> None:
    """Reading the state or the parameters of a wrapped model brings them up to date first."""
    own, weak = type(model), weakref.ref(executor)

    def refresh() -> None:
        found = weak()
        if found is not None:
            found.copyWeightsToHostIfNeeded()

    class PoptorchModel(own):  # type: ignore[misc, valid-type]
        wrapped_by_poptorch = True
        own_class = own

        def named_parameters(self, *arguments: Any, **named: Any) -> Any:
            refresh()
            return super().named_parameters(*arguments, **named)

        def named_buffers(self, *arguments: Any, **named: Any) -> Any:
            refresh()
            return super().named_buffers(*arguments, **named)

        def state_dict(self, *arguments: Any, **named: Any) -> Any:
            refresh()
            return super().state_dict(*arguments, **named)

    model.__class__ = PoptorchModel


def unwrap(model: nn.Module) -> None:
    if is_wrapped(model):
        model.__class__ = type(model).own_class  # type: ignore[attr-defined]


def raw_parameters(model: nn.Module) -> List[torch.Tensor]:
    """Without bringing them up to date."""
    return [tensor for _, tensor in nn.Module.named_parameters(model)]


def raw_buffers(model: nn.Module) -> List[torch.Tensor]:
    return [tensor for _, tensor in nn.Module.named_buffers(model)]
