"""From rows to batches: order, gather, transform. `workloads.common.epochs` stages them a pool at a time.

B batch, n rows of the part
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from harness.api import HostBatch
from workloads.common.criteo_data import DenseTransform
from workloads.common.epochs import padded, permutation, tensor_of
from workloads.dlrm.data import Rows, transform_dense
from workloads.dlrm.sizes import SAMPLE_BYTES

_GATHERED_AT_ONCE = 1 << 18  # rows: bounds what gathering needs beside the staged batches


class Batches:
    """All batches of one part, in row order or shuffled by epoch. The last one is smaller where B does not divide n.

    `pad` fills it up to B rows instead, for devices that want one shape; the padding is not counted as rows.
    """

    def __init__(self, rows: Rows, batch: int, transform: DenseTransform, *, pad: bool) -> None:
        self.batch = batch
        self._dense = tensor_of(rows.dense)
        self._ids = tensor_of(rows.ids)
        self._labels = None if rows.labels is None else tensor_of(rows.labels)
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
            dense, ids = padded(dense, self.batch), padded(ids, self.batch)
            labels = None if labels is None else padded(labels, self.batch)
        return HostBatch(inputs=(dense,), ids=(ids,), labels=labels, rows=rows)


def order_of_epoch(seed: int, epoch: int, rows: int) -> Tensor:
    """A permutation of `rows` rows that depends on seed and epoch alone."""
    return permutation("dlrm", seed, epoch, rows)


def pool_batches(batches: Batches, limit_bytes: int) -> int:
    """How many of the batches fit in `limit_bytes` when staged; at least one."""
    return max(1, min(len(batches), limit_bytes // (batches.batch * SAMPLE_BYTES)))
