"""One pass over batches in a fixed order, staged a pool at a time: the pool is what a timing scope decides.

In scope `compute` it holds the whole epoch and is filled before the clock starts; in the other scopes it holds one
batch and is filled inside the clock. An epoch too large for the memory left falls between the two: its pool is as large
as fits and is refilled inside the clock, which is said and recorded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.api import HostBatch
from workloads.common.counter import stream

_ORDER_VERSION = 1


class Batches(Protocol):
    """All batches of one part."""

    def __len__(self) -> int: ...

    def make(self, start: int, stop: int, order: Tensor | None) -> Iterator[HostBatch]:
        """Batches start to stop - 1 in host memory; `order` [n] says which row stands at each place."""


class Epoch:
    """One pass over `batches` in a fixed order, staged a pool at a time."""

    def __init__(
        self, batches: Batches, stage: Callable[[HostBatch], Any], order: Tensor | None, pool: int, *, position: int = 0
    ) -> None:
        self.position = position  # the batch that comes next
        self._batches = batches
        self._stage = stage
        self._order = order
        self._size = pool
        self._first = position  # the batch at the pool's start
        self._staged: list[Any] = []

    @property
    def over(self) -> bool:
        return self.position >= len(self._batches)

    @property
    def empty(self) -> bool:
        """The next batch is not staged: `fill` comes first."""
        return self.position - self._first >= len(self._staged)

    def fill(self) -> None:
        """Stages the next pool; the old one is dropped first."""
        self._staged = []
        self._first = self.position
        stop = min(self.position + self._size, len(self._batches))
        self._staged = [self._stage(batch) for batch in self._batches.make(self.position, stop, self._order)]

    def take(self) -> Any:
        """The next staged batch."""
        staged = self._staged[self.position - self._first]
        self.position += 1
        return staged


def permutation(workload: str, seed: int, epoch: int, rows: int) -> Tensor:
    """A permutation of `rows` rows that depends on workload, seed and epoch alone."""
    key = stream(seed, _ORDER_VERSION, f"{workload} order of epoch {epoch}").key
    return torch.randperm(rows, generator=torch.Generator().manual_seed(key % (1 << 63)))


def tensor_of(array: npt.NDArray[np.generic]) -> Tensor:
    """The array's own memory as a tensor. One mapped from disk cannot be written to, and nothing here does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def padded(values: Tensor, length: int) -> Tensor:
    """`values` with zeros behind them."""
    whole = values.new_zeros((length, *values.shape[1:]))
    whole[: len(values)] = values
    return whole
