"""2Q: a FIFO for new rows, an LRU for rows asked for again after leaving it, and a memory of what left.

Johnson, Shasha, "2Q: A Low Overhead High Performance Buffer Management Replacement Algorithm" (VLDB 1994), the full
version with the paper's sizes: A1in 25 % of the capacity, A1out remembers the ids of 50 % of it. A hit in A1in changes
nothing. Choices where the paper is silent: a row found in A1out leaves it before room is made, and where A1in is within
its share but the LRU is empty, A1in gives the victim.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink

IN_PERCENT = 25  # Kin of the paper, section 4
OUT_PERCENT = 50  # Kout
ABSENT, IN, MAIN, OUT = 0, 1, 2, 3


class TwoQ:
    """`place[row]`: absent, in A1in, in the LRU (Am), or remembered in A1out."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._most_in = max(1, setup.capacity * IN_PERCENT // 100)
        self._most_out = max(1, setup.capacity * OUT_PERCENT // 100)
        self._place = np.zeros(setup.n_rows, dtype=np.uint8)
        self._links = empty_lists(setup.n_rows, 3)
        self._sizes = np.zeros(4, dtype=np.int64)

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits = _feed(ids, mask, self._place, self._links, self._sizes, self._lines, self._most_in, self._most_out)
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._sizes[IN] - self._sizes[MAIN]


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    place: Bytes,
    links: Links,
    sizes: Integers,
    lines: int,
    most_in: int,
    most_out: int,
) -> int:
    record = mask.size > 0
    final = ids.size - 1
    in_knot, main_knot, out_knot = place.size, place.size + 1, place.size + 2
    inside, main, out = sizes[IN], sizes[MAIN], sizes[OUT]
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(place, ahead)
        prefetch(links, ahead)
        row = ids[i]
        where = place[row]
        hit = where in (IN, MAIN)
        if where == MAIN:
            unlink(links, row)
            push(links, main_knot, row)
        if hit:
            hits += 1
        else:
            if where == OUT:
                unlink(links, row)
                out -= 1
            if inside + main == lines:
                if inside > most_in or main == 0:
                    victim = links[in_knot, NEWER]
                    unlink(links, victim)
                    inside -= 1
                    push(links, out_knot, victim)
                    place[victim] = OUT
                    if out < most_out:
                        out += 1
                    else:
                        forgotten = links[out_knot, NEWER]
                        unlink(links, forgotten)
                        place[forgotten] = ABSENT
                else:
                    victim = links[main_knot, NEWER]
                    unlink(links, victim)
                    place[victim] = ABSENT
                    main -= 1
            if where == OUT:
                push(links, main_knot, row)
                place[row] = MAIN
                main += 1
            else:
                push(links, in_knot, row)
                place[row] = IN
                inside += 1
        if record:
            mask[i] = hit
    sizes[IN], sizes[MAIN], sizes[OUT] = inside, main, out
    return hits
