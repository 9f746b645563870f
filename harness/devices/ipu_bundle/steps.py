"""The two modules that PopTorch compiles around a model: one that learns, one that answers.

PopTorch takes the mean of the gradients over accumulation and replicas and knows nothing of padding. So every row
comes with its weight: accumulation x replicas / valid rows of its update, and 0 for padding. The mean of the weighted
sums is then the gradient of the mean loss over the valid rows, however they lie in the micro-batches. A rate that
changes from one update to the next within a call is part of the weight too, since the learning rate of a call is one
number; this holds for plain SGD, which is linear in the gradient.

    B rows of one micro-batch
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class TrainStep(nn.Module):
    """forward(*inputs, *ids, valid, weight, labels): (sum of the valid rows' losses, the loss that is learned from).

    The loss is binary cross-entropy with logits. `mark` is poptorch.identity_loss.
    """

    def __init__(self, network: nn.Module, mark: Callable[..., Tensor]) -> None:
        super().__init__()
        self.network = network
        self._mark = mark

    def forward(self, *tensors: Tensor) -> Any:
        valid, weight, labels = tensors[-3:]
        logits = self.network(*tensors[:-2]).float()
        losses = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return (losses * valid).sum(), self._mark(losses * weight, reduction="sum")


class AnswerStep(nn.Module):
    """forward(*inputs, *ids, valid): logits [B], float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.network(*tensors).float()
        return logits


def row_weights(rows: int, geometry: dict[str, int], rates: list[float]) -> tuple[Tensor, Tensor, float]:
    """Of a call with `rows` valid rows: valid [call], weight [call], and the learning rate that the call is given.

    `rates` are those of its updates, one where they are all the same.
    """
    parts = geometry["replicas"] * geometry["gradient_accumulation"]
    update = geometry["micro_batch"] * parts
    updates = geometry["device_iterations"]
    call_rate = max(rates) if rates else 0.0
    valid = torch.zeros(update * updates)
    weight = torch.zeros(update * updates)
    valid[:rows] = 1.0
    for index in range(-(-rows // update)):
        first, last = index * update, min((index + 1) * update, rows)
        rate = rates[index] if len(rates) > 1 else call_rate
        share = rate / call_rate if call_rate else 1.0
        weight[first:last] = parts / (last - first) * share
    return valid, weight, call_rate
