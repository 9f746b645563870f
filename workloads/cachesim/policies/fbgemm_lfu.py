"""FBGEMM's LFU: counts outlive the stay in the cache, and a row colder than the coldest resident one is refused.

The rule of the LFU cache of FBGEMM's table-batched embeddings (pytorch/FBGEMM, `lfu_cache_populate`): every request
counts; a missed row replaces the resident row with the lowest count unless that count is higher than its own. Choices:
fully associative and one request at a time, where FBGEMM has sets of 32 lines and counts a batch before it inserts;
among residents of equal count the one that got there first goes, where FBGEMM leaves it to its sort.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.frequency import FIRST_LEVELS, STAMP, raise_levels, renumber_stamps
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink


class FbgemmLfu:
    """`frequency[row]`: all its requests so far. `resident[row]`: 1 or 0. The lists are those of `frequency`."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._frequency = np.zeros(setup.n_rows, dtype=np.int32)
        self._resident = np.zeros(setup.n_rows, dtype=np.uint8)
        self._levels = FIRST_LEVELS
        self._links = empty_lists(setup.n_rows, self._levels)
        self._lowest = 1
        self._used = 0
        self._clock = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        self._clock = renumber_stamps(self._links, self._frequency, self._resident, self._levels, self._clock)
        start = 0
        while start < len(ids):
            done, hits, insertions, self._lowest, self._used, self._clock = _feed(
                ids[start:],
                mask[start:],
                self._frequency,
                self._resident,
                self._links,
                self._levels,
                self._lowest,
                self._used,
                self._clock,
                self._lines,
            )
            self.counts[HITS] += hits
            self.counts[INSERTIONS] += insertions
            start += done
            if start < len(ids):
                self._links, self._levels, self._lowest = raise_levels(
                    self._links, self._frequency, self._resident, self._levels
                )
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    frequency: Integers,
    resident: Bytes,
    links: Links,
    levels: int,
    lowest: int,
    used: int,
    clock: int,
    lines: int,
) -> tuple[int, int, int, int, int, int]:
    """Stops before a miss on a full cache when no list has a row. No resident row has a count below `lowest`."""
    record = mask.size > 0
    final = ids.size - 1
    knots = frequency.size
    hits = insertions = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(frequency, ahead)
        prefetch(resident, ahead)
        prefetch(links, ahead)
        row = ids[i]
        now = frequency[row] + 1
        hit = resident[row] != 0
        admit = True
        if hit:
            hits += 1
            if now <= levels:
                unlink(links, row)
        elif used < lines:
            used += 1
            lowest = min(lowest, now)
        else:
            while lowest < levels and links[knots + lowest, NEWER] == knots + lowest:
                lowest += 1
            if lowest >= levels:
                return i, hits, insertions, lowest, used, clock
            admit = lowest <= now
            if admit:
                victim = links[knots + lowest, NEWER]
                unlink(links, victim)
                resident[victim] = 0
        frequency[row] = now
        if admit:
            insertions += not hit
            resident[row] = 1
            if now < levels:
                push(links, knots + now, row)
            else:
                clock += 1
                links[row, STAMP] = clock
        if record:
            mask[i] = hit
    return ids.size, hits, insertions, lowest, used, clock
