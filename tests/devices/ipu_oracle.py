"""The oracle of the IPU's executor: the portable model in this process, trained by a loop a host would write."""

from __future__ import annotations

import importlib.util
import types

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from harness.api import Geometry, HostBatch
from tests.contract.models import SmallModel


def plain_network(model: SmallModel) -> nn.Module:
    """The portable model here, with the same weights."""
    portable = model.portable()
    spec = importlib.util.spec_from_file_location("portable_small_here", portable.files[0])
    module = types.ModuleType("portable_small_here")
    spec.loader.exec_module(module)
    network = module.build(portable.arguments)
    network.load_state_dict(
        {
            **{f"dense.{name}": tensor for name, tensor in model.dense.state_dict().items()},
            **{f"tables.{name}.weight": tensor for name, tensor in model.tables.state_dict().items()},
        }
    )
    return network.train()


def plain_loop(network: nn.Module, batch: HostBatch, geometry: Geometry, rate: float) -> None:
    """One call as a host would do it: the mean loss of each micro-batch, the mean of their gradients, one SGD step."""
    parameters = list(network.parameters())
    micro = geometry.micro_batch
    parts = geometry.global_batch // micro
    for first in range(0, geometry.call_samples, geometry.global_batch):
        totals = None
        for begin in range(first, first + geometry.global_batch, micro):
            rows = slice(begin, begin + micro)
            logits = network(batch.inputs[0][rows], batch.ids[0][rows].int(), torch.ones(micro))
            loss = binary_cross_entropy_with_logits(logits, batch.labels[rows])
            gradients = torch.autograd.grad(loss, parameters)
            totals = gradients if totals is None else [a + b for a, b in zip(totals, gradients, strict=True)]
        with torch.no_grad():
            for parameter, gradient in zip(parameters, totals, strict=True):
                parameter.sub_(gradient / parts, alpha=rate)


def portable_name(name: str) -> str:
    """A portable model's parameter as `tests.contract.models.weights_of` calls it."""
    if name.startswith("tables."):
        return name.removeprefix("tables.").removesuffix(".weight")
    return name.removeprefix("dense.")
