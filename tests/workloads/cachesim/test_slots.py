from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.slots import BLOCK_SLOTS, MOST_SLOTS, Slots, free, is_taken, take_all, taken_slots

REGIONS = 32 * BLOCK_SLOTS + 5 * BLOCK_SLOTS  # one whole region and a part


@compiled
def free_each(slots: Slots, which: np.ndarray, before: np.ndarray) -> None:
    for k in range(which.size):
        before[k] = free(slots, which[k])


@compiled
def taken(slots: Slots, which: np.ndarray, found: np.ndarray) -> None:
    for k in range(which.size):
        found[k] = is_taken(slots, which[k])


def ranks(slots: Slots, which: list[int]) -> list[int]:
    before = np.empty(len(which), np.uint64)
    free_each(slots, np.array(which, np.uint32), before)
    return before.tolist()


# near the edges of words, groups, blocks and regions, where counts meet
EDGES = st.sampled_from([0, 64, 2048, 4096, BLOCK_SLOTS, 2 * BLOCK_SLOTS, 32 * BLOCK_SLOTS, 33 * BLOCK_SLOTS])
NEAR = st.builds(lambda edge, step: min(max(edge + step, 0), REGIONS - 1), EDGES, st.integers(-66, 66))


@given(st.lists(NEAR | st.integers(0, REGIONS - 1), unique=True, min_size=1, max_size=60))
@settings(deadline=None, max_examples=50)
def test_a_freed_slot_is_told_how_many_taken_ones_lie_before_it(which):
    slots = taken_slots(REGIONS)
    gone: list[int] = []
    expected = []
    for slot in which:
        expected.append(slot - sum(each < slot for each in gone))
        gone.append(slot)
    assert ranks(slots, which) == expected
    found = np.empty(len(which), np.uint8)
    taken(slots, np.array(which, np.uint32), found)
    assert not found.any()


def test_taking_all_forgets_what_was_freed():
    slots = taken_slots(REGIONS)
    ranks(slots, [0, 63, 64, 40 * 64, BLOCK_SLOTS, 33 * BLOCK_SLOTS])
    take_all(slots)
    assert ranks(slots, [REGIONS - 1, 12345]) == [REGIONS - 1, 12345]


@pytest.mark.parametrize(("least", "blocks"), [(0, 1), (1, 1), (BLOCK_SLOTS, 1), (BLOCK_SLOTS + 1, 2)])
def test_slots_come_in_whole_blocks(least, blocks):
    slots = taken_slots(least)
    assert slots.words.size * 64 == blocks * BLOCK_SLOTS
    assert slots.in_block.shape[0] == blocks


def test_slots_are_numbered_in_32_bits():
    assert MOST_SLOTS % BLOCK_SLOTS == 0 and MOST_SLOTS - 1 < (1 << 32) - 1  # the last number is free for "never"
