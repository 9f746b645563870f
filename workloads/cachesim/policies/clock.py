"""CLOCK with one bit: FIFO in which a row that was hit since the hand last passed gets a second chance.

Corbato, "A Paging Experiment with the Multics System" (MIT, 1968). Choices: a row is inserted with its bit clear, a hit
sets it, the hand clears set bits and evicts the first row whose bit is clear; the new row takes that place, which is
just behind the hand.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled

ABSENT, RESIDENT, REFERENCED = 0, 1, 2


class Clock:
    """`state[row]`: absent, resident or referenced. `ring`: the resident rows in the order of the hand."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._state = np.zeros(setup.n_rows, dtype=np.uint8)
        self._ring = np.zeros(setup.lines, dtype=np.uint32)
        self._hand = 0
        self._used = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._hand, self._used = _feed(ids, mask, self._state, self._ring, self._hand, self._used)
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _feed(ids: RowIds, mask: Bytes, state: Bytes, ring: RowIds, hand: int, used: int) -> tuple[int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    hits = 0
    for i in range(ids.size):
        prefetch(state, ids[min(i + AHEAD, final)])
        row = ids[i]
        hit = state[row] != ABSENT
        if hit:
            hits += 1
            state[row] = REFERENCED
        else:
            state[row] = RESIDENT
            if used < ring.size:
                ring[used] = row
                used += 1
            else:
                while state[ring[hand]] == REFERENCED:
                    state[ring[hand]] = RESIDENT
                    hand += 1
                    if hand == ring.size:
                        hand = 0
                state[ring[hand]] = ABSENT
                ring[hand] = row
                hand += 1
                if hand == ring.size:
                    hand = 0
        if record:
            mask[i] = hit
    return hits, hand, used
