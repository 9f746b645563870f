"""LFU: evicts the row requested least often since it was inserted; among equals, the one that got there first.

Choices: a row's count starts again at 1 when it returns; rows of one count form a FIFO by when they reached it.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.frequency import FIRST_LEVELS, STAMP, raise_levels, renumber_stamps
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink


class Lfu:
    """`frequency[row]`: requests since its insertion, 0 for absent; the lists are those of `frequency`."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._frequency = np.zeros(setup.n_rows, dtype=np.int32)
        self._levels = FIRST_LEVELS
        self._links = empty_lists(setup.n_rows, self._levels)
        self._lowest = 1
        self._used = 0
        self._clock = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        self._clock = renumber_stamps(self._links, self._frequency, self._frequency, self._levels, self._clock)
        start = 0
        while start < len(ids):
            done, hits, self._lowest, self._used, self._clock = _feed(
                ids[start:],
                mask[start:],
                self._frequency,
                self._links,
                self._levels,
                self._lowest,
                self._used,
                self._clock,
                self._lines,
            )
            self.counts[HITS] += hits
            self.counts[INSERTIONS] += done - hits
            start += done
            if start < len(ids):
                self._links, self._levels, self._lowest = raise_levels(
                    self._links, self._frequency, self._frequency, self._levels
                )
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    frequency: Integers,
    links: Links,
    levels: int,
    lowest: int,
    used: int,
    clock: int,
    lines: int,
) -> tuple[int, int, int, int, int]:
    """Stops before a request that needs a victim when no list has one (`lowest` has reached `levels`)."""
    record = mask.size > 0
    final = ids.size - 1
    knots = frequency.size
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(frequency, ahead)
        prefetch(links, ahead)
        row = ids[i]
        before = frequency[row]
        if before >= levels:
            hits += 1
            frequency[row] = before + 1
            clock += 1
            links[row, STAMP] = clock
        elif before > 0:
            hits += 1
            unlink(links, row)
            frequency[row] = before + 1
            if before + 1 < levels:
                push(links, knots + before + 1, row)
            else:
                clock += 1
                links[row, STAMP] = clock
            if before == lowest and links[knots + before, NEWER] == knots + before:
                lowest += 1
        else:
            if used < lines:
                used += 1
            elif lowest >= levels:
                return i, hits, lowest, used, clock
            else:
                victim = links[knots + lowest, NEWER]
                unlink(links, victim)
                frequency[victim] = 0
            frequency[row] = 1
            push(links, knots + 1, row)
            lowest = 1
        if record:
            mask[i] = before > 0
    return ids.size, hits, lowest, used, clock
