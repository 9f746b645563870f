"""A model as two PopTorch programs, one that trains and one that answers, with one set of weights.

Only one of them holds the IPUs at a time: letting go of them copies its weights to the host, taking them copies the
weights to the IPUs, so both always see what the other did, and one IPU is enough.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from .steps import AnswerStep, TrainStep, row_weights

OPTIMIZERS = ("sgd",)
_LATENCIES = {
    "latency": "getLatency",
    "host_to_ipu": "getHostIpuLatency",
    "compute": "getComputeLatency",
    "ipu_to_host": "getIpuHostLatency",
}


class Program:
    """`how`: the geometry, `seed`, `emulated`, `cache` (a folder or None), `memory_proportion` (or None)."""

    def __init__(
        self, network: nn.Module, geometry: dict[str, int], optimizer: dict[str, Any], how: dict[str, Any]
    ) -> None:
        import poptorch  # here, since the harness's side can read this file without it

        self._poptorch = poptorch
        self.network = network
        self._geometry = geometry
        self._how = how
        self._step = TrainStep(network, poptorch.identity_loss)
        self._answer = AnswerStep(network)
        self._optimizer = make_optimizer(self._step, optimizer)
        self._rate = float(optimizer["learning_rate"])
        self._training: Any = None
        self._inference: Any = None
        self._constants: dict[int, tuple[Tensor, Tensor, float]] = {}
        self._answered: dict[tuple[int, int], Tensor] = {}

    def compile(
        self, train: list[Tensor] | None, answer: list[Tensor] | None, answer_iterations: int
    ) -> dict[str, Any]:
        """Compiles what there is an example of, without running it; gives the seconds of each."""
        seconds = {}
        if train is not None:
            self._step.train()
            self._training = self._poptorch.trainingModel(self._step, self._options(True), self._optimizer)
            valid, weight, _ = self._row_constants(0, [self._rate])
            seconds["train"] = compile_one(self._training, [*train[:-1], valid, weight, train[-1]])
        if answer is not None:
            self._answer.eval()
            self._inference = self._poptorch.inferenceModel(self._answer, self._options(False, answer_iterations))
            seconds["infer"] = compile_one(self._inference, [*answer, self._valid(len(answer[0]), 0)])
        return seconds

    def train(self, features: list[Tensor], labels: Tensor, rows: int, rates: list[float]) -> float:
        """One call; the sum of its valid rows' losses."""
        valid, weight, rate = self._row_constants(rows, rates)
        self._give_ipus_to(self._training)
        if rate != self._rate:
            self._rate = rate
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._training.setOptimizer(self._optimizer)
        sums, _ = self._training(*features, valid, weight, labels)
        return float(sums.double().sum())

    def answer(self, features: list[Tensor], rows: int) -> Tensor:
        """Logits of every row; those behind the first `rows` are of padding, and mean nothing."""
        self._give_ipus_to(self._inference)
        logits: Tensor = self._inference(*features, self._valid(len(features[0]), rows))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """The network's state on the host, up to date; float32 and the buffers' own types."""
        if self._training is not None and self._training.isAttachedToDevice():
            self._training.copyWeightsToHost()
        return {name: tensor.detach() for name, tensor in self.network.state_dict().items()}

    def set_weights(self, state: dict[str, Tensor]) -> None:
        own = self.weights()
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)
        for program in (self._training, self._inference):
            if program is not None and program.isAttachedToDevice():
                program.copyWeightsToDevice()

    def random_state(self) -> list[int] | None:
        """The state of the IPU's random numbers, None before there is a training program."""
        return None if self._training is None else list(self._training.rng_state)

    def set_random_state(self, state: list[int]) -> None:
        if self._training is not None:
            self._training.rng_state = state

    def performance(self) -> dict[str, Any]:
        """Seconds of the last training call as PopTorch measured them: name to [least, most, mean]."""
        if self._training is None or not self._training.isAttachedToDevice():
            return {}
        counters = self._training.getPerfCounters()
        if not any(len(times) for times in counters["output_complete"]):
            return {}  # not all back ends keep them
        return {name: list(getattr(self._training, method)()) for name, method in _LATENCIES.items()}

    def close(self) -> None:
        for program in (self._training, self._inference):
            if program is not None:
                program.destroy()
        self._training = self._inference = None

    def _options(self, training: bool, iterations: int = 1) -> Any:
        poptorch, geometry, how = self._poptorch, self._geometry, self._how
        options = poptorch.Options()
        options.replicationFactor(geometry["replicas"])
        options.outputMode(poptorch.OutputMode.All)
        options.connectionType(poptorch.ConnectionType.OnDemand)
        options.useIpuModel(bool(how["emulated"]))
        options.randomSeed(int(how["seed"]))
        if geometry["replicas"] & (geometry["replicas"] - 1):
            options.autoRoundNumIPUs(True)  # PopTorch takes IPUs by powers of two
        if how["cache"] is not None:
            options.enableExecutableCaching(how["cache"])
        if how["memory_proportion"] is not None:
            options.setAvailableMemoryProportion({"IPU0": float(how["memory_proportion"])})
        if training:
            options.deviceIterations(geometry["device_iterations"])
            options.Training.gradientAccumulation(geometry["gradient_accumulation"])
            options.Training.accumulationAndReplicationReductionType(poptorch.ReductionType.Mean)
        else:
            options.deviceIterations(iterations)
        return options

    def _give_ipus_to(self, wanted: Any) -> None:
        other = self._inference if wanted is self._training else self._training
        if other is not None and other.isAttachedToDevice():
            other.detachFromDevice()
        if not wanted.isAttachedToDevice():
            wanted.attachToDevice()

    def _row_constants(self, rows: int, rates: list[float]) -> tuple[Tensor, Tensor, float]:
        """Made once for each number of valid rows while the rates of a call are one; a full call is by far the most."""
        if len(rates) > 1:
            return row_weights(rows, self._geometry, rates)
        if rows not in self._constants:
            self._constants[rows] = row_weights(rows, self._geometry, [1.0])
        valid, weight, _ = self._constants[rows]
        return valid, weight, rates[0] if rates else self._rate

    def _valid(self, size: int, rows: int) -> Tensor:
        if (size, rows) not in self._answered:
            self._answered[size, rows] = (torch.arange(size) < rows).float()
        return self._answered[size, rows]


def compile_one(program: Any, example: list[Tensor]) -> float:
    """Compiles, lets go of the IPUs again, and gives the seconds."""
    began = time.monotonic()
    program.compile(*example)
    if program.isAttachedToDevice():
        program.detachFromDevice()
    return time.monotonic() - began


def make_optimizer(step: nn.Module, optimizer: dict[str, Any]) -> Any:
    """Plain SGD: without momentum, and with a learning rate that may change."""
    if optimizer["name"] not in OPTIMIZERS:
        raise ValueError("optimizer %r has no mapping to PopTorch here" % optimizer["name"])
    return torch.optim.SGD(step.parameters(), lr=float(optimizer["learning_rate"]))
