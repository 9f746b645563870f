"""Counter-based random numbers: word i of a stream is a function of (seed, generator version, stream name, i) alone.

Rows can therefore be made in any order, by any number of workers, in pieces of any size, and the bytes are the same.
The generator is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"), whose i-th
output is a bijective mix of seed + i * golden ratio: it needs no state, and its published outputs are test vectors.
Only 64-bit integer arithmetic is used, which is the same on every machine; NumPy's own generators promise no such
thing for their distributions (NEP 19).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: the increment of SplitMix64
MULTIPLIER_1 = 0xBF58476D1CE4E5B9  # Stafford's variant 13 of the 64-bit finaliser
MULTIPLIER_2 = 0x94D049BB133111EB
MASK_64 = (1 << 64) - 1

GAUSSIAN_UNIT = 37837  # standard deviation of `gaussian_like`, rounded: sqrt((2^32 - 1) / 3) = 37837.2


@dataclass(frozen=True, slots=True)
class Stream:
    """One endless sequence of 64-bit words, addressed by position."""

    key: int

    def words(self, start: int, stop: int) -> Words:
        """Words start to stop - 1."""
        return splitmix64(self.key, np.arange(start, stop, dtype=np.uint64))

    def at(self, positions: npt.NDArray[np.integer]) -> Words:
        """The word at each of `positions` (not negative): a hash of them under this stream's key."""
        return splitmix64(self.key, positions.astype(np.uint64))


def stream(seed: int, version: int, name: str) -> Stream:
    """The stream called `name` under a data seed (any integer) and a generator version.

    The key is the start of a SHA-256, so streams of neighbouring seeds, versions or names have nothing in common.
    """
    digest = hashlib.sha256(f"recbench {version} {seed} {name}".encode()).digest()
    return Stream(int.from_bytes(digest[:8], "little"))


def splitmix64(seed: int, positions: Words) -> Words:
    """Output number `positions` (from 0) of SplitMix64 started with `seed`; one uint64 for each position."""
    word = positions + np.uint64(1)
    word *= np.uint64(GOLDEN_GAMMA)
    word += np.uint64(seed & MASK_64)
    shifted = word >> np.uint64(30)
    word ^= shifted
    word *= np.uint64(MULTIPLIER_1)
    np.right_shift(word, np.uint64(27), out=shifted)
    word ^= shifted
    word *= np.uint64(MULTIPLIER_2)
    np.right_shift(word, np.uint64(31), out=shifted)
    word ^= shifted
    return word


def below(words: Words, bound: int) -> npt.NDArray[np.int64]:
    """A uniform integer in [0, bound) from the upper half of each word; bound at most 2^31, bias below bound / 2^32."""
    if not 1 <= bound <= 1 << 31:
        raise ValueError(f"the bound must lie in [1, 2^31], not {bound}")
    return (((words >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)


def gaussian_like(words: Words) -> npt.NDArray[np.int64]:
    """An integer of mean 0 and standard deviation GAUSSIAN_UNIT, bell-shaped, within ±131070 (±3.46 deviations).

    The centred sum of a word's four 16-bit parts (Irwin-Hall of order 4): exact, and without log or cosine.
    """
    mask = np.uint64(0xFFFF)
    total = words & mask
    total += (words >> np.uint64(16)) & mask
    total += (words >> np.uint64(32)) & mask
    total += words >> np.uint64(48)
    return total.astype(np.int64) - 2 * 0xFFFF
