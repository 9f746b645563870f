"""FIFO: evicts the row that was inserted first; a hit changes nothing.

No queue is kept. Rows leave in the order of their insertion, so with a capacity of C a row is resident if and only if
its own insertion is one of the last C; one number a row says so, and an eviction costs nothing at all.
"""

from __future__ import annotations

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled


class Fifo:
    """`stamps[row]`: the clock at the row's insertion. The clock starts at the capacity and ticks at each insertion."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._stamps = engine.new_stamps(setup.n_rows, self._lines)
        self._clock = self._lines

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        if self._clock > engine.RENUMBER_AT:
            engine.renumber(self._stamps, self._clock - self._lines)
            self._clock = self._lines
        hits = _feed(ids, mask, self._stamps, self._clock, self._lines)
        misses = len(ids) - hits
        self._clock += misses
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += misses
        self.counts[EVICTIONS] = max(0, self.counts[INSERTIONS] - self._lines)


@compiled
def _feed(ids: RowIds, mask: Bytes, stamps: Integers, clock: int, lines: int) -> int:
    record = mask.size > 0
    final = ids.size - 1
    start = clock
    for i in range(ids.size):
        prefetch(stamps, ids[min(i + AHEAD, final)])
        row = ids[i]
        stamp = stamps[row]
        hit = stamp > clock - lines
        clock += not hit
        stamps[row] = stamp if hit else clock
        if record:
            mask[i] = hit
    return ids.size - (clock - start)
