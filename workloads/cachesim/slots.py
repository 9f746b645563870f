"""Numbered slots of which some are free: how many taken ones lie before a slot, while slots are freed one by one.

Taken slots are bits of 64-bit words. Above the words stand counts on four levels: how many taken slots of its group lie
before a word, of its block before a group, of its region before a block, and before a region at all. So a rank is five
loads and no loop, and freeing a slot lowers the counts behind it in its group, block and region: 32 numbers beside each
other on each level, which processors change in one or two instructions. (Sums of what lies inside each part, or a
Fenwick tree, make the rank a loop of changing length, whose end is mispredicted: 3 times slower in all.)

All slots begin as taken. A list that grows from slot 0 on need not enter its slots then: a rank counts none behind.

    a word has 64 slots, a group 32 words, a block 32 groups = 2^16 slots, a region 32 blocks = 2^21 slots
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies.instructions import LANES, lower_behind, set_bits
from workloads.cachesim.policies.jit import compiled

BLOCK_SLOTS = 64 * LANES * LANES
MOST_SLOTS = (1 << 32) - BLOCK_SLOTS  # a slot is a uint32
ONE = np.uint64(1)


class Slots(NamedTuple):
    """See the module; arrays of one row for each group, block or region have a column for each part of it."""

    words: npt.NDArray[np.uint64]
    in_group: npt.NDArray[np.uint16]  # [groups, LANES]
    in_block: npt.NDArray[np.uint16]  # [blocks, LANES]
    in_region: npt.NDArray[np.uint32]  # [regions, LANES]
    in_all: npt.NDArray[np.uint32]  # [regions]


def taken_slots(least: int) -> Slots:
    """At least so many slots (at most MOST_SLOTS), all taken; whole blocks of them."""
    blocks = max(1, -(-min(least, MOST_SLOTS) // BLOCK_SLOTS))
    regions = -(-blocks // LANES)
    slots = Slots(
        np.empty(blocks * LANES * LANES, np.uint64),
        np.empty((blocks * LANES, LANES), np.uint16),
        np.empty((blocks, LANES), np.uint16),
        np.empty((regions, LANES), np.uint32),
        np.empty(regions, np.uint32),
    )
    take_all(slots)
    return slots


def take_all(slots: Slots) -> None:
    steps = np.arange(LANES)
    slots.words.fill(~np.uint64(0))
    slots.in_group[:] = steps * 64
    slots.in_block[:] = steps * (64 * LANES)
    slots.in_region[:] = steps * BLOCK_SLOTS
    slots.in_all[:] = np.arange(slots.in_all.size) * (BLOCK_SLOTS * LANES)


@compiled
def is_taken(slots: Slots, slot: Any) -> Any:
    place = np.uint64(slot)
    return (slots.words[place >> np.uint64(6)] >> (place & np.uint64(63))) & ONE != 0


@compiled
def free(slots: Slots, slot: Any) -> Any:
    """Frees a taken slot; how many taken ones lie before it (uint64)."""
    place = np.uint64(slot)
    word = place >> np.uint64(6)
    group = word // np.uint64(LANES)
    block = group // np.uint64(LANES)
    region = block // np.uint64(LANES)
    in_group, in_block, in_region = word % np.uint64(LANES), group % np.uint64(LANES), block % np.uint64(LANES)
    bits = slots.words[word]
    bit = ONE << (place & np.uint64(63))
    before = (
        set_bits(bits & (bit - ONE))
        + np.uint64(slots.in_group[group, in_group])
        + np.uint64(slots.in_block[block, in_block])
        + np.uint64(slots.in_region[region, in_region])
        + np.uint64(slots.in_all[region])
    )
    slots.words[word] = bits ^ bit
    lower_behind(slots.in_group, group, in_group)
    lower_behind(slots.in_block, block, in_block)
    lower_behind(slots.in_region, region, in_region)
    for behind in range(region + ONE, np.uint64(slots.in_all.size)):
        slots.in_all[behind] -= np.uint32(1)
    return before
