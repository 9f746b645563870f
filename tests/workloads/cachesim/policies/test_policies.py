"""Every policy beside a slow oracle of its own, request by request, and the laws that hold for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.cachesim.policies import oracles
from tests.workloads.cachesim.policies.traces import drifting, small_zipf
from workloads.cachesim.policies import registry, sketch
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import simulate

SEED = 5
TRAIN = 20
SIMPLE = {
    "lru": oracles.Lru,
    "fifo": oracles.Fifo,
    "clock": oracles.Clock,
    "lfu": oracles.Lfu,
    "sieve": oracles.Sieve,
    "s3-fifo": oracles.S3Fifo,
    "2q": oracles.TwoQ,
    "slru": oracles.Slru,
    "arc": oracles.Arc,
    "lirs": oracles.Lirs,
    "fbgemm-lfu": oracles.FbgemmLfu,
}


class ProductSketch:
    """The product's own sketch, so that the rule around it is what is compared."""

    def __init__(self, lines):
        self.counters = sketch.empty_sketch(lines)

    def count(self, row):
        sketch.count(self.counters, row)

    def halve(self):
        sketch.halve(self.counters)

    def estimate(self, row):
        return int(sketch.estimate(self.counters, row))


def oracle_of(name, capacity, ids, n_rows):
    if name in SIMPLE:
        return SIMPLE[name](capacity)
    if name == "w-tinylfu":
        lines = min(capacity, n_rows)
        return oracles.WTinyLfu(capacity, ProductSketch(lines), sketch.SAMPLE_PER_LINE * lines)
    if name == "random":
        return oracles.RandomVictim(capacity, SEED)
    if name == "static":
        return oracles.StaticTop(capacity, ids, min(TRAIN, len(ids)))
    return oracles.Belady(capacity, ids, bypass=name == "belady-bypass")


def run(name, ids, n_rows, capacity, **options):
    mask = np.full(len(ids), 7, dtype=np.uint8)
    train = min(TRAIN, len(ids))
    result = simulate(name, ids, n_rows, capacity, mask=mask, seed=SEED, train=train, **options)
    return mask, result


def assert_same_as_oracle(name, ids, n_rows, capacity):
    mask, result = run(name, ids, n_rows, capacity)
    wanted_mask, insertions, evictions = oracles.replay(oracle_of(name, capacity, ids.tolist(), n_rows), ids.tolist())
    assert mask.tolist() == wanted_mask
    assert result.hits == sum(wanted_mask)
    assert result.misses == len(ids) - result.hits
    if name != "static":  # which is filled at the end of its training, before the next request
        assert (result.insertions, result.evictions) == (insertions, evictions)


@pytest.mark.parametrize("name", registry.names())
@given(
    ids=st.lists(st.integers(0, 11), min_size=1, max_size=250),
    capacity=st.integers(1, 14),
)
@settings(max_examples=60, deadline=None)
def test_each_request_is_as_in_the_oracle(name, ids, capacity):
    assert_same_as_oracle(name, np.array(ids, dtype=np.int32), 12, capacity)


@pytest.mark.parametrize("capacity", [1, 2, 3, 9, 25, 60, 119, 200])
@pytest.mark.parametrize("name", registry.names())
def test_longer_traces_are_as_in_the_oracle(name, capacity):
    assert_same_as_oracle(name, drifting(1500, 120, seed=capacity), 120, capacity)
    assert_same_as_oracle(name, small_zipf(1500, 120, seed=capacity), 120, capacity)


@pytest.mark.parametrize("name", ["lfu", "fbgemm-lfu"])
def test_victims_are_found_when_every_resident_row_is_hot(name):
    bursts = [[row % 7] * (20 + 9 * (row % 5)) for row in range(60)]
    ids = np.array([row for burst in bursts for row in burst], dtype=np.int32)
    for capacity in (1, 2, 3, 6):
        assert_same_as_oracle(name, ids, 7, capacity)
    mixed = np.concatenate([np.random.default_rng(1).permutation(ids), ids]).astype(np.int32)
    assert_same_as_oracle(name, mixed, 7, 4)


@pytest.mark.parametrize("name", registry.names())
def test_counts_add_up_and_a_mask_changes_nothing(name):
    ids = drifting(5000, 300, seed=1)
    mask, result = run(name, ids, 300, 40)
    assert result.hits == mask.sum()
    assert set(mask.tolist()) <= {0, 1}
    assert result == simulate(name, ids, 300, 40, seed=SEED, train=TRAIN)
    assert 0 <= result.insertions - result.evictions <= 40
    if not registry.policy(name).may_refuse:
        assert result.bypassed == 0


