"""The embedding tables of DIN outside autograd: gather rows as a leaf, then update them with the leaf's gradient.

`MergedTables` keeps all rows in one tensor and touches those of the batch alone. `TorchTables` holds one
`nn.Embedding` a table under torch's own optimizer, its gradients sparse or dense: the yardsticks for equality and
speed.

The leaf is in an order of its own: the users, the targets (item, category), the past (item, category). A past item of
-1 is padding: it belongs to no table, reads zeros and learns nothing.

    B samples, N places of the past, D width, n = 3 B + 2 N rows of the leaf, R rows of all tables
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from harness.api import OptimizerSpec, UsageError
from workloads.din.network import TABLES

STATE_NAME = "{}.weight"
_MOMENTS = ("first", "second")
STEPS_NAME = "updates"


class MergedTables:
    """All rows as one float32 tensor [R + 1, D], the last one zeros for padding; row-wise SGD or lazy Adam.

    Repeated ids of a batch add up first, as a dense gradient would. Adam is `torch.optim.SparseAdam`'s: the moments of
    a row move only with batches that hold it.
    """

    leaf_by_sample = False

    def __init__(self, rows: Sequence[int], width: int, optimizer: OptimizerSpec) -> None:
        self.rows = tuple(rows)
        self.width = width
        self._optimizer = optimizer
        self._weight = torch.zeros(sum(self.rows) + 1, width)
        self._moments = tuple(torch.zeros_like(self._weight) for _ in _MOMENTS) if optimizer.name == "adam" else ()
        self._place = torch.zeros(len(self._weight), dtype=torch.int64) if self._moments else None
        self._updates = 0
        self._pending: list[Tensor] = []
        self._padded = False  # a lookup read the row for nothing

    def lookup(self, ids: tuple[Tensor, ...]) -> Tensor:
        """The leaf [n, D] of (users [B], items [B], categories [B], past items, past categories; [B, T] or [N])."""
        index = self._index(*ids)
        leaf = self._weight.index_select(0, index)
        if torch.is_grad_enabled():
            leaf.requires_grad_()
            self._pending.append(index)
        return leaf

    @torch.no_grad()
    def apply(self, grad: Tensor, learning_rate: float) -> None:
        if not self._pending:
            raise RuntimeError("apply came without a lookup before it")
        index = self._pending[0] if len(self._pending) == 1 else torch.cat(self._pending)
        self._pending = []
        if self._moments:
            self._adam(index, grad, learning_rate)
        else:
            _add_rows(self._weight, index, grad, -learning_rate)
        if self._padded:
            self._weight[-1].zero_()

    def forget(self) -> None:
        """Lookups that no update will follow."""
        self._pending = []

    def to(self, device: torch.device | str) -> MergedTables:
        """Moves everything to `device`, in place."""
        self._weight = self._weight.to(device)
        self._moments = tuple(each.to(device) for each in self._moments)
        self._place = None if self._place is None else self._place.to(device)
        return self

    def weights(self) -> tuple[Tensor, ...]:
        """Each table as a view [rows, D]; writing to it writes to the table."""
        return self._split(self._weight)

    def state_dict(self) -> dict[str, Tensor]:
        state = {STATE_NAME.format(name): weight for name, weight in zip(TABLES, self.weights(), strict=True)}
        for moment, values in zip(_MOMENTS, self._moments, strict=False):
            state |= {f"{name}.{moment}": part for name, part in zip(TABLES, self._split(values), strict=True)}
        if self._moments:
            state[STEPS_NAME] = torch.tensor(self._updates)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copies table by table. A state without moments (of SGD, or elsewhere) starts them anew."""
        self.forget()
        load_weights(state, self.weights())
        self._updates = int(state.get(STEPS_NAME, 0)) if self._moments else 0
        for moment, values in zip(_MOMENTS, self._moments, strict=False):
            for name, part in zip(TABLES, self._split(values), strict=True):
                kept = state.get(f"{name}.{moment}")
                if kept is None:
                    part.zero_()
                    self._updates = 0
                else:
                    part.copy_(kept)

    def _split(self, values: Tensor) -> tuple[Tensor, ...]:
        return torch.split(values[:-1], list(self.rows))

    def _index(
        self, users: Tensor, items: Tensor, categories: Tensor, past_items: Tensor, past_categories: Tensor
    ) -> Tensor:
        of_users, of_items, _ = self.rows
        batch, places = len(users), past_items.numel()
        index = torch.empty(3 * batch + 2 * places, dtype=torch.int64, device=self._weight.device)
        index[:batch] = users
        targets, past = index[batch : 3 * batch].view(batch, 2), index[3 * batch :].view(places, 2)
        torch.add(items, of_users, out=targets[:, 0])
        torch.add(categories, of_users + of_items, out=targets[:, 1])
        torch.add(past_items.view(-1), of_users, out=past[:, 0])
        torch.add(past_categories.view(-1), of_users + of_items, out=past[:, 1])
        if past_items.dim() == 2:
            self._padded = True
            past.masked_fill_((past_items.view(-1, 1) < 0), len(self._weight) - 1)
        return index

    def _adam(self, index: Tensor, grad: Tensor, learning_rate: float) -> None:
        rows, slot = self._different(index)
        total = torch.zeros(len(rows), self.width, dtype=grad.dtype, device=grad.device)
        _add_rows(total, slot, grad, 1.0)
        self._updates += 1
        one, two = self._optimizer.betas
        first_all, second_all = self._moments
        first = first_all.index_select(0, rows).lerp_(total, 1.0 - one)
        second = second_all.index_select(0, rows).mul_(two).addcmul_(total, total, value=1.0 - two)
        first_all.index_copy_(0, rows, first)
        second_all.index_copy_(0, rows, second)
        factor = learning_rate * math.sqrt(1.0 - two**self._updates) / (1.0 - one**self._updates)
        step = first.div_(second.sqrt_().add_(self._optimizer.eps))
        self._weight.index_copy_(0, rows, self._weight.index_select(0, rows).sub_(step, alpha=factor))

    def _different(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The rows that occur in `index` [n], once each, and which of them each entry is.

        Every entry writes its number to its row's place and reads back who won there: no sorting, which would cost
        more than the update itself.
        """
        assert self._place is not None
        own = torch.arange(len(index), device=index.device)
        self._place.index_copy_(0, index, own)
        winner = self._place.index_select(0, index)
        is_first = winner == own
        rows = index[is_first]
        slots = is_first.cumsum(0).sub_(1)
        return rows, slots.index_select(0, winner)


class TorchTables:
    """One `nn.Embedding` a table under torch.optim.SGD or SparseAdam; with dense gradients SGD alone."""

    leaf_by_sample = False

    def __init__(self, rows: Sequence[int], width: int, optimizer: OptimizerSpec, *, sparse: bool) -> None:
        if not sparse and optimizer.name != "sgd":
            raise UsageError(
                f"dense table gradients under {optimizer.name} move rows that no batch holds: another algorithm",
                hint="use --tables merged or --tables bags, or --optimizer sgd",
            )
        self.rows = tuple(rows)
        self.width = width
        self._spec = optimizer
        self._tables = nn.ModuleList(
            nn.Embedding(count, width, sparse=sparse, _weight=torch.zeros(count, width)) for count in self.rows
        )
        self._optimizer = self._make_optimizer()
        self._pending: list[tuple[Tensor, Tensor]] = []

    def lookup(self, ids: tuple[Tensor, ...]) -> Tensor:
        users, items, categories, past_items, past_categories = (each.reshape(-1) for each in ids)
        of_user, of_item, of_category = self._tables
        target = torch.stack([of_item(items), of_category(categories)], 1).view(-1, self.width)
        real = torch.nonzero(past_items >= 0).view(-1)
        known = torch.cat([of_item(past_items[real]), of_category(past_categories[real])], 1)
        past = known.new_zeros(len(past_items), 2 * self.width).index_copy(0, real, known).view(-1, self.width)
        gathered = torch.cat([of_user(users), target, past])
        if not torch.is_grad_enabled():
            return gathered
        leaf = gathered.detach().requires_grad_()
        self._pending.append((gathered, leaf))
        return leaf

    def apply(self, grad: Tensor, learning_rate: float) -> None:
        if not self._pending:
            raise RuntimeError("apply came without a lookup before it")
        gathered = [each for each, _ in self._pending]
        self._pending = []
        parts = torch.split(grad, [len(each) for each in gathered])
        torch.autograd.backward(gathered, list(parts))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        with torch.sparse.check_sparse_tensor_invariants(enable=False):  # type: ignore[no-untyped-call]
            self._optimizer.step()
        self._optimizer.zero_grad()

    def forget(self) -> None:
        """Lookups that no update will follow."""
        self._pending = []

    def to(self, device: torch.device | str) -> TorchTables:
        """Moves everything to `device`, in place."""
        kept = self.state_dict()
        self._tables.to(device)
        self._optimizer = self._make_optimizer()
        self.load_state_dict(kept)
        return self

    def weights(self) -> tuple[Tensor, ...]:
        return tuple(parameter.data for parameter in self._tables.parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and Adam's moments, as `MergedTables` names them."""
        state = {STATE_NAME.format(name): weight for name, weight in zip(TABLES, self.weights(), strict=True)}
        if self._spec.name != "adam":
            return state
        updates = 0
        for name, parameter in zip(TABLES, self._tables.parameters(), strict=True):
            own = self._optimizer.state.get(parameter, {})
            updates = int(own.get("step", 0))
            for moment, theirs in zip(_MOMENTS, ("exp_avg", "exp_avg_sq"), strict=True):
                state[f"{name}.{moment}"] = own.get(theirs, torch.zeros_like(parameter.data))
        state[STEPS_NAME] = torch.tensor(updates)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.forget()
        load_weights(state, self.weights())
        self._optimizer = self._make_optimizer()
        if self._spec.name != "adam" or STEPS_NAME not in state:
            return
        for name, parameter in zip(TABLES, self._tables.parameters(), strict=True):
            self._optimizer.state[parameter] = {
                "step": int(state[STEPS_NAME]),
                "exp_avg": state[f"{name}.first"].to(parameter.device, copy=True),
                "exp_avg_sq": state[f"{name}.second"].to(parameter.device, copy=True),
            }

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = list(self._tables.parameters())
        if self._spec.name == "sgd":
            return torch.optim.SGD(parameters, lr=self._spec.learning_rate)
        return torch.optim.SparseAdam(
            parameters, lr=self._spec.learning_rate, betas=self._spec.betas, eps=self._spec.eps
        )


Tables = MergedTables | TorchTables


def make_tables(
    kind: Literal["merged", "bags", "dense"], rows: Sequence[int], width: int, optimizer: OptimizerSpec
) -> Tables:
    """An engine whose weights are not yet initialised."""
    if kind == "merged":
        return MergedTables(rows, width, optimizer)
    return TorchTables(rows, width, optimizer, sparse=kind == "bags")


def initialize_tables(tables: Tables, generator: torch.Generator) -> None:
    """Glorot's uniform, U(-a, a) with a = sqrt(6 / (rows + width)), table by table (graphcore/examples)."""
    for weight in tables.weights():
        bound = math.sqrt(6.0 / (weight.shape[0] + weight.shape[1]))
        weight.uniform_(-bound, bound, generator=generator)


def load_weights(state: Mapping[str, Tensor], weights: Sequence[Tensor]) -> None:
    """Copies each table. UsageError naming the first that is missing or of another size."""
    for name, weight in zip(TABLES, weights, strict=True):
        key = STATE_NAME.format(name)
        if key not in state:
            raise UsageError(f"the checkpoint has no table {key}")
        if state[key].shape != weight.shape:
            raise UsageError(
                f"the checkpoint's {key} is {tuple(state[key].shape)}, this model's is {tuple(weight.shape)}",
                hint="train and load with the same --embedding-dim and the same data",
            )
    for name, weight in zip(TABLES, weights, strict=True):
        weight.copy_(state[STATE_NAME.format(name)])


def _add_rows(target: Tensor, place: Tensor, values: Tensor, factor: float) -> None:
    """target[place] += factor * values, repeated places adding up; on a CPU `scatter_add_` is the faster."""
    if target.device.type == "cpu":
        target.scatter_add_(0, place.unsqueeze(1).expand_as(values), values if factor == 1.0 else values * factor)
    else:
        target.index_add_(0, place, values, alpha=factor)
