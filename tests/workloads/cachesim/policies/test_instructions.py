from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.cachesim.policies.instructions import LANES, leading_zeros, lower_behind, prefetch, set_bits
from workloads.cachesim.policies.jit import compiled

WORDS = st.integers(0, (1 << 64) - 1)


@compiled
def bits_of(word):
    return set_bits(word)


@compiled
def zeros_of(word):
    return leading_zeros(word)


@compiled
def lowered(array, row, place):
    lower_behind(array, np.uint64(row), np.uint64(place))


@compiled
def fetched(array, index):
    prefetch(array, index)


@given(WORDS)
@settings(deadline=None)
def test_bits_are_counted(word):
    assert bits_of(np.uint64(word)) == word.bit_count()


@given(WORDS)
@settings(deadline=None)
def test_leading_zeros_are_counted(word):
    assert zeros_of(np.uint64(word)) == 64 - word.bit_length()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("place", range(LANES))
def test_only_the_numbers_behind_a_place_of_one_row_fall(dtype, place):
    array = np.arange(100, 100 + 3 * LANES, dtype=dtype).reshape(3, LANES)
    expected = array.copy()
    expected[1, place + 1 :] -= 1
    lowered(array, 1, place)
    assert array.tolist() == expected.tolist()


def test_a_prefetch_outside_an_array_does_nothing():
    array = np.arange(4, dtype=np.uint32)
    fetched(array, np.uint32((1 << 32) - 1))
    assert array.tolist() == [0, 1, 2, 3]
