"""LRU: evicts the row whose last access is longest ago.

No list is kept. Every access is appended to a log, and each row remembers its latest entry. A hand walks the log from
its oldest entry: an entry that is not its row's latest is stale and skipped; one that is belongs to the least recently
used row, the next victim. So a row is resident if and only if its latest entry is not behind the hand, a hit is one
store, and victims are read in order. The log is a ring; where hits alone fill it, its live entries are gathered.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled

LOG_PER_LINE = 4  # least entries of the ring for each line: gathering then costs less than a step of the hand a request
LEAST_LOG = 1 << 16
LOOK_AHEAD = 64  # entries the hand tests in one go, without a branch the processor would mispredict


class Lru:
    """`last[row]`: the clock of the row's latest access, from 1; 0 for never. Entry k of the log is in slot k % size.

    Rows whose `last` is above `hand` are resident; the log holds the entries above `hand` up to `clock`.
    """

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        slots = 1 << (max(LEAST_LOG, LOG_PER_LINE * setup.lines) - 1).bit_length()
        self._last = engine.new_stamps(setup.n_rows, slots)
        self._log = np.zeros(slots, dtype=np.uint32)
        self._hand = 0
        self._clock = 0
        self._used = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        slots = len(self._log)
        start = 0
        while start < len(ids):
            if self._clock > engine.RENUMBER_AT:
                expired = self._hand - self._hand % slots
                engine.renumber(self._last, expired)
                self._hand -= expired
                self._clock -= expired
            if slots - (self._clock - self._hand) < slots // 4:
                self._hand, self._clock = _gather(self._log, self._last, self._hand, self._clock)
            stop = min(len(ids), start + slots - (self._clock - self._hand))
            hits, self._used, self._hand = _feed(
                ids[start:stop],
                mask[start:stop],
                self._log,
                self._last,
                self._hand,
                self._clock,
                self._used,
                self._lines,
            )
            self._clock += stop - start
            self.counts[HITS] += hits
            self.counts[INSERTIONS] += stop - start - hits
            start = stop
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _feed(
    ids: RowIds, mask: Bytes, log: RowIds, last: Integers, hand: int, clock: int, used: int, lines: int
) -> tuple[int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    wrap = log.size - 1
    candidates = np.empty(LOOK_AHEAD, dtype=np.int64)
    found = taken = 0
    looked = hand
    hits = 0
    for i in range(ids.size):
        prefetch(last, ids[min(i + AHEAD, final)])
        row = ids[i]
        hit = last[row] > hand
        if hit:
            hits += 1
        elif used < lines:
            used += 1
        else:
            while True:
                if taken == found:
                    found = taken = 0
                    start = looked
                    looked = min(looked + LOOK_AHEAD, clock)
                    for entry in range(start, looked):
                        candidates[found] = entry + 1
                        found += last[log[entry & wrap]] == entry + 1
                    continue
                hand = candidates[taken]
                taken += 1
                if last[log[(hand - 1) & wrap]] == hand:
                    break
        log[clock & wrap] = row
        clock += 1
        last[row] = clock
        if record:
            mask[i] = hit
    return hits, used, hand


@compiled
def _gather(log: RowIds, last: Integers, hand: int, clock: int) -> tuple[int, int]:
    """Appends the live entries anew, in order, and moves the hand past all older ones. Works inside a full ring."""
    wrap = log.size - 1
    end = clock
    for entry in range(hand, end):
        row = log[entry & wrap]
        if last[row] == entry + 1:
            log[clock & wrap] = row
            clock += 1
            last[row] = clock
    return end, clock
