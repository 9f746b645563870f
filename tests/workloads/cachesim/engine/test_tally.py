"""Counting from a mask, against loops over dictionaries."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.cachesim.engine.traces import batched_traces, make_trace
from workloads.cachesim.engine.tally import HITS, REQUESTS, UNIQUE, UNIQUE_HITS, tally, whole_samples


@given(batched_traces(), st.randoms(use_true_random=False), st.integers(1, 5), st.data())
@settings(deadline=None)
def test_windows_tables_and_batches_are_counted_once(trace, random, windows, data):
    skip = data.draw(st.integers(0, trace.requests - 1))
    mask = np.array([random.randint(0, 1) for _ in range(trace.requests)], np.uint8)
    found = tally(trace, mask, skip=skip, windows=windows)
    table = trace.table_of_row()[trace.ids]
    edges = found.edges.tolist()
    assert edges[0] == skip and edges[-1] == trace.requests
    sizes = [stop - start for start, stop in itertools.pairwise(edges)]
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
    firsts = set()
    for start, stop in itertools.pairwise(trace.batch_starts.tolist()):
        seen = {}
        for i in range(max(start, skip), stop):
            seen.setdefault(int(trace.ids[i]), i)
        firsts |= set(seen.values())
    for window, (start, stop) in enumerate(itertools.pairwise(edges)):
        for number in range(trace.tables):
            own = [i for i in range(start, stop) if table[i] == number]
            assert found.counts[window, number].tolist() == [
                len(own),
                sum(int(mask[i]) for i in own),
                sum(i in firsts for i in own),
                sum(int(mask[i]) for i in own if i in firsts),
            ]
    assert found.total(REQUESTS) == trace.requests - skip
    assert sum(found.by_table(HITS)) == sum(found.by_window(HITS)) == found.total(HITS)
    assert found.total(UNIQUE_HITS) <= found.total(UNIQUE)


def test_a_sample_is_whole_when_all_its_rows_hit():
    trace = make_trace(None, tables=2, samples=[[[1], [2]], [[], []], [[1, 3], []], [[], [2]]])
    mask = np.array([1, 1, 1, 0, 1], np.uint8)
    assert whole_samples(trace, mask) == (3, 2)
    assert whole_samples(trace, mask, skip=1) == (2, 1)
    assert whole_samples(make_trace([[(0, 1)]]), np.ones(1, np.uint8)) is None


def test_a_trace_without_batches_has_no_distinct_rows_of_them():
    trace = make_trace(None, samples=[[[1, 2]], [[1]]])
    found = tally(trace, np.ones(3, np.uint8), windows=10)
    assert not found.unique and found.total(UNIQUE) == 0
    assert found.by_window(REQUESTS) == [1, 1, 1]
