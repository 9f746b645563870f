"""LIRS: keeps the rows with the shortest distance between their last two uses, and a small queue for all others.

Jiang, Zhang, "LIRS: An Efficient Low Inter-reference Recency Set Replacement Policy" (SIGMETRICS 2002), section 3.
Choices: the resident high-recency rows (queue Q) get 1 % of the capacity, at least one line; the first rows become
low-recency (LIR) until their share is full; the stack S remembers rows that left the cache without bound, as in the
paper's description. With a capacity of one line there is no LIR row, and the rule is LRU.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink

QUEUE_PERCENT = 1  # Lhirs of the paper, section 3.3
ABSENT, LIR, IN_BOTH, IN_QUEUE, GONE = 0, 1, 2, 3, 4  # IN_BOTH: resident in S and Q; GONE: evicted, still in S


class Lirs:
    """`place[row]`: what the row is; one knot each for the stack S and the queue Q, in link arrays of their own."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._most_lir = setup.capacity - max(1, setup.capacity * QUEUE_PERCENT // 100)
        self._place = np.zeros(setup.n_rows, dtype=np.uint8)
        self._stack = empty_lists(setup.n_rows, 1)
        self._queue = empty_lists(setup.n_rows, 1)
        self._lir = 0
        self._used = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._lir, self._used = _feed(
            ids, mask, self._place, self._stack, self._queue, self._lir, self._used, self._most_lir, self._lines
        )
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._used


@compiled
def _prune(place: Bytes, stack: Links) -> None:
    """Takes rows off the bottom of S until an LIR row lies there."""
    knot = place.size
    bottom = stack[knot, NEWER]
    while bottom != knot and place[bottom] != LIR:
        unlink(stack, bottom)
        place[bottom] = IN_QUEUE if place[bottom] == IN_BOTH else ABSENT
        bottom = stack[knot, NEWER]


@compiled
def _demote_bottom(place: Bytes, stack: Links, queue: Links) -> None:
    """The LIR row at the bottom of S becomes the newest of Q."""
    bottom = stack[place.size, NEWER]
    unlink(stack, bottom)
    push(queue, place.size, bottom)
    place[bottom] = IN_QUEUE
    _prune(place, stack)


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    place: Bytes,
    stack: Links,
    queue: Links,
    lir: int,
    used: int,
    most_lir: int,
    lines: int,
) -> tuple[int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    knot = place.size
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(place, ahead)
        prefetch(stack, ahead)
        row = ids[i]
        where = place[row]
        hit = where != ABSENT and where != GONE
        hits += hit
        if where == LIR:
            at_bottom = stack[knot, NEWER] == row
            unlink(stack, row)
            push(stack, knot, row)
            if at_bottom:
                _prune(place, stack)
        elif most_lir == 0:
            if hit:
                unlink(queue, row)
            elif used < lines:
                used += 1
            else:
                victim = queue[knot, NEWER]
                unlink(queue, victim)
                place[victim] = ABSENT
            push(queue, knot, row)
            place[row] = IN_QUEUE
        else:
            if hit:
                unlink(queue, row)
            elif used < lines:
                used += 1
            else:
                victim = queue[knot, NEWER]
                unlink(queue, victim)
                place[victim] = GONE if place[victim] == IN_BOTH else ABSENT
            if where in (IN_BOTH, GONE):
                unlink(stack, row)
                push(stack, knot, row)
                place[row] = LIR
                if lir < most_lir:
                    lir += 1
                else:
                    _demote_bottom(place, stack, queue)
            else:
                push(stack, knot, row)
                if lir < most_lir and not hit:
                    lir += 1
                    place[row] = LIR
                else:
                    push(queue, knot, row)
                    place[row] = IN_BOTH
        if record:
            mask[i] = hit
    return hits, lir, used
