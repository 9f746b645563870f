"""S3-FIFO: a small FIFO in front of a main one, and a ghost FIFO that lets returning rows straight into the main one.

Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction" (SOSP 2023), algorithm 1.
Implementations differ (libCacheSim's before and after October 2024, Caffeine's, GraphBolt's), so counts agree only
roughly. Choices, as in the paper: the small queue takes 10 % of the capacity; a hit counts up to 3; a row leaves the
small queue for the main one if it was hit at least twice, its count cleared; the main queue reinserts a row while its
count is above 0, less one each time; the ghost remembers the last ids evicted from the small queue, as many as the
main queue has lines, by the order of their eviction (section 4.2), and forgets an id that returns. Where the main
queue is full, it evicts before it takes a row from the small one.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled

SMALL_PERCENT = 10
PROMOTE_AT = 2  # hits in the small queue
MOST_HITS = 3
SMALL, MAIN = 4, 8  # place in the high bits of a row's state, its hits in the low two
HITS_MASK = 3


class S3Fifo:
    """`state[row]`: place and hits, 0 for absent. `ghost[row]`: the clock of the row's entry into the ghost, or 0.

    The clock starts at the ghost's size and ticks at each entry, so a row is remembered if its entry is one of the
    last that many. Both queues are rings of `lines` rows (either may hold the whole cache for a while).
    """

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._most_small = max(1, setup.capacity * SMALL_PERCENT // 100)
        self._most_main = setup.capacity - self._most_small
        self._state = np.zeros(setup.n_rows, dtype=np.uint8)
        self._ghosts = min(self._most_main, setup.n_rows)
        self._ghost = engine.new_stamps(setup.n_rows, self._ghosts)
        self._clock = self._ghosts
        self._small = np.zeros(setup.lines, dtype=np.uint32)
        self._main = np.zeros(setup.lines, dtype=np.uint32)
        self._places = (0, 0, 0, 0)  # where each queue starts and how many rows it holds: small, main

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        if self._clock > engine.RENUMBER_AT:
            engine.renumber(self._ghost, self._clock - self._ghosts)
            self._clock = self._ghosts
        hits, self._clock, *places = _feed(
            ids,
            mask,
            self._state,
            self._ghost,
            self._small,
            self._main,
            self._places,
            self._clock,
            self._ghosts,
            self._lines,
            self._most_small,
            self._most_main,
        )
        self._places = (places[0], places[1], places[2], places[3])
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._places[1] - self._places[3]


@compiled
def _slot(start: int, offset: int, size: int) -> int:
    slot = start + offset
    return slot - size if slot >= size else slot


@compiled
def _evict_from_main(state: Bytes, main: RowIds, start: int, held: int) -> tuple[int, int]:
    """Reinserts rows with hits, evicts the first without. `held` is above 0; returns the new start and held."""
    while True:
        row = main[start]
        start = _slot(start, 1, main.size)
        if state[row] & HITS_MASK == 0:
            state[row] = 0
            return start, held - 1
        state[row] -= 1
        main[_slot(start, held - 1, main.size)] = row


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    state: Bytes,
    ghost: Integers,
    small: RowIds,
    main: RowIds,
    places: tuple[int, int, int, int],
    clock: int,
    ghosts: int,
    lines: int,
    most_small: int,
    most_main: int,
) -> tuple[int, int, int, int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    small_start, small_held, main_start, main_held = places
    hits = 0
    for i in range(ids.size):
        prefetch(state, ids[min(i + AHEAD, final)])
        row = ids[i]
        found = state[row]
        if found:
            hits += 1
            state[row] = found + (found & HITS_MASK < MOST_HITS)
        else:
            while small_held + main_held == lines:
                if small_held < most_small:
                    main_start, main_held = _evict_from_main(state, main, main_start, main_held)
                    continue
                evicted = False
                while small_held > 0 and not evicted:
                    candidate = small[small_start]
                    small_start = _slot(small_start, 1, small.size)
                    small_held -= 1
                    if state[candidate] & HITS_MASK >= PROMOTE_AT:
                        if main_held >= most_main and main_held > 0:
                            main_start, main_held = _evict_from_main(state, main, main_start, main_held)
                        state[candidate] = MAIN
                        main[_slot(main_start, main_held, main.size)] = candidate
                        main_held += 1
                    else:
                        evicted = True
                        state[candidate] = 0
                        clock += 1
                        ghost[candidate] = clock
            if ghost[row] > clock - ghosts:
                ghost[row] = 0
                state[row] = MAIN
                main[_slot(main_start, main_held, main.size)] = row
                main_held += 1
            else:
                state[row] = SMALL
                small[_slot(small_start, small_held, small.size)] = row
                small_held += 1
        if record:
            mask[i] = found != 0
    return hits, clock, small_start, small_held, main_start, main_held