@pytest.mark.parametrize("name", [known.name for known in registry.POLICIES if not known.trained])
def test_an_unlimited_cache_misses_each_row_once(name):
    ids = drifting(3000, 200, seed=2)
    for capacity in (200, 5000):
        result = simulate(name, ids, 200, capacity)
        assert result.hits == len(ids) - len(np.unique(ids))
        assert result.evictions == 0


@pytest.mark.parametrize("name", [known.name for known in registry.POLICIES if not known.hashed])
@given(ids=st.lists(st.integers(0, 15), min_size=1, max_size=200), capacity=st.integers(1, 9), order=st.randoms())
@settings(max_examples=25, deadline=None)
def test_renumbering_the_rows_changes_no_hit(name, ids, capacity, order):
    numbers = list(range(16))
    order.shuffle(numbers)
    ids = np.array(ids, dtype=np.int32)
    before, _ = run(name, ids, 16, capacity)
    after, _ = run(name, np.array(numbers, dtype=np.int32)[ids], 16, capacity)
    assert before.tolist() == after.tolist()


@given(ids=st.lists(st.integers(0, 20), min_size=1, max_size=300), capacity=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_no_policy_beats_its_bound(ids, capacity):
    ids = np.array(ids, dtype=np.int32)
    must_admit = simulate("belady", ids, 21, capacity).hits
    may_refuse = simulate("belady-bypass", ids, 21, capacity).hits
    assert may_refuse >= must_admit
    for policy in registry.POLICIES:
        hits = simulate(policy, ids, 21, capacity, train=min(TRAIN, len(ids)), seed=SEED).hits
        assert hits <= (may_refuse if policy.may_refuse else must_admit), policy.name


@given(ids=st.lists(st.integers(0, 20), min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_more_lines_never_cost_a_stack_algorithm_a_hit(ids):
    ids = np.array(ids, dtype=np.int32)
    for name in ("lru", "belady"):
        hits = [simulate(name, ids, 21, capacity).hits for capacity in range(1, 22)]
        assert hits == sorted(hits)
    misses = [len(ids) - hit for hit in hits]
    saved = -np.diff(misses)
    assert all(saved[:-1] >= saved[1:]), "the OPT curve is convex"


def test_bypass_hits_where_admission_cannot():
    ids = np.array([0, 1, 0], dtype=np.int32)
    assert simulate("belady", ids, 2, 1).hits == 0
    result = simulate("belady-bypass", ids, 2, 1)
    assert (result.hits, result.insertions, result.bypassed) == (1, 1, 1)


def test_random_depends_on_its_seed_alone():
    ids = small_zipf(5000, 500, seed=3)
    first = simulate("random", ids, 500, 50, seed=1)
    assert first == simulate("random", ids, 500, 50, seed=1)
    assert first != simulate("random", ids, 500, 50, seed=2)
    assert simulate("random", ids, 500, 50, seed=-1).hits > 0


def test_w_tinylfu_is_close_to_exact_frequencies():
    ids = small_zipf(6000, 400, seed=4)
    sketched = simulate("w-tinylfu", ids, 400, 100).hits
    oracle = oracles.WTinyLfu(100, oracles.ExactCounts(), 1000)
    assert abs(sketched - sum(oracle.access(row) for row in ids.tolist())) < 0.01 * len(ids)


def test_w_tinylfu_admits_some_warm_rows_that_the_victim_beats():
    ids = np.random.default_rng(7).integers(0, 80, size=8000).astype(np.int32)
    oracle = oracle_of("w-tinylfu", 50, ids.tolist(), 80)
    mask, _ = run("w-tinylfu", ids, 80, 50)
    assert mask.tolist() == oracles.replay(oracle, ids.tolist())[0]
    assert oracle.refused > 256


def test_w_tinylfu_counts_each_miss_as_an_insertion():
    ids = drifting(3000, 300, seed=6)
    _, result = run("w-tinylfu", ids, 300, 50)
    assert result.insertions == result.misses
    assert result.insertions - result.evictions == 50


def test_next_use_is_the_next_position_of_the_same_row():
    ids = np.array([3, 1, 3, 3, 2, 1], dtype=np.int64)
    assert next_uses(ids, 4).tolist() == [2, 5, 3, 6, 6, 6]
