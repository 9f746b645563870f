"""A set of positions as four levels of 64-bit words: insert, remove, and the highest member.

Level 0 has one bit a position; a bit of a higher level says that a word below it is not empty, so the set costs about
1.02 bits a position. Every operation goes through all four levels and through no branch: whether a word becomes empty
cannot be foretold, and guessing it costs more than the stores that it would save. A word of level 3 stands for 2^24
positions; the few of them are looked through from the last one down.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies.instructions import leading_zeros
from workloads.cachesim.policies.jit import compiled

Words = npt.NDArray[np.uint64]
ONE, WIDTH, LAST = np.uint64(1), np.uint64(6), np.uint64(63)


class BitSet(NamedTuple):
    level_0: Words
    level_1: Words
    level_2: Words
    level_3: Words


def empty_set(positions: int) -> BitSet:
    """The empty set of numbers below `positions`."""
    return BitSet(*(np.zeros(max(1, -(-positions // 64**level)), np.uint64) for level in (1, 2, 3, 4)))


@compiled
def contains(held: BitSet, position: Any) -> Any:
    place = np.uint64(position)
    return (held.level_0[place >> WIDTH] >> (place & LAST)) & ONE != 0


@compiled
def insert(held: BitSet, position: Any) -> None:
    place_0 = np.uint64(position)
    place_1 = place_0 >> WIDTH
    place_2 = place_1 >> WIDTH
    place_3 = place_2 >> WIDTH
    held.level_0[place_1] |= ONE << (place_0 & LAST)
    held.level_1[place_2] |= ONE << (place_1 & LAST)
    held.level_2[place_3] |= ONE << (place_2 & LAST)
    held.level_3[place_3 >> WIDTH] |= ONE << (place_3 & LAST)


@compiled
def remove(held: BitSet, position: Any) -> None:
    place_0 = np.uint64(position)
    place_1 = place_0 >> WIDTH
    place_2 = place_1 >> WIDTH
    place_3 = place_2 >> WIDTH
    word = held.level_0[place_1] & ~(ONE << (place_0 & LAST))
    held.level_0[place_1] = word
    word = held.level_1[place_2] & ~(np.uint64(word == 0) << (place_1 & LAST))
    held.level_1[place_2] = word
    word = held.level_2[place_3] & ~(np.uint64(word == 0) << (place_2 & LAST))
    held.level_2[place_3] = word
    held.level_3[place_3 >> WIDTH] &= ~(np.uint64(word == 0) << (place_3 & LAST))


@compiled
def highest(held: BitSet) -> Any:
    """The highest member of a set that is not empty."""
    place = np.uint64(held.level_3.size - 1)
    while held.level_3[place] == 0:
        place -= ONE
    place = (place << WIDTH) + highest_bit(held.level_3[place])
    place = (place << WIDTH) + highest_bit(held.level_2[place])
    place = (place << WIDTH) + highest_bit(held.level_1[place])
    place = (place << WIDTH) + highest_bit(held.level_0[place])
    return np.int64(place)


@compiled
def highest_bit(word: Any) -> Any:
    """The index (uint64) of the highest set bit of a uint64 that is not 0."""
    return LAST - leading_zeros(word)
