"""SIEVE: a queue in order of insertion, and a hand that moves from old to new and evicts rows not hit since it passed.

Zhang, Yang, Yue, Vigfusson, Rashmi, "SIEVE is Simpler than LRU" (NSDI 2024). Rows keep their place when they survive,
unlike CLOCK; the hand starts again at the oldest row after the newest.

The queue is an array from oldest to newest. What survives the hand is written down over the holes of what did not, so
the array is `[0, kept)` passed by the hand, `[hand, end)` before it, and nothing is ever unlinked.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled

ABSENT, RESIDENT, VISITED = 0, 1, 2
QUEUE_PER_LINE = 2  # the array is closed up when full: at most one move for each insertion


class Sieve:
    """`state[row]`: absent, resident or visited."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._state = np.zeros(setup.n_rows, dtype=np.uint8)
        self._queue = np.zeros(QUEUE_PER_LINE * setup.lines + 1, dtype=np.uint32)
        self._places = (0, 0, 0)  # kept, hand, end

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, *places = _feed(ids, mask, self._state, self._queue, *self._places, self._lines)
        self._places = kept, hand, end = places[0], places[1], places[2]
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - (kept + end - hand)


@compiled
def _feed(
    ids: RowIds, mask: Bytes, state: Bytes, queue: RowIds, kept: int, hand: int, end: int, lines: int
) -> tuple[int, int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    hits = 0
    for i in range(ids.size):
        prefetch(state, ids[min(i + AHEAD, final)])
        row = ids[i]
        hit = state[row] != ABSENT
        if hit:
            hits += 1
            state[row] = VISITED
        else:
            if kept + end - hand == lines:
                while True:
                    candidate = queue[hand]
                    hand += 1
                    survives = state[candidate] == VISITED
                    if survives:
                        state[candidate] = RESIDENT
                        queue[kept] = candidate
                        kept += 1
                    else:
                        state[candidate] = ABSENT
                    if hand == end:
                        hand, end, kept = 0, kept, 0
                    if not survives:
                        break
            if end == queue.size:
                for place in range(hand, end):
                    queue[kept + place - hand] = queue[place]
                hand, end = kept, kept + end - hand
            state[row] = RESIDENT
            queue[end] = row
            end += 1
        if record:
            mask[i] = hit
    return hits, kept, hand, end
