"""SLRU: two LRU lists; a row enters the probationary one and moves to the protected one when it is hit.

Karedla, Love, Wherry, "Caching Strategies to Improve Disk System Performance" (IEEE Computer, 1994). Choices: two
segments as in the paper, the protected one at most 80 % of the capacity; a row pushed out of it becomes the newest of
the probationary one; the victim is the oldest probationary row.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink

PROTECTED_PERCENT = 80
ABSENT, PROBATION, PROTECTED = 0, 1, 2


class Slru:
    """`place[row]`: absent, or the segment that holds the row; the knot of a segment is n_rows + segment - 1."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._most_protected = setup.capacity * PROTECTED_PERCENT // 100
        self._place = np.zeros(setup.n_rows, dtype=np.uint8)
        self._links = empty_lists(setup.n_rows, 2)
        self._used = 0
        self._protected = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._used, self._protected = _feed(
            ids, mask, self._place, self._links, self._used, self._protected, self._lines, self._most_protected
        )
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    place: Bytes,
    links: Links,
    used: int,
    protected: int,
    lines: int,
    most_protected: int,
) -> tuple[int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    probation_knot, protected_knot = place.size, place.size + 1
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(place, ahead)
        prefetch(links, ahead)
        row = ids[i]
        where = place[row]
        if where == PROTECTED:
            unlink(links, row)
            push(links, protected_knot, row)
        elif where == PROBATION:
            unlink(links, row)
            push(links, protected_knot, row)
            place[row] = PROTECTED
            if protected < most_protected:
                protected += 1
            else:
                demoted = links[protected_knot, NEWER]
                unlink(links, demoted)
                push(links, probation_knot, demoted)
                place[demoted] = PROBATION
        else:
            if used < lines:
                used += 1
            else:
                victim = links[probation_knot, NEWER]
                unlink(links, victim)
                place[victim] = ABSENT
            push(links, probation_knot, row)
            place[row] = PROBATION
        hits += where != ABSENT
        if record:
            mask[i] = where != ABSENT
    return hits, used, protected
