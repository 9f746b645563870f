from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import ROWS, SEVERAL, dense, trace_of
from workloads.cachesim.curves.make import (
    Lookups,
    all_lookups,
    lookups_of_table,
    make_curve,
    makes_every_size,
    state_bytes,
    table_lookups,
)
from workloads.cachesim.policies.registry import policy
from workloads.cachesim.policies.simulate import simulate


@given(ROWS, st.sampled_from(["lru", "belady", "belady-bypass", "sieve"]), st.floats(0, 0.9), st.data())
@settings(deadline=None, max_examples=60)
def test_every_curve_has_the_hits_of_single_runs(rows, name, share, data):
    ids, unique = dense(rows)
    warmup = int(share * ids.size)
    method = data.draw(st.sampled_from(["all", "sizes", "runs"]))
    sizes = np.arange(1, unique + 2)
    curve = make_curve(Lookups(None, ids, unique, warmup), policy(name), sizes, opt_method=method)
    assert curve.requests == ids.size - warmup
    assert curve.complete == makes_every_size(policy(name), method)
    for rows_ in sizes.tolist():
        assert curve.hits_at(rows_) == simulate(name, ids, unique, rows_, warmup=warmup).hits


@given(SEVERAL, st.floats(0, 0.9))
@settings(deadline=None, max_examples=40)
def test_a_table_is_seen_alike_alone_and_among_others(lookups, share):
    trace = trace_of(lookups)
    warmup = int(share * trace.requests)
    for found in table_lookups(trace, warmup):
        alone = lookups_of_table(trace, found.table, warmup)
        assert (alone.ids.tolist(), alone.unique, alone.warmup) == (found.ids.tolist(), found.unique, found.warmup)
    assert all_lookups(trace, warmup).ids is trace.ids


def test_a_table_that_is_only_asked_in_the_warm_up_has_no_requests():
    trace = trace_of([(0, 1), (1, 5), (1, 5)], tables=2)
    first = lookups_of_table(trace, "t0", 1)
    for name in ("lru", "sieve", "belady"):
        curve = make_curve(first, policy(name), np.array([1]))
        assert curve.requests == 0 and curve.hit_ratios is None and curve.hits.tolist() in ([0, 0], [0])


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="no table 't7'") as error:
        lookups_of_table(trace_of([(0, 1)]), "t7")
    assert "t0" in str(error.value.hint)


def test_memory_is_that_of_the_way_the_curve_is_made():
    one = state_bytes(policy("sieve"), 10**6, 10**5, 10**5, "all", 1)
    assert state_bytes(policy("sieve"), 10**6, 10**5, 10**5, "all", 2) == 2 * one
    assert state_bytes(policy("belady"), 10**6, 10**5, 10**5, "all", 1) > 10 * 10**6
