"""Random: evicts a row drawn evenly among the resident ones, from the seed of the run.

The k-th eviction draws the k-th number of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
Generators", OOPSLA 2014) and takes its high 32 bits, scaled to the number of lines. The new row takes the
victim's line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class RandomVictim:
    """`resident[row]`: 1 or 0. `rows`: the row of each line."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._resident = np.zeros(setup.n_rows, dtype=np.uint8)
        self._rows = np.zeros(setup.lines, dtype=np.uint32)
        self._used = 0
        self._generator = np.array([setup.seed % (1 << 64)], dtype=np.uint64)

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._used = _feed(ids, mask, self._resident, self._rows, self._generator, self._used)
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _mix(word: Any) -> Any:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled
def _feed(ids: RowIds, mask: Bytes, resident: Bytes, rows: RowIds, generator: Integers, used: int) -> tuple[int, int]:
    record = mask.size > 0
    final = ids.size - 1
    lines = np.uint64(rows.size)
    state = generator[0]
    hits = 0
    for i in range(ids.size):
        prefetch(resident, ids[min(i + AHEAD, final)])
        row = ids[i]
        hit = resident[row] != 0
        if hit:
            hits += 1
        else:
            resident[row] = 1
            if used < rows.size:
                rows[used] = row
                used += 1
            else:
                state += GOLDEN_GAMMA
                line = ((_mix(state) >> np.uint64(32)) * lines) >> np.uint64(32)
                resident[rows[line]] = 0
                rows[line] = row
        if record:
            mask[i] = hit
    generator[0] = state
    return hits, used
