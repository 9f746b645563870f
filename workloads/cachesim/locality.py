"""Exact measures of locality over dense rows, in compiled passes: reuse times, LRU stack distances, successors.

The stack distance of a request is the number of distinct rows looked up since the last request of its own row, itself
included: an LRU cache of C rows hits if and only if it is at most C (Mattson et al. 1970). Each row owns the slot of
its latest request; the distance is the number of owned slots from there on, all rows seen less those before it
(`slots`). When the slots run out they are numbered anew without gaps, so memory is bounded by the rows, not the
requests.

    N requests, R rows
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from workloads.cachesim.policies.engine import RowIds
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.rows import PIECE, checked_rows
from workloads.cachesim.slots import Slots, free, is_taken, take_all, taken_slots

Ids = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Slot = npt.NDArray[np.uint32]

FIRST = 0  # the place of first requests in counts by distance or time
BINS = 64  # bin b counts values in (2^(b - 1), 2^b], bin 0 the value 1
NEVER = np.uint32((1 << 32) - 1)  # the slot of a row not seen yet
SLOTS_PER_ROW = 2  # 1.25 is a tenth slower, 4 not faster
COUNTED_TOGETHER = 512  # distances, so that their places in the counts are fetched in time


def distance_counts(ids: Ids, unique: int) -> Integers:
    """[R + 1] how many requests have each stack distance; place 0 counts first requests, whose distance is infinite."""
    slots = taken_slots(SLOTS_PER_ROW * unique)
    slot_of = np.full(unique, NEVER, np.uint32)
    owner = np.zeros(64 * slots.words.size, np.uint32)
    width: Any = np.uint32 if len(ids) < 1 << 32 else np.int64
    counts = np.zeros(unique + 1, width)
    start = top = seen = 0
    while start < len(ids):
        if top == owner.size:
            top = _close_gaps(slot_of, owner, slots)
            take_all(slots)
        stop = min(len(ids), start + PIECE, start + owner.size - top)
        rows = checked_rows(ids[start:stop], unique, start)
        seen = _count_distances(rows, slot_of, owner, top, seen, slots, counts)
        top += stop - start
        start = stop
    counts[FIRST] = seen
    return counts.astype(np.int64)


def reuse_time_histogram(ids: Ids, unique: int) -> Integers:
    """[64] requests by the number of requests since the last one of the same row, in powers of two; no first ones."""
    histogram = np.zeros(BINS, np.int64)
    _reuse_times(ids, np.full(unique, -1, np.int64), histogram, 0, np.zeros(0, np.int64))
    return histogram


def reuse_time_quantile(ids: Ids, unique: int, histogram: Integers, share: float) -> int | None:
    """The exact reuse time that `share` of the reuses do not exceed (the lower of two middles); None without reuse.

    A second pass counts only the values in the histogram's bin where it must lie.
    """
    total = int(histogram.sum())
    if total == 0:
        return None
    wanted = max(1, int(np.ceil(share * total)))
    cumulated = np.cumsum(histogram)
    bin_ = int(np.searchsorted(cumulated, wanted))
    low = 1 if bin_ == 0 else (1 << (bin_ - 1)) + 1
    inside = np.zeros(min((1 << bin_) - low + 1, ids.size), np.int64)
    _reuse_times(ids, np.full(unique, -1, np.int64), np.zeros(BINS, np.int64), low, inside)
    before = int(cumulated[bin_ - 1]) if bin_ else 0
    return low + int(np.searchsorted(np.cumsum(inside), wanted - before))


def successor_hits(ids: Ids, unique: int, window: int) -> tuple[int, int, int]:
    """How far the row before a request foretells it: counts of eligible requests, and of two kinds of hits.

    Eligible is a request behind another row that was looked up before that. It hits when it is the row that
    immediately followed the last time (the second number), or came within `window` positions then (the third).
    """
    eligible, first, within = _successor_hits(np.ascontiguousarray(ids), np.full(unique, -1, np.int64), window)
    return int(eligible), int(first), int(within)


def log2_histogram(counts: Integers) -> Integers:
    """[64] the sums of counts by value (`counts[v]`, v from 1) in powers of two."""
    edges = np.concatenate(([1, 2], (1 << np.arange(1, BINS - 2, dtype=np.int64)) + 1))
    edges = edges[edges < counts.size]
    histogram = np.zeros(BINS, np.int64)
    if edges.size:
        histogram[: edges.size] = np.add.reduceat(counts, edges)
    return histogram


@njit(cache=True, nogil=True)
def _count_distances(
    rows: RowIds, slot_of: Slot, owner: Slot, top: int, seen: int, slots: Slots, counts: npt.NDArray[Any]
) -> int:
    """slot_of [R], owner [slots], the first slot not used, rows seen, counts [R + 1]; the rows seen now."""
    final = rows.size - 1
    distances = np.empty(COUNTED_TOGETHER, np.uint64)
    for start in range(0, rows.size, COUNTED_TOGETHER):
        found = 0
        for i in range(start, min(start + COUNTED_TOGETHER, rows.size)):
            prefetch(slot_of, rows[min(i + AHEAD, final)])
            prefetch(slots.words, slot_of[rows[min(i + AHEAD // 2, final)]] >> 6)
            row = rows[i]
            slot = slot_of[row]
            if slot == NEVER:
                seen += 1
            else:
                distance = np.uint64(seen) - free(slots, slot)
                prefetch(counts, distance)
                distances[found] = distance
                found += 1
            slot_of[row] = top + i
            owner[top + i] = row
        for k in range(found):
            counts[distances[k]] += 1
    return seen


@njit(cache=True, nogil=True)
def _close_gaps(slot_of: Slot, owner: Slot, slots: Slots) -> int:
    """Moves the rows of taken slots to the front, in order; how many there are."""
    top = 0
    for slot in range(owner.size):
        if is_taken(slots, slot):
            row = owner[slot]
            owner[top] = row
            slot_of[row] = top
            top += 1
    return top


@njit(cache=True, nogil=True)
def _reuse_times(ids: Ids, last: Integers, histogram: Integers, low: int, inside: Integers) -> None:
    """Fills the histogram, and inside[v - low] for times v in that range."""
    for i in range(ids.size):
        row = ids[i]
        if last[row] >= 0:
            time = i - last[row]
            bin_ = 0
            above = time - 1
            while above > 0:
                bin_ += 1
                above >>= 1
            histogram[bin_] += 1
            if low <= time < low + inside.size:
                inside[time - low] += 1
        last[row] = i


@njit(cache=True, nogil=True)
def _successor_hits(ids: Ids, last: Integers, window: int) -> tuple[int, int, int]:
    eligible, first, within = 0, 0, 0
    for i in range(1, ids.size):
        row, previous = ids[i], ids[i - 1]
        before = last[previous]
        last[previous] = i - 1
        if before < 0 or row == previous:
            continue
        eligible += 1
        for k in range(before + 1, min(before + window, i - 1) + 1):
            if ids[k] == row:
                within += 1
                if k == before + 1:
                    first += 1
                break
    return eligible, first, within
