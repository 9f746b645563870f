"""W-TinyLFU: a small LRU window, and a segmented LRU that a row enters only if it is asked for more than the victim.

Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy" (ACM Transactions on Storage, 2017),
section 4. Choices, as in the paper: the window takes 1 % of the capacity (at least one line), the protected segment
80 % of the rest; every access is counted, then looked up; the window's oldest row replaces the oldest probationary row
(or the oldest protected one where there is none) if its estimated frequency is higher, and leaves the cache otherwise.
The window is fixed, and there is no doorkeeper.

One thing the paper does not have: a cold row whose counters collide with hot ones is never hit and never beaten, and as
the next victim it would shut the main cache for good. So of the refused candidates with an estimate of at least 6 every
128th is admitted all the same (Caffeine draws that chance; counting keeps runs alike). The estimates are those of
`sketch`, so renumbering the rows changes the counts, by some tenths of a percent.
"""

from __future__ import annotations

import numpy as np

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import NEWER, Links, empty_lists, push, unlink
from workloads.cachesim.policies.sketch import (
    SAMPLE_PER_LINE,
    block_of,
    count,
    empty_sketch,
    estimate,
    halve,
    hashed,
)

WINDOW_PERCENT = 1
PROTECTED_PERCENT = 80  # of the main cache
WARM = 6  # estimated frequency
WARM_REFUSALS = 128
ABSENT, WINDOW, PROBATION, PROTECTED = 0, 1, 2, 3


class WTinyLfu:
    """`place[row]`: absent, or the list that holds the row; the knot of a list is n_rows + list - 1."""

    def __init__(self, setup: Setup) -> None:
        self.counts = engine.new_counts()
        self._most_window = max(1, setup.capacity * WINDOW_PERCENT // 100)
        self._most_main = setup.capacity - self._most_window
        self._most_protected = self._most_main * PROTECTED_PERCENT // 100
        self._place = np.zeros(setup.n_rows, dtype=np.uint8)
        self._links = empty_lists(setup.n_rows, 3)
        self._counters = empty_sketch(setup.lines)
        self._sample = SAMPLE_PER_LINE * setup.lines
        self._sizes = np.zeros(4, dtype=np.int64)
        self._counted = 0
        self._warm_refusals = 0

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        hits, self._counted, self._warm_refusals = _feed(
            ids,
            mask,
            self._place,
            self._links,
            self._counters,
            self._sizes,
            self._counted,
            self._warm_refusals,
            self._sample,
            self._most_window,
            self._most_main,
            self._most_protected,
        )
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += len(ids) - hits
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._sizes.sum()


@compiled
def _feed(
    ids: RowIds,
    mask: Bytes,
    place: Bytes,
    links: Links,
    counters: Bytes,
    sizes: Integers,
    counted: int,
    warm_refusals: int,
    sample: int,
    most_window: int,
    most_main: int,
    most_protected: int,
) -> tuple[int, int, int]:
    record = mask.size > 0
    final = ids.size - 1
    window_knot, probation_knot, protected_knot = place.size, place.size + 1, place.size + 2
    window, probation, protected = sizes[WINDOW], sizes[PROBATION], sizes[PROTECTED]
    hits = 0
    for i in range(ids.size):
        ahead = ids[min(i + AHEAD, final)]
        prefetch(place, ahead)
        prefetch(links, ahead)
        prefetch(counters, block_of(counters, hashed(ahead)))
        row = ids[i]
        count(counters, row)
        counted += 1
        if counted == sample:
            halve(counters)
            counted = 0
        where = place[row]
        if where == WINDOW:
            unlink(links, row)
            push(links, window_knot, row)
        elif where == PROTECTED:
            unlink(links, row)
            push(links, protected_knot, row)
        elif where == PROBATION:
            unlink(links, row)
            push(links, protected_knot, row)
            place[row] = PROTECTED
            if protected < most_protected:
                protected += 1
                probation -= 1
            else:
                demoted = links[protected_knot, NEWER]
                unlink(links, demoted)
                push(links, probation_knot, demoted)
                place[demoted] = PROBATION
        else:
            push(links, window_knot, row)
            place[row] = WINDOW
            if window < most_window:
                window += 1
            else:
                candidate = links[window_knot, NEWER]
                unlink(links, candidate)
                admit = True
                if probation + protected < most_main:
                    probation += 1
                elif most_main == 0:
                    admit = False
                else:
                    victim = links[probation_knot if probation > 0 else protected_knot, NEWER]
                    wanted = estimate(counters, candidate)
                    admit = wanted > estimate(counters, victim)
                    if not admit and wanted >= WARM:
                        warm_refusals += 1
                        if warm_refusals == WARM_REFUSALS:
                            admit = True
                            warm_refusals = 0
                    if admit:
                        unlink(links, victim)
                        if probation == 0:
                            protected -= 1
                            probation += 1
                        place[victim] = ABSENT
                if admit:
                    push(links, probation_knot, candidate)
                    place[candidate] = PROBATION
                else:
                    place[candidate] = ABSENT
        hits += where != ABSENT
        if record:
            mask[i] = where != ABSENT
    sizes[WINDOW], sizes[PROBATION], sizes[PROTECTED] = window, probation, protected
    return hits, counted, warm_refusals
