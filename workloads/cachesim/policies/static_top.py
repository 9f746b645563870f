"""Static: the rows asked for most in a leading part of the trace, pinned for the rest of it.

What a fixed placement of hot rows achieves (pinned embedding rows, tables split by frequency). While it watches the
training part the cache is empty and every request misses; then the `capacity` rows with the highest counts are
inserted once, ties going to the row seen first, and nothing is ever evicted.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled


class StaticTop:
    """`seen[row]`: requests in training. `first[row]`: the position of the first of them."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._capacity = setup.capacity
        self._untrained = setup.train
        self._position = 0
        self._seen = np.zeros(setup.n_rows, dtype=np.int32)
        self._first = np.zeros(setup.n_rows, dtype=np.int64)
        self._pinned = np.zeros(setup.n_rows, dtype=np.uint8)

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        training = min(self._untrained, len(ids))
        if training:
            _watch(ids[:training], self._seen, self._first, self._position)
            self._position += training
            self._untrained -= training
            mask[:training] = 0
            if self._untrained == 0:
                self._pin()
        rest = ids[training:]
        if len(rest):
            self.counts[HITS] += _feed(rest, mask[training:], self._pinned)

    def _pin(self) -> None:
        rows = np.flatnonzero(self._seen)
        order = np.lexsort((self._first[rows], -self._seen[rows]))
        pinned = rows[order[: self._capacity]]
        self._pinned[pinned] = 1
        self.counts[INSERTIONS] += len(pinned)


@compiled
def _watch(ids: RowIds, seen: Integers, first: Integers, position: int) -> None:
    for i in range(ids.size):
        row = ids[i]
        if seen[row] == 0:
            first[row] = position + i
        seen[row] += 1


@compiled
def _feed(ids: RowIds, mask: Bytes, pinned: Bytes) -> int:
    record = mask.size > 0
    final = ids.size - 1
    hits = 0
    for i in range(ids.size):
        prefetch(pinned, ids[min(i + AHEAD, final)])
        hit = pinned[ids[i]]
        hits += hit
        if record:
            mask[i] = hit
    return hits
