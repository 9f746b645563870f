"""The bit set beside Python's own set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.cachesim.policies import bits


@pytest.mark.parametrize("positions", [1, 64, 65, 4096, 4097, 300_000, 40_000_000])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_bit_set_is_a_set(positions, data):
    kept = bits.empty_set(positions)
    held = set()
    for position in data.draw(st.lists(st.integers(0, positions - 1), max_size=80)):
        assert bits.contains(kept, position) == (position in held)
        if position in held:
            bits.remove(kept, position)
            held.remove(position)
        else:
            bits.insert(kept, position)
            held.add(position)
        if held:
            assert bits.highest(kept) == max(held)
    for position in sorted(held, reverse=True):
        assert bits.highest(kept) == position
        bits.remove(kept, position)
    assert not any(level.any() for level in kept)


@pytest.mark.parametrize("bit", [0, 1, 31, 52, 53, 63])
def test_highest_bit_ignores_lower_bits(bit):
    for word in (1 << bit, (1 << bit) | ((1 << bit) - 1)):
        assert bits.highest_bit(bits.np.uint64(word)) == bit
