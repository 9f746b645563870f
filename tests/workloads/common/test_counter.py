from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.common.counter import (
    GAUSSIAN_UNIT,
    MASK_64,
    below,
    gaussian_like,
    splitmix64,
    stream,
)


def splitmix64_by_state(seed: int, count: int) -> list[int]:
    """The published algorithm, one word after another, in Python's own integers."""
    words = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK_64
        word = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK_64
        words.append(word ^ (word >> 31))
    return words


def test_the_published_outputs_for_seed_zero():
    assert splitmix64(0, np.arange(3, dtype=np.uint64)).tolist() == [
        0xE220A8397B1DCDAF,
        0x6E789E6AA1B965F4,
        0x06C45D188009454F,
    ]


def test_the_published_outputs_for_seed_1234567():
    assert splitmix64(1234567, np.arange(5, dtype=np.uint64)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.integers(-(1 << 70), 1 << 70))
@settings(deadline=None)
def test_any_seed_equals_the_sequential_algorithm(seed):
    assert splitmix64(seed, np.arange(7, dtype=np.uint64)).tolist() == splitmix64_by_state(seed & MASK_64, 7)


@given(st.integers(0, 1 << 40), st.lists(st.integers(0, 50), min_size=1, max_size=6))
@settings(deadline=None)
def test_a_stream_is_the_same_in_pieces_of_any_size(start, sizes):
    source = stream(3, 1, "ids")
    pieces, position = [], start
    for size in sizes:
        pieces.append(source.words(position, position + size))
        position += size
    whole = source.words(start, position)
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(source.at(np.arange(start, position)), whole)


def test_streams_differ_by_seed_version_and_name():
    keys = {stream(s, v, n).key for s in (0, 1, -1) for v in (1, 2) for n in ("C1", "C2", "label")}
    assert len(keys) == 18


def test_golden_bytes_of_a_stream():
    words = stream(1, 1, "golden").words(10, 1010).astype("<u8").tobytes()
    assert hashlib.sha256(words).hexdigest() == "b83362cef92ab59617ffa149c71e3120f6bc8647e9b712b95961045be52d4364"


@given(st.integers(1, 1 << 31))
@settings(deadline=None)
def test_integers_stay_below_their_bound(bound):
    drawn = below(np.array([0, 1 << 63, MASK_64], np.uint64), bound)
    assert drawn.tolist() == [0, bound // 2, bound - 1]


@pytest.mark.parametrize("bound", [0, (1 << 31) + 1])
def test_a_bound_out_of_range_is_refused(bound):
    with pytest.raises(ValueError, match="bound"):
        below(np.zeros(1, np.uint64), bound)


def test_integers_are_uniform():
    drawn = below(stream(5, 1, "uniform").words(0, 70_000), 7)
    counts = np.bincount(drawn, minlength=7)
    chi_square = np.sum((counts - 10_000) ** 2 / 10_000)
    assert chi_square < 22.5  # 0.1 % point of 6 degrees of freedom


def test_gaussian_like_numbers_have_the_stated_moments():
    drawn = gaussian_like(stream(5, 1, "effect").words(0, 200_000)) / GAUSSIAN_UNIT
    assert abs(drawn.mean()) < 0.01
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
    assert np.mean(drawn**4) == pytest.approx(3 - 1.2 / 4, abs=0.05)  # kurtosis of Irwin-Hall 4
    assert gaussian_like(np.array([0, MASK_64], np.uint64)).tolist() == [-131070, 131070]
