"""ARC: two LRU lists, of rows seen once and rows seen again, whose share follows the misses on what each evicted.

Megiddo, Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache" (FAST 2003), figure 4 to the letter: T1 and T2 hold
rows, B1 and B2 remember the ids each evicted, at most twice the capacity together; the target size p of T1 is a real
number, moved by max(1, |B2|/|B1|) or max(1, |B1|/|B2|).
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink

T1, T2, B1, B2, ABSENT = 0, 1, 2, 3, 4


class Arc:
    """`place[row]`: the list that holds the row or remembers it, or absent; the knot of list k is n_rows + k."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._capacity = setup.capacity
        self._place = np.full(setup.n_rows, ABSENT, dtype=np.uint8)
        self._links = empty_lists(setup.n_rows, 4)
        self._sizes = np.zeros(4, dtype=np.int64)
        self._target = 0.0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._target = _feed(ids, mask, self._place, self._links, self._sizes, self._target, self._capacity)
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._sizes[T1] - self._sizes[T2]


@compiled
def _move_oldest(place: Bytes, links: Links, sizes: Integers, origin: int, goal: int) -> None:
    row = links[place.size + origin, NEWER]
    unlink(links, row)
    sizes[origin] -= 1
    place[row] = goal
    if goal != ABSENT:
        push(links, place.size + goal, row)
        sizes[goal] += 1


@compiled
def _replace(place: Bytes, links: Links, sizes: Integers, target: float, in_b2: bool) -> None:
    if sizes[T1] > 0 and (sizes[T1] > target or (in_b2 and sizes[T1] == target)):
        _move_oldest(place, links, sizes, T1, B1)
    else:
        _move_oldest(place, links, sizes, T2, B2)


@compiled
def _feed(
    ids: RowIds, mask: Bytes, place: Bytes, links: Links, sizes: Integers, target: float, capacity: int
) -> tuple[int, float]:
    record = mask.size > 0
    final = ids.size - 1
    t2_knot = place.size + T2
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(place, ahead)
        prefetch(links, ahead)
        row = ids[i]
        where = place[row]
        hit = where <= T2
        if hit:
            hits += 1
            unlink(links, row)
            push(links, t2_knot, row)
            if where == T1:
                place[row] = T2
                sizes[T1] -= 1
                sizes[T2] += 1
        elif where == ABSENT:
            once = sizes[T1] + sizes[B1]
            total = once + sizes[T2] + sizes[B2]
            if once == capacity:
                if sizes[T1] < capacity:
                    _move_oldest(place, links, sizes, B1, ABSENT)
                    _replace(place, links, sizes, target, False)
                else:
                    _move_oldest(place, links, sizes, T1, ABSENT)
            elif total >= capacity:
                if total == 2 * capacity:
                    _move_oldest(place, links, sizes, B2, ABSENT)
                _replace(place, links, sizes, target, False)
            push(links, place.size + T1, row)
            place[row] = T1
            sizes[T1] += 1
        else:
            if where == B1:
                target = min(float(capacity), target + max(1.0, sizes[B2] / sizes[B1]))
            else:
                target = max(0.0, target - max(1.0, sizes[B1] / sizes[B2]))
            _replace(place, links, sizes, target, where == B2)
            unlink(links, row)
            sizes[where] -= 1
            push(links, t2_knot, row)
            place[row] = T2
            sizes[T2] += 1
        if record:
            mask[i] = hit
    return hits, target
