"""The embedding tables of DLRM outside autograd: read rows as a leaf, then update them with the leaf's gradient.

Two engines with one canonical state. `MergedTables` keeps all tables in one tensor and touches only the rows of the
batch, in two or three operations whatever the number of tables. `BagTables` is the structure of facebookresearch/dlrm,
one `nn.EmbeddingBag(sparse=True)` per table with torch's own optimizer: the yardstick for equality and speed.

    B batch, T tables, d width, R rows of all tables, N = B * T looked-up rows, U different ones among them
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import OptimizerSpec, UsageError

STATE_NAME = "emb_l.{}.weight"  # as in facebookresearch/dlrm's checkpoints
SUM_NAME = "emb_l.{}.adagrad_sum"
_RUNNING_SUM = "sum"  # torch.optim.Adagrad's name for it


class MergedTables:
    """All tables as one float32 tensor [R, d]; row-wise SGD or Adagrad on the rows of the last look-up.

    Repeated ids of a batch add up, as a dense gradient would: SGD adds each occurrence, Adagrad sums them first and
    squares the sum. On a CPU the order of additions is fixed, whatever the number of threads; elsewhere it is not.
    """

    def __init__(self, rows: Sequence[int], width: int, optimizer: OptimizerSpec) -> None:
        self.rows = tuple(rows)
        self.width = width
        self._optimizer = optimizer
        self._weight = torch.empty(sum(self.rows), width)
        self._sum = torch.full_like(self._weight, optimizer.initial_accumulator) if _has_sum(optimizer) else None
        self._offsets = torch.tensor([0, *self.rows[:-1]]).cumsum(0)  # [T] int64
        self._last: tuple[Tensor, Tensor] | None = None

    def lookup(self, ids: tuple[Tensor, ...]) -> Tensor:
        """Rows of `ids` ([B, T], each below its table's size) as a leaf [B, T, d]."""
        place = (ids[0] + self._offsets).view(-1)  # [N] int64
        leaf = self._weight.index_select(0, place).view(-1, len(self.rows), self.width)
        if torch.is_grad_enabled():
            leaf.requires_grad_()
            self._last = place, leaf
        return leaf

    @torch.no_grad()
    def apply(self, grad: Tensor, learning_rate: float) -> None:
        if self._last is None:
            raise RuntimeError("apply came without a lookup before it")
        place, _ = self._last
        self._last = None
        step = grad.reshape(-1, self.width)  # [N, d]
        if self._sum is None:
            _add_rows(self._weight, place, step, -learning_rate)
            return
        unique, position = torch.unique(place, return_inverse=True)
        total = torch.zeros(unique.numel(), self.width, dtype=step.dtype, device=step.device)
        _add_rows(total, position, step, 1.0)
        squares = self._sum.index_select(0, unique).addcmul_(total, total)
        self._sum.index_copy_(0, unique, squares)
        _add_rows(self._weight, unique, total / squares.sqrt_().add_(self._optimizer.eps), -learning_rate)

    def to(self, device: torch.device | str) -> MergedTables:
        """Moves everything to `device`, in place."""
        self._weight = self._weight.to(device)
        self._sum = None if self._sum is None else self._sum.to(device)
        self._offsets = self._offsets.to(device)
        return self

    def weights(self) -> tuple[Tensor, ...]:
        """Each table as a view [rows, d]; writing to it writes to the table."""
        return torch.split(self._weight, list(self.rows))

    def sums(self) -> tuple[Tensor, ...] | None:
        """Adagrad's sums, each a view [rows, d]; None under SGD."""
        return None if self._sum is None else torch.split(self._sum, list(self.rows))

    def state_dict(self) -> dict[str, Tensor]:
        return _state(self.weights(), self.sums())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        _load(state, self.weights(), self.sums(), self._optimizer.initial_accumulator)


class BagTables:
    """One sparse `nn.EmbeddingBag` per table with torch.optim.SGD or Adagrad, as facebookresearch/dlrm has them."""

    def __init__(self, rows: Sequence[int], width: int, optimizer: OptimizerSpec) -> None:
        self.rows = tuple(rows)
        self.width = width
        self._spec = optimizer
        self._bags = nn.ModuleList(
            nn.EmbeddingBag(count, width, mode="sum", sparse=True, _weight=torch.empty(count, width))
            for count in self.rows
        )
        self._optimizer = self._make_optimizer()
        self._last: tuple[Tensor, Tensor] | None = None

    def lookup(self, ids: tuple[Tensor, ...]) -> Tensor:
        columns = ids[0].t().contiguous().long()  # [T, B]
        begin = torch.arange(columns.shape[1], device=columns.device)
        pooled = torch.stack([bag(column, begin) for bag, column in zip(self._bags, columns, strict=True)], 1)
        if not torch.is_grad_enabled():
            return pooled
        leaf = pooled.detach().requires_grad_()
        self._last = pooled, leaf
        return leaf

    def apply(self, grad: Tensor, learning_rate: float) -> None:
        if self._last is None:
            raise RuntimeError("apply came without a lookup before it")
        pooled, _ = self._last
        self._last = None
        pooled.backward(grad)  # type: ignore[no-untyped-call]
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        # Adagrad's step builds sparse tensors, and torch warns where nobody said whether to check them.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):  # type: ignore[no-untyped-call]
            self._optimizer.step()
        self._optimizer.zero_grad()

    def to(self, device: torch.device | str) -> BagTables:
        """Moves everything to `device`, in place."""
        kept = self.state_dict()
        self._bags.to(device)
        self._optimizer = self._make_optimizer()
        self.load_state_dict(kept)
        return self

    def weights(self) -> tuple[Tensor, ...]:
        return tuple(bag.weight.data for bag in self._each())

    def sums(self) -> tuple[Tensor, ...] | None:
        if not _has_sum(self._spec):
            return None
        return tuple(self._optimizer.state[bag.weight][_RUNNING_SUM] for bag in self._each())

    def state_dict(self) -> dict[str, Tensor]:
        return _state(self.weights(), self.sums())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        _load(state, self.weights(), self.sums(), self._spec.initial_accumulator)

    def _each(self) -> Iterator[nn.EmbeddingBag]:
        for bag in self._bags:
            assert isinstance(bag, nn.EmbeddingBag)
            yield bag

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = list(self._bags.parameters())
        if not _has_sum(self._spec):
            return torch.optim.SGD(parameters, lr=self._spec.learning_rate)
        return torch.optim.Adagrad(
            parameters,
            lr=self._spec.learning_rate,
            eps=self._spec.eps,
            initial_accumulator_value=self._spec.initial_accumulator,
        )


Tables = MergedTables | BagTables


def make_tables(kind: Literal["merged", "bags"], rows: Sequence[int], width: int, optimizer: OptimizerSpec) -> Tables:
    """An engine whose weights are not yet initialised. UsageError for an optimizer it has no row-wise form of."""
    if optimizer.name not in ("sgd", "adagrad"):
        raise UsageError(f"dlrm tables know sgd and adagrad, not {optimizer.name!r}")
    return MergedTables(rows, width, optimizer) if kind == "merged" else BagTables(rows, width, optimizer)


def initialize_tables(tables: Tables, generator: torch.Generator) -> None:
    """U(-sqrt(1/n), sqrt(1/n)) for a table of n rows (facebookresearch/dlrm, `create_emb`), table by table."""
    for weight in tables.weights():
        bound = math.sqrt(1.0 / weight.shape[0])
        weight.uniform_(-bound, bound, generator=generator)


def _add_rows(target: Tensor, place: Tensor, values: Tensor, factor: float) -> None:
    """target[place] += factor * values, repeated places adding up.

    On a CPU `scatter_add_` over an index that is broadcast along the row is 3.5 times as fast as `index_add_` (24
    against 89 ns a row of 16 floats, torch 2.13); elsewhere `index_add_` saves the pass that scales the values.
    """
    if target.device.type == "cpu":
        target.scatter_add_(0, place.unsqueeze(1).expand_as(values), values if factor == 1.0 else values * factor)
    else:
        target.index_add_(0, place, values, alpha=factor)


def _has_sum(optimizer: OptimizerSpec) -> bool:
    return optimizer.name == "adagrad"


def _state(weights: Sequence[Tensor], sums: Sequence[Tensor] | None) -> dict[str, Tensor]:
    """Live views, no copies: save or copy them before the next step."""
    state = {STATE_NAME.format(table): weight for table, weight in enumerate(weights)}
    if sums is not None:
        state |= {SUM_NAME.format(table): total for table, total in enumerate(sums)}
    return state


def _load(
    state: Mapping[str, Tensor], weights: Sequence[Tensor], sums: Sequence[Tensor] | None, initial: float
) -> None:
    """Copies table by table. A state without sums (trained by SGD, or elsewhere) starts them anew."""
    for table, weight in enumerate(weights):
        name = STATE_NAME.format(table)
        if name not in state:
            raise UsageError(f"the checkpoint has no {name}, expected {len(weights)} embedding tables")
        if state[name].shape != weight.shape:
            raise UsageError(
                f"the checkpoint's {name} is {tuple(state[name].shape)}, this model's is {tuple(weight.shape)}",
                hint="train and load with the same tables: rows, --table-rows, --embedding-dim and the same data",
            )
    for table, weight in enumerate(weights):
        weight.copy_(state[STATE_NAME.format(table)])
    for table, total in enumerate(sums or ()):
        name = SUM_NAME.format(table)
        if name in state:
            total.copy_(state[name])
        else:
            total.fill_(initial)
