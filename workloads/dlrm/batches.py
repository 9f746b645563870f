"""From rows to staged batches: order, gather, transform, stage, a pool of batches at a time.

The pool is what a timing scope decides. In scope `compute` it holds the whole epoch and is filled before the clock
starts; in the other scopes it holds one batch and is filled inside the clock. An epoch too large for the memory left
falls between the two: its pool is as large as fits and is refilled inside the clock, which is said and recorded.

    B batch, n rows of the part
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.api import HostBatch
from workloads.common.counter import stream
from workloads.common.criteo_data import DenseTransform
from workloads.dlrm.data import Rows, transform_dense
from workloads.dlrm.sizes import SAMPLE_BYTES

_ORDER_VERSION = 1
_GATHERED_AT_ONCE = 1 << 18  # rows: bounds what gathering needs beside the staged batches


class Batches:
    """All batches of one part, in row order or shuffled by epoch. The last one is smaller where B does not divide n.

    `pad` fills it up to B rows instead, for devices that want one shape; the padding is not counted as rows.
    """

    def __init__(self, rows: Rows, batch: int, transform: DenseTransform, *, pad: bool) -> None:
        self.batch = batch
        self._dense = _tensor(rows.dense)
        self._ids = _tensor(rows.ids)
        self._labels = None if rows.labels is None else _tensor(rows.labels)
        self._transform = transform
        self._pad = pad
        self.rows = len(rows)

    def __len__(self) -> int:
        return -(-self.rows // self.batch)

    def size(self, index: int) -> int:
        """Rows of batch `index`."""
        return min(self.batch, self.rows - index * self.batch)

    def make(self, start: int, stop: int, order: Tensor | None) -> Iterator[HostBatch]:
        """Batches start to stop - 1 in host memory; `order` [n] says which row stands at each place."""
        at_once = max(1, _GATHERED_AT_ONCE // self.batch)
        for begin in range(start, stop, at_once):
            yield from self._gathered(begin, min(begin + at_once, stop), order)

    def _gathered(self, start: int, stop: int, order: Tensor | None) -> Iterator[HostBatch]:
        first, last = start * self.batch, min(stop * self.batch, self.rows)
        if order is None:
            dense, ids = self._dense[first:last], self._ids[first:last]
            labels = None if self._labels is None else self._labels[first:last]
        else:
            place = order[first:last]
            dense, ids = self._dense.index_select(0, place), self._ids.index_select(0, place)
            labels = None if self._labels is None else self._labels.index_select(0, place)
        dense = transform_dense(dense, self._transform)
        labels = None if labels is None else labels.float()
        for begin in range(0, last - first, self.batch):
            end = min(begin + self.batch, last - first)
            part = None if labels is None else labels[begin:end]
            yield self._host_batch(dense[begin:end], ids[begin:end], part, end - begin)

    def _host_batch(self, dense: Tensor, ids: Tensor, labels: Tensor | None, rows: int) -> HostBatch:
        if self._pad and rows < self.batch:
            dense, ids = _padded(dense, self.batch), _padded(ids, self.batch)
            labels = None if labels is None else _padded(labels, self.batch)
        return HostBatch(inputs=(dense,), ids=(ids,), labels=labels, rows=rows)


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


def order_of_epoch(seed: int, epoch: int, rows: int) -> Tensor:
    """A permutation of `rows` rows that depends on seed and epoch alone."""
    key = stream(seed, _ORDER_VERSION, f"dlrm order of epoch {epoch}").key
    return torch.randperm(rows, generator=torch.Generator().manual_seed(key % (1 << 63)))


def pool_batches(batches: Batches, limit_bytes: int) -> int:
    """How many of the batches fit in `limit_bytes` when staged; at least one."""
    return max(1, min(len(batches), limit_bytes // (batches.batch * SAMPLE_BYTES)))


def _tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """The array's own memory as a tensor. One mapped from disk cannot be written to, and nothing here does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _padded(values: Tensor, length: int) -> Tensor:
    whole = values.new_zeros((length, *values.shape[1:]))
    whole[: len(values)] = values
    return whole
