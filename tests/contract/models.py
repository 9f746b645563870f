"""A small model for the executor contract: a dense module over the inputs and the gathered rows, and two tables."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import Executor, HostBatch, Portable

DENSE, TABLES, WIDTH, ROWS = 3, 2, 4, 11


class SmallDense(nn.Module):
    """Logits [B] of dense features [B, DENSE] and a leaf [B, TABLES, WIDTH]."""

    def __init__(self, dropout: float = 0.0, normalise: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(DENSE + TABLES * WIDTH, 8)
        self.normalise = nn.BatchNorm1d(8) if normalise else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(8, 1)

    def forward(self, dense: Tensor, leaf: Tensor) -> Tensor:
        together = torch.cat([dense, leaf.flatten(1)], dim=1)
        return self.last(self.dropout(torch.relu(self.normalise(self.first(together))))).squeeze(1)


class SmallTables:
    """Two tables in one tensor, updated by SGD row by row."""

    def __init__(self, generator: torch.Generator) -> None:
        self.weight = torch.randn(TABLES * ROWS, WIDTH, generator=generator)
        self._offsets = torch.arange(TABLES) * ROWS
        self._ids: Tensor | None = None

    def to(self, place: torch.device) -> None:
        self.weight = self.weight.to(place)
        self._offsets = self._offsets.to(place)

    def lookup(self, ids: tuple[Tensor, ...]) -> Tensor:
        self._ids = (ids[0] + self._offsets).flatten()
        leaf = self.weight[self._ids].view(-1, TABLES, WIDTH)
        return leaf.requires_grad_()

    def apply(self, grad: Tensor, learning_rate: float) -> None:
        self.weight.index_add_(0, self._ids, grad.reshape(-1, WIDTH), alpha=-learning_rate)

    def state_dict(self) -> Mapping[str, Any]:
        return {f"table_{number}": part for number, part in enumerate(self.weight.split(ROWS))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for number, part in enumerate(self.weight.split(ROWS)):
            part.copy_(state[f"table_{number}"])


class SmallModel:
    """Binary cross-entropy over the logits. The same seed gives the same weights."""

    def __init__(self, seed: int = 0, dropout: float = 0.0, normalise: bool = False) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.dense = SmallDense(dropout, normalise)
        self._form = {"dropout": dropout, "normalise": normalise}
        self.tables = SmallTables(torch.Generator().manual_seed(seed))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels)

    def portable(self) -> Portable:
        return Portable(
            files=(Path(__file__).with_name("portable_small.py"),),
            factory="portable_small:build",
            arguments={"dense": DENSE, "tables": TABLES, "rows": ROWS, "width": WIDTH, **self._form},
        )


def make_batch(size: int, rows: int | None = None, seed: int = 0) -> HostBatch:
    """`size` rows of which the first `rows` are valid."""
    generator = torch.Generator().manual_seed(seed)
    return HostBatch(
        inputs=(torch.randn(size, DENSE, generator=generator),),
        ids=(torch.randint(ROWS, (size, TABLES), generator=generator),),
        labels=torch.randint(2, (size,), generator=generator).float(),
        rows=size if rows is None else rows,
    )


def weights_of(model: SmallModel) -> dict[str, Tensor]:
    """A copy of every weight and buffer, on the host."""
    named = {**model.dense.state_dict(), **model.tables.state_dict()}
    return {name: tensor.detach().cpu().clone() for name, tensor in named.items()}


def trained(executor: Executor, model: SmallModel) -> dict[str, Tensor]:
    """As `weights_of`, once the executor has brought the model up to date: a device may keep its weights to itself."""
    executor.state_dict()
    return weights_of(model)


def differing(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not the same bit for bit."""
    assert left.keys() == right.keys()
    return [name for name in left if not torch.equal(left[name], right[name])]


def assert_same(left: Mapping[str, Tensor], right: Mapping[str, Tensor], exact: bool) -> None:
    """Bit for bit, or as close as a device comes whose sums have no fixed order."""
    if exact:
        assert differing(left, right) == []
        return
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=1e-4, atol=1e-5)


def through_a_file(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint would give it back: copies, read by the loader that runs no code."""
    file = io.BytesIO()
    torch.save(dict(state), file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded
