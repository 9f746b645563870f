"""Labels of OPT: the invariant of the two lists, golden hits, shards, and what the original got wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import ROWS, dense
from tests.workloads.cachesim.labels.oracles import slow_labels, two_lists
from tests.workloads.cachesim.policies.traces import golden, trace
from workloads.cachesim.labels.make import Labels, opt_labels, shard_labels, state_bytes
from workloads.cachesim.policies.simulate import simulate

GOLDEN = {  # Belady's hits, from two implementations of other hands
    "dlrm_reuse_medium_500K": {100: 166_260, 1_000: 288_983, 10_000: 320_591},
    "scarab-recs": {1_000: 559_160, 10_000: 828_888, 100_000: 986_816},
}


@pytest.mark.parametrize("name", GOLDEN)
def test_two_lists_fed_with_labels_have_exactly_the_hits_of_opt(name):
    ids, unique = trace(name)
    for capacity, wanted in GOLDEN[name].items():
        labels = opt_labels(ids, unique, capacity)
        hits, kept_victims = two_lists(ids.tolist(), labels.keep.tolist(), capacity)
        assert sum(hits) == wanted
        assert hits == labels.hits.tolist()
        assert kept_victims == 0


@pytest.mark.parametrize("name", GOLDEN)
def test_labels_have_the_golden_hits_of_belady(name):
    ids, unique = trace(name)
    for capacity, columns in golden()[name]["sizes"].items():
        labels = opt_labels(ids, unique, int(capacity))
        assert int(labels.hits.sum()) == columns["hits_libcachesim_0.3.5"]["Belady"]
        assert int(labels.keep.sum()) == int(labels.hits.sum())  # each hit has one request that kept the row for it


@given(ROWS, st.integers(1, 9))
@settings(deadline=None)
def test_labels_are_those_of_the_slow_search(rows, capacity):
    ids, unique = dense(rows)
    labels = opt_labels(ids, unique, capacity)
    hits, keep = slow_labels(ids.tolist(), capacity)
    # among rows never used again the victim is free, and so nothing that is counted differs
    assert labels.hits.tolist() == hits and labels.keep.tolist() == keep
    assert labels.misses.tolist() == [row for row, hit in zip(ids.tolist(), hits, strict=True) if not hit]


@given(ROWS, st.integers(1, 9))
@settings(deadline=None)
def test_the_invariant_holds_on_any_trace(rows, capacity):
    ids, unique = dense(rows)
    labels = opt_labels(ids, unique, capacity)
    assert two_lists(ids.tolist(), labels.keep.tolist(), capacity) == (labels.hits.tolist(), 0)


def test_a_b_a_tells_the_variants_apart():
    ids = np.array([0, 1, 0], np.int32)
    always, bypass = opt_labels(ids, 2, 1), opt_labels(ids, 2, 1, policy="belady-bypass")
    assert (always.keep.tolist(), always.hits.tolist()) == ([0, 0, 0], [0, 0, 0])
    assert (bypass.keep.tolist(), bypass.hits.tolist()) == ([1, 0, 0], [0, 0, 1])
    assert opt_labels(ids, 2, 2).keep.tolist() == [1, 0, 0]


def test_the_label_is_the_next_hit_and_not_this_one():
    """RecMG's optgen.py writes whether this access hits: off by one reuse."""
    ids = np.array([0, 1, 2, 0, 1, 2, 0], np.int32)
    labels = opt_labels(ids, 3, 2)
    for place, row in enumerate(ids.tolist()):
        later = [after for after in range(place + 1, ids.size) if ids[after] == row]
        assert labels.keep[place] == (labels.hits[later[0]] if later else 0)
    assert labels.keep.tolist() != labels.hits.tolist()


def test_the_label_of_the_original_loses_to_lru_on_real_lookups():
    ids, unique = trace("dlrm_reuse_medium_500K")
    labels = opt_labels(ids, unique, 1_000)
    hits, _ = two_lists(ids.tolist(), labels.hits.tolist(), 1_000)
    assert sum(hits) < simulate("lru", ids, unique, 1_000).hits < int(labels.hits.sum())


@given(ROWS, st.integers(1, 40), st.integers(1, 4), st.sampled_from(["belady", "belady-bypass"]))
@settings(deadline=None, max_examples=60)
def test_a_shard_is_labelled_as_if_it_were_alone(rows, size, capacity, policy):
    ids, unique = dense(rows)
    bounds = [(start, min(start + size, ids.size)) for start in range(0, ids.size, size)]
    together = shard_labels(ids, unique, bounds, lambda own: min(capacity, own.size), policy=policy, jobs=2)
    for number, (start, stop) in enumerate(bounds):
        own, count = dense(ids[start:stop].tolist())
        alone = opt_labels(own, count, min(capacity, count), policy=policy)
        assert together.keep[start:stop].tolist() == alone.keep.tolist()
        assert together.hits[start:stop].tolist() == alone.hits.tolist()
        assert (together.unique[number], together.capacities[number]) == (count, min(capacity, count))
    assert together.shard_starts.tolist() == [start for start, _ in bounds] + [ids.size]


def test_the_capacity_of_a_shard_is_told_by_its_own_rows():
    seen = []
    ids = np.array([5, 3, 5, 1, 2, 1], np.int32)
    shard_labels(ids, 6, [(0, 3), (3, 6)], lambda own: seen.append(own.tolist()) or 1)
    assert sorted(seen) == [[1, 2], [3, 5]]


def test_capacity_is_told_in_rows_and_as_a_share():
    labels = opt_labels(np.arange(8, dtype=np.int32), 8, 2)
    assert labels.capacities.tolist() == [2] and labels.capacity_shares.tolist() == [0.25]
    assert (labels.hit_ratio, labels.keep_ratio) == (0.0, 0.0)


def test_no_request_has_no_label_and_no_ratio():
    labels = opt_labels(np.zeros(0, np.int32), 1, 1)
    assert isinstance(labels, Labels) and labels.requests == 0 and labels.hit_ratio is None


def test_what_makes_no_sense_is_refused():
    ids = np.array([0, 1], np.int32)
    with pytest.raises(UsageError, match="capacity = 0 rows is below"):
        opt_labels(ids, 2, 0)
    with pytest.raises(UsageError, match="jobs = 0 is below 1"):
        shard_labels(ids, 2, [(0, 2)], lambda own: 1, jobs=0)
    with pytest.raises(ValueError, match="do not cover the 2 requests"):
        shard_labels(ids, 2, [(0, 1)], lambda own: 1)


def test_memory_grows_with_what_is_labelled_at_a_time():
    whole = state_bytes(10**9, 10**7)
    assert state_bytes(10**9, 10**7, shard=5 * 10**6, jobs=2) < whole
