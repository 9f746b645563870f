"""From samples to batches: the past flat, or padded to one shape for devices that want it.

B samples of a batch, T longest past, n samples of the part
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from harness.api import HostBatch
from workloads.common.epochs import padded, permutation, tensor_of
from workloads.din.samples import Samples

_GATHERED_AT_ONCE = 1 << 16  # samples: bounds what gathering needs beside the staged batches
NOTHING = -1  # past item of a padded place, where the table engine knows it


class Batches:
    """All batches of one part, in row order or shuffled by epoch. The last one is smaller where B does not divide n.

    `longest` None: the past is flat. Else it is padded to that length with `padding`. `fill` adds samples up to B that
    no one counts, for devices that want one shape.
    """

    def __init__(self, samples: Samples, batch: int, *, longest: int | None, padding: int, fill: bool) -> None:
        self.batch = batch
        self.rows = len(samples)
        self.mean_length = samples.mean_length()
        self._longest = longest
        self._padding = padding
        self._fill = fill
        self._columns = tuple(
            tensor_of(column)
            for column in (samples.users, samples.items, samples.categories, samples.starts, samples.lengths)
        )
        self._labels = tensor_of(samples.labels)
        self._items = tensor_of(samples.sequences.items)
        self._categories = tensor_of(samples.sequences.categories)

    def __len__(self) -> int:
        return -(-self.rows // self.batch)

    def size(self, index: int) -> int:
        """Samples of batch `index`."""
        return min(self.batch, self.rows - index * self.batch)

    def batch_bytes(self) -> int:
        """About what one staged batch takes."""
        places = self.mean_length if self._longest is None else self._longest
        return int(self.batch * (24 + 8 * places))

    def make(self, start: int, stop: int, order: Tensor | None) -> Iterator[HostBatch]:
        """Batches start to stop - 1 in host memory; `order` [n] says which row stands at each place."""
        at_once = max(1, _GATHERED_AT_ONCE // self.batch)
        for begin in range(start, stop, at_once):
            yield from self._gathered(begin, min(begin + at_once, stop), order)

    def _gathered(self, start: int, stop: int, order: Tensor | None) -> Iterator[HostBatch]:
        first, last = start * self.batch, min(stop * self.batch, self.rows)
        if order is None:
            columns = [column[first:last] for column in self._columns]
            labels = self._labels[first:last].float()
        else:
            rows = order[first:last]
            columns = [column.index_select(0, rows) for column in self._columns]
            labels = self._labels.index_select(0, rows).float()
        users, items, categories, starts, lengths = columns
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
        torch.cumsum(lengths, 0, out=offsets[1:])
        places = int(offsets[-1])
        sample = torch.repeat_interleave(torch.arange(len(lengths)), lengths, output_size=places)
        inside = torch.arange(places) - offsets[:-1].index_select(0, sample)
        where = starts.index_select(0, sample) + inside
        past = tuple(each.index_select(0, where) for each in (self._items, self._categories))
        for begin in range(0, last - first, self.batch):
            end = min(begin + self.batch, last - first)
            own = slice(begin, end)
            low, high = int(offsets[begin]), int(offsets[end])
            flat = tuple(each[low:high] for each in past)
            ids = (users[own], items[own], categories[own])
            if self._longest is None:
                yield HostBatch(
                    inputs=(lengths[own],),
                    ids=ids,
                    labels=labels[own],
                    rows=end - begin,
                    flat=flat,
                    offsets=offsets[begin : end + 1] - low,
                )
            else:
                yield self._padded(lengths[own], ids, labels[own], flat, sample[low:high] - begin, inside[low:high])

    def _padded(
        self,
        lengths: Tensor,
        ids: tuple[Tensor, ...],
        labels: Tensor,
        flat: tuple[Tensor, ...],
        sample: Tensor,
        inside: Tensor,
    ) -> HostBatch:
        rows = len(lengths)
        size = self.batch if self._fill else rows
        longest = self._longest
        assert longest is not None
        past = []
        for values in flat:
            wide = torch.full((size, longest), self._padding, dtype=torch.int32)
            wide[sample, inside] = values
            past.append(wide)
        if size != rows:
            lengths, labels = padded(lengths, size), padded(labels, size)
            ids = tuple(padded(each, size) for each in ids)
        return HostBatch(inputs=(lengths,), ids=(*ids, *past), labels=labels, rows=rows)


def order_of_epoch(seed: int, epoch: int, rows: int) -> Tensor:
    """A permutation of `rows` rows that depends on seed and epoch alone."""
    return permutation("din", seed, epoch, rows)


def pool_batches(batches: Batches, limit_bytes: int) -> int:
    """How many of the batches fit in `limit_bytes` when staged; at least one."""
    return max(1, min(len(batches), limit_bytes // batches.batch_bytes()))
