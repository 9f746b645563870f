"""The small model of the executor contract once more, whole, as it runs under a vendor's Python 3.8 and torch 2.0.

Names are those of `tests.contract.models.SmallModel`. Rows that are padding are seen by no statistics.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM, EPS = 0.1, 1e-5  # torch.nn.BatchNorm1d's


class Norm(nn.Module):
    """torch.nn.BatchNorm1d over the rows that count."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        if self.training:
            count = valid.sum()
            some = count.clamp(min=1.0)
            weight = valid.unsqueeze(1)
            mean = (x * weight).sum(0) / some
            variance = ((x - mean).square() * weight).sum(0) / some
            share = MOMENTUM * count.clamp(max=1.0)
            with torch.no_grad():
                unbiased = variance * some / (some - 1.0).clamp(min=1.0)
                self.running_mean.add_((mean - self.running_mean) * share)
                self.running_var.add_((unbiased - self.running_var) * share)
                self.num_batches_tracked.add_(1)
        scaled: Tensor = (x - mean) * torch.rsqrt(variance + EPS) * self.weight
        return scaled + self.bias


class Dense(nn.Module):
    def __init__(self, inputs: int, dropout: float, normalise: bool) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.normalise = Norm(8) if normalise else None
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(8, 1)

    def forward(self, dense: Tensor, leaf: Tensor, valid: Tensor) -> Tensor:
        x = self.first(torch.cat([dense, leaf.flatten(1)], 1))
        if self.normalise is not None:
            x = self.normalise(x, valid)
        logits: Tensor = self.last(self.dropout(torch.relu(x))).squeeze(1)
        return logits


class Table(nn.Module):
    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, width))

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)


class Network(nn.Module):
    """forward(dense, ids, valid): logits [B]."""

    def __init__(self, dense: int, tables: int, rows: int, width: int, dropout: float, normalise: bool) -> None:
        super().__init__()
        self.tables = nn.ModuleDict({"table_%d" % number: Table(rows, width) for number in range(tables)})
        self.dense = Dense(dense + tables * width, dropout, normalise)

    def forward(self, dense: Tensor, ids: Tensor, valid: Tensor) -> Tensor:
        rows = [table(ids[:, number]) for number, table in enumerate(self.tables.values())]
        logits: Tensor = self.dense(dense, torch.stack(rows, 1), valid)
        return logits


def build(arguments: dict[str, Any]) -> Network:
    return Network(**arguments)
