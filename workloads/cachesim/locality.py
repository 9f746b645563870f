"""Exact measures of locality over dense rows, in compiled passes: reuse times, LRU stack distances, successors.

The stack distance of a request is the number of distinct rows looked up since the last request of its own row, itself
included: an LRU cache of C rows hits if and only if it is at most C (Mattson et al. 1970). Each row owns the slot of
its latest request; the distance is the number of owned slots from there on, counted in a bitset with two levels of
sums. When the slots run out they are numbered anew without gaps, so memory is bounded by the rows, not the requests.

    N requests, R rows
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ids = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

FIRST = 0  # the place of first requests in counts by distance or time
BINS = 64  # bin b counts values in (2^(b - 1), 2^b], bin 0 the value 1
GROUP_SLOTS = 1 << 12  # 64 words of 64 slots
BLOCK_SLOTS = 1 << 18  # 64 groups


def distance_counts(ids: Ids, unique: int) -> Integers:
    """[R + 1] how many requests have each stack distance; place 0 counts first requests, whose distance is infinite."""
    blocks = max(1, -(-max(2 * unique, 4096) // BLOCK_SLOTS))
    slots = blocks * BLOCK_SLOTS
    counts = np.zeros(unique + 1, np.int64)
    _distance_counts(
        np.ascontiguousarray(ids),
        np.full(unique, -1, np.int64),
        np.full(slots, -1, np.int32),
        np.zeros(slots // 64, np.uint64),
        np.zeros(slots // GROUP_SLOTS, np.int64),
        np.zeros(blocks, np.int64),
        counts,
    )
    return counts


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
def popcount(word: np.uint64) -> int:
    """Bits set in a 64-bit word (the classic sum over halves; compilers know it as one instruction)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _distance_counts(
    ids: Ids, slot_of: Integers, owner: Ids, words: Words, groups: Integers, blocks: Integers, counts: Integers
) -> None:
    """slot_of [R], owner [slots], words [slots / 64], groups [slots / 2^12], blocks [slots / 2^18], counts [R + 1]."""
    one = np.uint64(1)
    top = 0
    for i in range(ids.size):
        if top == owner.size:
            top = _close_gaps(slot_of, owner, words, groups, blocks)
        row = ids[i]
        slot = slot_of[row]
        if slot < 0:
            counts[FIRST] += 1
        else:
            word = slot >> 6
            distance = popcount(words[word] >> np.uint64(slot & 63))
            last = (top - 1) >> 6
            group = slot >> 12
            for k in range(word + 1, min(last, (group << 6) + 63) + 1):
                distance += popcount(words[k])
            block = slot >> 18
            for k in range(group + 1, min((top - 1) >> 12, (block << 6) + 63) + 1):
                distance += groups[k]
            for k in range(block + 1, ((top - 1) >> 18) + 1):
                distance += blocks[k]
            counts[distance] += 1
            words[word] ^= one << np.uint64(slot & 63)
            groups[group] -= 1
            blocks[block] -= 1
            owner[slot] = -1
        slot_of[row] = top
        owner[top] = row
        words[top >> 6] |= one << np.uint64(top & 63)
        groups[top >> 12] += 1
        blocks[top >> 18] += 1
        top += 1


@njit(cache=True, nogil=True)
def _close_gaps(slot_of: Integers, owner: Ids, words: Words, groups: Integers, blocks: Integers) -> int:
    """Moves the owned slots to the front, in order; the first free slot."""
    top = 0
    for slot in range(owner.size):
        row = owner[slot]
        if row >= 0:
            owner[slot] = -1
            owner[top] = row
            slot_of[row] = top
            top += 1
    words[:] = 0
    groups[:] = 0
    blocks[:] = 0
    for slot in range(top):
        words[slot >> 6] |= np.uint64(1) << np.uint64(slot & 63)
        groups[slot >> 12] += 1
        blocks[slot >> 18] += 1
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
