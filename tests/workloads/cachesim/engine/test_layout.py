"""Groups of lines: whole caches and sets of ways, one cache or one for each table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.engine.traces import batched_traces, make_trace
from workloads.cachesim.engine.batch_cache import BatchCache
from workloads.cachesim.engine.layout import hashed, linear_rows, make_layout
from workloads.cachesim.generators.registry import generate
from workloads.cachesim.policies.simulate import simulate


def mixed(number: int) -> int:
    """MurmurHash3's 64-bit finaliser, in plain integers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        number ^= number >> 33
        number = number * factor % 2**64
    return number ^ number >> 33


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1))
def test_rows_are_hashed_by_murmur(numbers):
    assert hashed(np.array(numbers, np.int64)).tolist() == [mixed(number) for number in numbers]


@given(batched_traces(), st.integers(1, 30), st.integers(1, 4), st.booleans())
@settings(deadline=None)
def test_every_row_is_in_a_set_of_its_own_cache(trace, capacity, ways, per_table):
    capacities = [capacity] * (trace.tables if per_table else 1)
    layout = make_layout(trace, capacities, ways=ways, whole_sets=True)
    assert (np.diff(layout.base) == ways).all()
    sets = -(-capacity // ways)
    assert layout.cache_lines == (sets * ways,) * len(capacities)
    for row, table in enumerate(trace.table_of_row().tolist()):
        cache = table if per_table else 0
        assert cache * sets <= layout.group_of_row[row] < (cache + 1) * sets


def test_sets_are_rounded_down_to_the_capacity_and_up_for_a_load_factor():
    trace = make_trace([[(0, key) for key in range(5)]])
    assert make_layout(trace, [100], ways=32).cache_lines == (96,)
    assert make_layout(trace, [100], ways=32, whole_sets=True).cache_lines == (128,)
    with pytest.raises(UsageError, match="20 rows is below one set of 32 ways"):
        make_layout(trace, [20], ways=32)


def test_a_whole_cache_is_one_group_no_larger_than_its_rows():
    trace = make_trace([[(0, 1), (0, 2), (1, 1), (1, 5), (1, 9)]], tables=2)
    assert make_layout(trace, [3]).base.tolist() == [0, 3]
    assert make_layout(trace, [100]).cache_lines == (5,)
    assert make_layout(trace, [100, 2]).base.tolist() == [0, 2, 4]


def test_rows_are_numbered_over_the_tables_as_the_model_has_them():
    trace = make_trace([[(0, 7), (1, 3), (0, 2)]], tables=2, rows=[10, 20])
    assert linear_rows(trace).tolist() == [7, 2, 13]
    without = make_trace([[(0, 7), (1, 3), (0, 2)]], tables=2)
    assert linear_rows(without).tolist() == [7, 2, 11]


@pytest.mark.parametrize("keys", [(-7, 3), (70, 3)])
def test_ids_that_are_no_row_numbers_are_numbered_by_the_trace(keys):
    trace = make_trace([[(0, key) for key in keys]], rows=[10])
    assert linear_rows(trace).tolist() == [0, 1]


def test_32_ways_cost_little_on_a_zipf_trace():
    """Half a per cent more misses than a fully associative LRU is what other measurements say; here at most one."""
    trace = generate("zipf", requests=200_000, rows=20_000).in_batches_of(1)
    layout = make_layout(trace, [2_000], ways=32)
    lines = layout.lines
    cache = BatchCache(trace.ids, trace.batch_starts, trace.table_of_row(), layout, "lru")
    cache.advance(trace.batches)
    whole = simulate("lru", trace.ids, trace.unique, lines)
    assert 1.0 < cache.totals[0, 2] / whole.misses < 1.01
