from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from workloads.cachesim.curves.curve import Curve, complete_curve, size_grid


def known_sizes(sizes, hits, requests=100, unique=50):
    return Curve("fifo", None, requests, unique, np.array(sizes), np.array(hits))


def test_a_complete_curve_knows_every_size_and_stays_flat_beyond_all_rows():
    curve = complete_curve("lru", None, np.array([3, 2, 0, 5]))
    assert curve.complete and curve.requests == 10
    assert [curve.hits_at(rows) for rows in (0, 1, 2, 3, 99)] == [0, 2, 2, 7, 7]
    assert curve.hit_ratios.tolist() == [0, 0.2, 0.2, 0.7]
    assert curve.miss_ratios[3] == pytest.approx(0.3)
    with pytest.raises(UsageError, match="a cache of -1 rows"):
        curve.hits_at(-1)


def test_a_size_the_curve_was_not_made_for_is_said_and_not_guessed():
    curve = known_sizes([10, 20, 40], [5, 9, 12])
    assert curve.hits_at(20) == 9 and not curve.complete
    with pytest.raises(UsageError, match="the fifo curve was not made for 26 rows") as refusal:
        curve.hits_at(26)
    assert refusal.value.hint == "the nearest size it knows is 20 rows"


def test_the_next_point_is_the_smallest_size_that_hits_that_much_more():
    curve = complete_curve("lru", None, np.array([900, 1, 9, 1, 0, 89]))
    assert curve.next_point(1) == 3  # 1, 10, 11, 11, 100 of 1000 hit
    assert curve.next_point(0) == 2
    assert curve.next_point(2, points=5) == 5
    assert curve.next_point(5) is None
    with pytest.raises(UsageError, match="a gain of 0 points"):
        curve.next_point(1, points=0)


def test_a_curve_without_requests_has_no_ratios():
    curve = complete_curve("lru", "t0", np.zeros(1, np.int64))
    assert curve.hit_ratios is None and curve.smallest_for(0.5) is None and curve.next_point(0) is None


def test_chosen_sizes_are_the_same_curve():
    curve = complete_curve("lru", None, np.array([3, 2, 0, 5])).at([3, 1, 3])
    assert curve.sizes.tolist() == [1, 3] and curve.hits.tolist() == [2, 7]


def test_sizes_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        known_sizes([3, 2], [1, 1])


@given(st.integers(1, 10_000), st.integers(1, 80))
def test_a_grid_has_at_most_so_many_sizes_and_ends_with_all_rows(unique, points):
    grid = size_grid(unique, points)
    assert 1 <= grid.size <= points and grid[-1] == unique and grid[0] >= 1
    assert np.all(np.diff(grid) > 0)


def test_a_grid_without_points_or_from_beyond_the_rows_is_refused():
    with pytest.raises(UsageError, match="at least 1 size"):
        size_grid(10, 0)
    with pytest.raises(UsageError, match="smallest size of a curve is 11 rows"):
        size_grid(10, smallest=11)
    assert size_grid(0).size == 0
