"""Estimates of frequency: never too low, exact without collisions, halved on request."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.cachesim.policies import sketch


@given(rows=st.lists(st.integers(0, 40), max_size=300))
@settings(max_examples=50, deadline=None)
def test_an_estimate_is_never_below_the_capped_count(rows):
    counters = sketch.empty_sketch(1)
    for row in rows:
        sketch.count(counters, row)
    for row in set(rows):
        assert sketch.estimate(counters, row) >= min(sketch.MOST, rows.count(row))
    assert counters.max(initial=0) <= sketch.MOST


def test_few_rows_in_a_large_sketch_are_counted_exactly():
    counters = sketch.empty_sketch(10_000)
    random = np.random.default_rng(3)
    counted = random.integers(1, 16, size=1000)
    for row, times in enumerate(counted):
        for _ in range(times):
            sketch.count(counters, row)
    found = np.array([sketch.estimate(counters, row) for row in range(1000)])
    assert (found == counted).mean() > 0.999
    sketch.halve(counters)
    halved = np.array([sketch.estimate(counters, row) for row in range(1000)])
    assert (halved == counted // 2).mean() > 0.999


def test_blocks_start_on_cache_lines():
    for lines in (1, 3, 1000, 99_999):
        counters = sketch.empty_sketch(lines)
        assert counters.ctypes.data % sketch.BLOCK == 0
        assert counters.size >= sketch.COUNTERS_PER_LINE * lines
        assert counters.shape[0] & (counters.shape[0] - 1) == 0
