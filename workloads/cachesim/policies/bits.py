"""A set of positions as a tree of 64-bit words: insert, remove, and the highest member.

Level 0 has one bit a position; a bit of a higher level says that a word below it is not empty. All levels lie in one
array, `base[level]` being where a level starts, so the set costs about 1.02 bits a position.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies.instructions import leading_zeros
from workloads.cachesim.policies.jit import compiled

Words = npt.NDArray[np.uint64]
Bases = npt.NDArray[np.int64]
ONE = np.uint64(1)


def empty_set(positions: int) -> tuple[Words, Bases]:
    """The empty set of numbers below `positions`: the words of all levels, and where each level starts."""
    bases, words = [0], max(1, -(-positions // 64))
    while words > 1:
        bases.append(bases[-1] + words)
        words = -(-words // 64)
    return np.zeros(bases[-1] + 1, dtype=np.uint64), np.array(bases, dtype=np.int64)


@compiled
def highest_bit(word: Any) -> Any:
    """The index of the highest set bit of a uint64 that is not 0."""
    return 63 - np.int64(leading_zeros(word))


@compiled
def contains(words: Words, position: int) -> Any:
    return (words[position >> 6] >> np.uint64(position & 63)) & ONE != 0


@compiled
def insert(words: Words, bases: Bases, position: int) -> None:
    for level in range(bases.size):
        place = bases[level] + (position >> 6)
        before = words[place]
        words[place] = before | (ONE << np.uint64(position & 63))
        if before != 0:
            return
        position >>= 6


@compiled
def remove(words: Words, bases: Bases, position: int) -> None:
    for level in range(bases.size):
        place = bases[level] + (position >> 6)
        words[place] &= ~(ONE << np.uint64(position & 63))
        if words[place] != 0:
            return
        position >>= 6


@compiled
def highest(words: Words, bases: Bases) -> Any:
    """The highest member of a set that is not empty."""
    position = 0
    for level in range(bases.size - 1, -1, -1):
        position = (position << 6) + highest_bit(words[bases[level] + position])
    return position
