from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import SEVERAL, trace_of
from tests.workloads.cachesim.policies.oracles import Lru
from tests.workloads.cachesim.policies.traces import golden
from tests.workloads.cachesim.policies.traces import trace as real
from workloads.cachesim.curves.curve import complete_curve
from workloads.cachesim.curves.stack import STACK_POLICIES, stack_curve, stack_curves
from workloads.cachesim.locality import distance_counts
from workloads.cachesim.policies.simulate import simulate


@given(SEVERAL, st.floats(0, 0.9))
@settings(deadline=None, max_examples=40)
def test_every_size_has_the_hits_of_a_single_run_after_any_warm_up(lookups, share):
    trace = trace_of(lookups)
    warmup = int(share * trace.requests)
    for policy in STACK_POLICIES:
        curve = stack_curve(trace, policy, warmup=warmup)
        assert curve.requests == trace.requests - warmup and curve.complete
        for size in range(1, trace.unique + 1):
            single = simulate(policy, trace.ids, trace.unique, size, warmup=warmup)
            assert curve.hits_at(size) == single.hits


@given(SEVERAL, st.floats(0, 0.9))
@settings(deadline=None, max_examples=40)
def test_each_table_has_the_curve_of_a_cache_of_its_own(lookups, share):
    trace = trace_of(lookups)
    warmup = int(share * trace.requests)
    curves = list(stack_curves(trace, warmup=warmup))
    assert [curve.table for curve in curves] == ["t0", "t1", "t2"]
    assert sum(curve.requests for curve in curves) == trace.requests - warmup
    for table, curve in enumerate(curves):
        for size in range(1, curve.unique + 1):
            cache = Lru(size)
            hits = [cache.access(row) and place >= warmup for place, (of, row) in enumerate(lookups) if of == table]
            assert curve.hits_at(size) == sum(hits)


@given(SEVERAL)
@settings(deadline=None, max_examples=40)
def test_no_size_of_lru_hits_more_than_opt(lookups):
    trace = trace_of(lookups)
    lru, opt, may_refuse = (stack_curve(trace, policy).hits for policy in STACK_POLICIES)
    assert np.all(lru <= opt) and np.all(opt <= may_refuse)
    assert lru[-1] == opt[-1] == may_refuse[-1] == trace.requests - trace.unique


def test_other_policies_have_no_stack_and_are_named():
    trace = trace_of([(0, 1)], tables=1)
    with pytest.raises(UsageError, match="'fifo' is no stack algorithm"):
        stack_curve(trace, "fifo")
    with pytest.raises(UsageError, match="warmup = 1 requests"):
        stack_curve(trace, warmup=1)


def test_golden_lru_hits_of_the_zipf_trace_lie_on_the_curve():
    ids, n_rows = real("zipf")
    curve = complete_curve("lru", None, distance_counts(ids, n_rows))
    assert (curve.hits_at(10_000), curve.hits_at(100_000)) == (5852657, 7769964)
    assert curve.hits_at(n_rows) == 10_000_000 - 762_664


def test_golden_lru_hits_of_a_real_trace_lie_on_the_curve():
    ids, unique = real("scarab-recs")
    curve = complete_curve("lru", None, distance_counts(ids, unique))
    for size, values in golden()["scarab-recs"]["sizes"].items():
        assert curve.hits_at(int(size)) == values["hits_libcachesim_0.3.5"]["LRU"]
