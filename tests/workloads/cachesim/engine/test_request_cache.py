"""Any policy over one cache or one for each table is the plain simulation of the same requests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.cachesim.engine.traces import batched_traces
from workloads.cachesim.engine.request_cache import RequestCache, table_streams, whole_stream
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import simulate


def run(streams, capacities, name, requests, **more):
    policy = registry.policy(name)
    mask = np.full(requests, 7, np.uint8)
    if policy.looks_ahead:
        known = [next_uses(stream.rows, stream.n_rows) for stream in streams]
        more["next_use"] = known.__getitem__
    cache = RequestCache(streams, capacities, policy, mask=mask, **more)
    done = 0
    while not cache.finished:
        done += cache.step()
    assert done == requests
    return cache, mask


@pytest.mark.parametrize("name", ["lru", "sieve", "belady", "static", "fbgemm-lfu"])
@given(trace=batched_traces(), capacity=st.integers(1, 9), data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_unified_cache_is_the_plain_simulation(name, trace, capacity, data):
    warmup = data.draw(st.integers(0, trace.requests - 1))
    cache, mask = run([whole_stream(trace)], [capacity], name, trace.requests, warmup=warmup)
    expected = np.zeros(trace.requests, np.uint8)
    result = simulate(name, trace.ids, trace.unique, capacity, warmup=warmup, mask=expected)
    assert mask.tolist() == expected.tolist()
    assert (cache.insertions, cache.evictions) == ([result.insertions], [result.evictions])


@pytest.mark.parametrize("name", ["lru", "belady", "fbgemm-lfu"])
@given(trace=batched_traces(), capacity=st.integers(1, 9), data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_cache_of_its_own_sees_only_its_tables_requests(name, trace, capacity, data):
    warmup = data.draw(st.integers(0, trace.requests - 1))
    streams = table_streams(trace)
    cache, mask = run(streams, [capacity] * len(streams), name, trace.requests, warmup=warmup)
    of_request = trace.table_of_row()[trace.ids]
    assert [stream.name for stream in streams] == [f"t{table}" for table in sorted(set(of_request.tolist()))]
    for number, table in enumerate(sorted(set(of_request.tolist()))):
        here = np.flatnonzero(of_request == table)
        warm = int((here < warmup).sum())
        expected = np.zeros(here.size, np.uint8)
        rows = trace.ids[here] - int(trace.row_base[table])
        unique = int(trace.table_unique()[table])
        if warm < here.size:
            result = simulate(name, rows, unique, capacity, warmup=warm, mask=expected)
            assert (cache.insertions[number], cache.evictions[number]) == (result.insertions, result.evictions)
        else:
            simulate(name, rows, unique, capacity, mask=expected)
            assert cache.insertions[number] == cache.evictions[number] == 0
        assert mask[here].tolist() == expected.tolist()
