"""A count-min sketch of recent frequencies: how often a row was asked for lately, in a few bytes a cached row.

As TinyLFU uses it (Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on
Storage, 2017): counters stop at 15, an access raises only the smallest of a row's counters, and all counters are halved
each time ten times the capacity was counted. Choices: the four counters of a row lie in one block of 64 bytes, one in
each quarter (one cache line an access); there are at least 16 counters a cached row, so few collide; the hash is
SplitMix64's mix of the row id, so renumbering rows changes which rows collide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.cachesim.policies.engine import Bytes
from workloads.cachesim.policies.jit import compiled

BLOCK = 64  # bytes, a cache line
COUNTERS_PER_LINE = 16
MOST = 15
SAMPLE_PER_LINE = 10  # accesses counted between two halvings, for each line of the cache


def empty_sketch(lines: int) -> Bytes:
    """Counters [blocks, 64], a power of two of blocks; each block starts on a cache line of its own."""
    blocks = 1 << (max(1, -(-COUNTERS_PER_LINE * lines // BLOCK)) - 1).bit_length()
    raw = np.zeros((blocks + 1) * BLOCK, dtype=np.uint8)
    start = -raw.ctypes.data % BLOCK
    return raw[start : start + blocks * BLOCK].reshape(blocks, BLOCK)


@compiled
def hashed(row: Any) -> Any:
    """64 well mixed bits of a row id: the high ones choose the block, the low ones its counters."""
    word = np.uint64(row) + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled
def block_of(counters: Bytes, word: Any) -> Any:
    return (word >> np.uint64(32)) & np.uint64(counters.shape[0] - 1)


@compiled
def count(counters: Bytes, row: Any) -> None:
    word = hashed(row)
    block = counters[block_of(counters, word)]
    a = word & np.uint64(15)
    b = np.uint64(16) + ((word >> np.uint64(4)) & np.uint64(15))
    c = np.uint64(32) + ((word >> np.uint64(8)) & np.uint64(15))
    d = np.uint64(48) + ((word >> np.uint64(12)) & np.uint64(15))
    least = min(block[a], block[b], block[c], block[d])
    if least < MOST:
        block[a] += block[a] == least
        block[b] += block[b] == least
        block[c] += block[c] == least
        block[d] += block[d] == least


@compiled
def estimate(counters: Bytes, row: Any) -> Any:
    word = hashed(row)
    block = counters[block_of(counters, word)]
    return min(
        block[word & np.uint64(15)],
        block[np.uint64(16) + ((word >> np.uint64(4)) & np.uint64(15))],
        block[np.uint64(32) + ((word >> np.uint64(8)) & np.uint64(15))],
        block[np.uint64(48) + ((word >> np.uint64(12)) & np.uint64(15))],
    )


@compiled
def halve(counters: Bytes) -> None:
    for block in range(counters.shape[0]):
        for counter in range(BLOCK):
            counters[block, counter] >>= 1
