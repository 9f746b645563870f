"""The batch cache against its oracle, against the request-by-request policies, and against itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.engine import oracles
from tests.workloads.cachesim.engine.traces import batched_traces, make_trace
from workloads.cachesim.engine import batch_cache
from workloads.cachesim.engine.batch_cache import BatchCache, needs_next_batch, next_batches
from workloads.cachesim.engine.layout import make_layout
from workloads.cachesim.policies.simulate import simulate

NAMES = st.sampled_from(list(batch_cache.POLICIES))


def batches_of(trace):
    return [trace.ids[start:stop].tolist() for start, stop in itertools.pairwise(trace.batch_starts.tolist())]


def run(trace, layout, policy, pieces=1, **rules):
    known = None
    if needs_next_batch(policy, rules.get("look_ahead", 0)):
        known = next_batches(trace.ids, trace.batch_starts, trace.unique)
    cache = BatchCache(trace.ids, trace.batch_starts, trace.table_of_row(), layout, policy, next_batch=known, **rules)
    mask = np.full(trace.requests, 7, np.uint8)
    done = 0
    for stop in sorted({trace.batches * (piece + 1) // pieces for piece in range(pieces)} - {0}):
        done += cache.advance(stop, mask)
    assert done == trace.requests
    return cache, mask


def same(cache, mask, expected):
    totals = cache.totals.sum(axis=0).tolist()
    assert mask.tolist() == expected.mask
    assert [cache.calls, *totals] == [
        expected.calls,
        expected.requested,
        expected.unique,
        expected.unique_misses,
        expected.conflict_unique,
        expected.conflicts,
        expected.insertions,
        expected.evictions,
        expected.write_backs,
        expected.flushed,
    ]


@settings(deadline=None)
@given(
    trace=batched_traces(),
    policy=NAMES,
    capacity=st.integers(1, 20),
    ways=st.sampled_from([None, 1, 2, 3]),
    per_table=st.booleans(),
    in_flight=st.integers(0, 3),
    look_ahead=st.integers(0, 4),
    training=st.booleans(),
    flush_every=st.integers(0, 3),
    pieces=st.integers(1, 4),
)
def test_every_count_and_hit_is_that_of_the_oracle(
    trace, policy, capacity, ways, per_table, in_flight, look_ahead, training, flush_every, pieces
):
    capacities = [capacity] * (trace.tables if per_table else 1)
    layout = make_layout(trace, capacities, ways=ways, whole_sets=True)
    rules = {
        "in_flight": in_flight, "look_ahead": look_ahead, "training": training, "flush_every": flush_every
    }  # fmt: skip
    cache, mask = run(trace, layout, policy, pieces, **rules)
    sizes = np.diff(layout.base).tolist()
    expected = oracles.simulate(batches_of(trace), lambda row: int(layout.group_of_row[row]), sizes, policy, **rules)
    same(cache, mask, expected)
    assert cache.resident == expected.insertions - expected.evictions


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(0, 15), min_size=1, max_size=80),
    policy=st.sampled_from(["lru", "fifo", "lfu", "fbgemm-lfu", "belady"]),
    capacity=st.integers(1, 10),
)
def test_batches_of_one_request_are_the_plain_policy(ids, policy, capacity):
    trace = make_trace([[(0, row)] for row in ids])
    cache, mask = run(trace, make_layout(trace, [capacity]), policy)
    expected = np.zeros(len(ids), np.uint8)
    result = simulate(policy, trace.ids, trace.unique, capacity, mask=expected)
    assert mask.tolist() == expected.tolist()
    totals = cache.totals.sum(axis=0)
    assert (totals[batch_cache.INSERTIONS], totals[batch_cache.EVICTIONS]) == (result.insertions, result.evictions)


@settings(deadline=None)
@given(batched_traces(), st.integers(1, 20), st.integers(0, 3))
def test_an_lru_that_knows_every_batch_is_belady(trace, capacity, in_flight):
    """Both keep what is needed soonest, and go by the time of use where that is equal."""
    layout = make_layout(trace, [capacity])
    _, far = run(trace, layout, "lru", look_ahead=trace.batches, in_flight=in_flight)
    _, best = run(trace, layout, "belady", in_flight=in_flight)
    assert far.tolist() == best.tolist()


@settings(deadline=None)
@given(batched_traces(), NAMES, st.integers(0, 2))
def test_no_policy_that_admits_all_misses_less_than_belady(trace, policy, look_ahead):
    largest = max(len(set(batch)) for batch in batches_of(trace))
    layout = make_layout(trace, [largest])
    found, _ = run(trace, layout, policy, look_ahead=look_ahead)
    best, _ = run(trace, layout, "belady")
    if policy != "fbgemm-lfu":
        assert found.totals[:, batch_cache.CONFLICTS].sum() == 0
        assert found.totals[:, batch_cache.UNIQUE_MISSES].sum() >= best.totals[:, batch_cache.UNIQUE_MISSES].sum()


@settings(deadline=None)
@given(batched_traces(), NAMES)
def test_a_cache_of_all_rows_misses_each_once(trace, policy):
    cache, _ = run(trace, make_layout(trace, [trace.unique]), policy)
    totals = cache.totals.sum(axis=0)
    assert totals[batch_cache.UNIQUE_MISSES] == trace.unique
    assert totals[batch_cache.EVICTIONS] == totals[batch_cache.CONFLICTS] == 0


@settings(deadline=None)
@given(batched_traces(), st.integers(1, 8), NAMES)
def test_write_backs_in_training_are_the_evictions_and_what_is_left(trace, capacity, policy):
    cache, _ = run(trace, make_layout(trace, [capacity]), policy, training=True)
    totals = cache.totals.sum(axis=0)
    assert totals[batch_cache.WRITE_BACKS] == totals[batch_cache.EVICTIONS]
    assert cache.dirty == cache.resident


def test_a_batch_wider_than_the_cache_reads_the_rest_past_it():
    trace = make_trace([[(0, key) for key in (1, 2, 3, 3, 4)], [(0, 1), (0, 4)]])
    cache, mask = run(trace, make_layout(trace, [2]), "lru")
    totals = cache.totals[0]
    assert mask.tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert totals[batch_cache.CONFLICT_UNIQUE] == 2  # 3 and 4 of the first batch; 4 replaces 2 in the second
    assert totals[batch_cache.CONFLICTS] == 3
    assert cache.calls == 2


def test_two_batches_in_flight_pin_both():
    trace = make_trace([[(0, 1)], [(0, 2)], [(0, 3)]])
    one, _ = run(trace, make_layout(trace, [2]), "lru", in_flight=2)
    assert one.totals[0, batch_cache.CONFLICT_UNIQUE] == 0
    two, _ = run(trace, make_layout(trace, [2]), "lru", in_flight=3)
    assert two.totals[0, batch_cache.CONFLICT_UNIQUE] == 1


def test_totals_begin_anew_behind_the_warm_up():
    trace = make_trace([[(0, 1), (0, 2)], [(0, 1)], [(0, 3)]])
    cache = BatchCache(trace.ids, trace.batch_starts, trace.table_of_row(), make_layout(trace, [2]), "lru")
    cache.advance(1)
    cache.reset_totals()
    cache.advance(3)
    assert cache.calls == 2
    assert cache.totals[0, batch_cache.UNIQUE_MISSES] == 1


def test_other_policies_are_refused_by_name():
    trace = make_trace([[(0, 1)]])
    with pytest.raises(UsageError, match="policy 'arc' cannot be simulated by batches") as error:
        BatchCache(trace.ids, trace.batch_starts, trace.table_of_row(), make_layout(trace, [1]), "arc")
    assert "fbgemm-lfu" in (error.value.hint or "")
