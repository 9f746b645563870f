"""Warm-up, pieces, the types of ids that are taken, what is refused, and what must not change a count."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.api import DataError, UsageError
from tests.workloads.cachesim.policies.traces import drifting
from workloads.cachesim.policies import engine, lru, registry, rows
from workloads.cachesim.policies.engine import Setup
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import Replay, default_train, engine_of, prepare, simulate

NAMES = registry.names()


def mask_of(name, ids, n_rows=300, capacity=40, **options):
    mask = np.zeros(len(ids), dtype=np.uint8)
    return simulate(name, ids, n_rows, capacity, mask=mask, train=min(500, len(ids)), **options), mask


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_is_replayed_and_not_counted(name):
    ids = drifting(4000, 300, seed=1)
    whole, mask = mask_of(name, ids)
    rest, mask_again = mask_of(name, ids, warmup=1234)
    start, _ = mask_of(name, ids, warmup=0)
    assert (mask == mask_again).all()
    assert rest.requests == 4000 - 1234
    assert rest.hits == mask[1234:].sum()
    assert start == whole
    assert rest.evictions <= whole.evictions


@pytest.mark.parametrize("name", NAMES)
def test_pieces_of_a_trace_count_as_the_whole(name):
    ids = drifting(4000, 300, seed=2)
    whole, mask = mask_of(name, ids)
    replay = Replay(name, 300, 40, requests=len(ids), train=500, next_use=next_uses(ids, 300))
    cuts = [0, 1, 2, 700, 700, 3999, 4000]
    parts, masks = [], []
    for start, stop in itertools.pairwise(cuts):
        masks.append(np.zeros(stop - start, dtype=np.uint8))
        parts.append(replay.feed(ids[start:stop], masks[-1]))
    assert np.concatenate(masks).tolist() == mask.tolist()
    assert sum(part.hits for part in parts) == whole.hits
    assert sum(part.insertions for part in parts) == whole.insertions
    assert sum(part.evictions for part in parts) == whole.evictions


@pytest.mark.parametrize("name", NAMES)
def test_the_type_and_layout_of_the_ids_change_nothing(name, tmp_path):
    ids = drifting(2000, 120, seed=3)
    wanted = simulate(name, ids, 120, 30)
    np.save(tmp_path / "ids.npy", ids)
    frozen = ids.copy()
    frozen.flags.writeable = False
    for same in (
        ids.astype(np.int64),
        ids.astype(np.uint64),
        ids.astype(">i8"),
        ids.astype(np.int16),
        ids.astype(np.uint8),
        np.repeat(ids, 2)[::2],
        np.load(tmp_path / "ids.npy", mmap_mode="r"),
        frozen,
    ):
        assert simulate(name, same, 120, 30) == wanted, same.dtype


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_nothing_asks_for_change_nothing(name):
    ids = drifting(2000, 120, seed=4)
    assert simulate(name, ids, 120, 30) == simulate(name, ids, 50_000, 30)


def test_long_simulations_renumber_their_clocks(monkeypatch):
    ids = drifting(6000, 300, seed=5)
    hot = np.concatenate([np.repeat(np.arange(30, dtype=np.int32), 40), ids])
    wanted = {name: mask_of(name, hot)[1].tolist() for name in NAMES}
    monkeypatch.setattr(engine, "RENUMBER_AT", 60)
    monkeypatch.setattr(lru, "LEAST_LOG", 32)
    monkeypatch.setattr(rows, "PIECE", 37)
    monkeypatch.setattr("workloads.cachesim.policies.simulate.PIECE", 37)
    assert {name: mask_of(name, hot)[1].tolist() for name in NAMES} == wanted


@pytest.mark.parametrize("name", ["fifo", "lru", "s3-fifo"])
def test_caches_too_large_for_narrow_stamps_count_the_same(name, monkeypatch):
    ids = drifting(4000, 300, seed=8)
    _, wanted = mask_of(name, ids)
    monkeypatch.setattr(engine, "WIDE_AT", 10)
    assert mask_of(name, ids)[1].tolist() == wanted.tolist()


@pytest.mark.parametrize("name", ["lfu", "fbgemm-lfu"])
def test_renumbered_stamps_keep_their_order(name, monkeypatch):
    hot = np.tile(np.array([2, 0, 3, 1]), 30)
    ids = np.concatenate([hot, np.repeat(4, 31), [2, 0, 3, 1, 4], [0, 3, 1, 2]]).astype(np.int32)
    _, wanted = mask_of(name, ids, n_rows=5, capacity=4)
    assert wanted[151:155].tolist() != [1, 1, 1, 1]
    monkeypatch.setattr(engine, "RENUMBER_AT", 10)
    monkeypatch.setattr("workloads.cachesim.policies.simulate.PIECE", 8)
    assert mask_of(name, ids, n_rows=5, capacity=4)[1].tolist() == wanted.tolist()


def test_a_log_filled_by_hits_alone_is_gathered(monkeypatch):
    monkeypatch.setattr(lru, "LEAST_LOG", 32)
    ids = np.concatenate([np.arange(8), np.tile(np.arange(6), 100), np.arange(8, 12), np.arange(12)]).astype(np.int32)
    mask = np.zeros(len(ids), dtype=np.uint8)
    simulate("lru", ids, 12, 8, mask=mask)
    # the new rows 8 to 11 push out 6, 7, 0 and 1; the last round then evicts each row just before it is asked for
    assert mask[:8].sum() == 0
    assert mask[8:608].all()
    assert mask[608:].sum() == 0


def test_an_empty_trace_has_no_hit_ratio():
    result = simulate("lru", np.empty(0, dtype=np.int32), 10, 2)
    assert (result.requests, result.hits, result.hit_ratio) == (0, 0, None)


def test_progress_tells_the_requests_done():
    told = []
    simulate("fifo", np.zeros(3 * rows.PIECE + 5, dtype=np.int32), 1, 1, warmup=7, progress=told.append)
    assert told == [7, 7 + rows.PIECE, 7 + 2 * rows.PIECE, 5 + 3 * rows.PIECE]


def test_static_trains_on_the_warm_up_or_a_tenth():
    assert default_train(1000, 0) == 100
    assert default_train(1000, 30) == 30
    ids = np.array([1, 1, 2, 3, 1, 2, 3, 3, 3, 1] * 3, dtype=np.int32)
    assert simulate("static", ids, 4, 1, warmup=2).hits == 10
    assert simulate("static", ids, 4, 2, warmup=3).hits == 15


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (np.array([0, 1, 5], dtype=np.int32), "request 2 asks for row 5, expected one of 0 to 4"),
        (np.array([0, -1, 9], dtype=np.int64), "request 1 asks for row -1, expected one of 0 to 4"),
        (np.array([0, -3], dtype=np.int8), "request 1 asks for row -3"),
        (np.array([0, 1 << 63], dtype=np.uint64), "request 1 asks for row 9223372036854775808"),
        (np.array([0.0, 1.0]), "row ids are float64"),
        (np.zeros((2, 2), dtype=np.int32), r"shape \(2, 2\)"),
    ],
)
@pytest.mark.parametrize("name", ["lru", "belady"])
def test_ids_that_are_not_rows_are_named(name, ids, told):
    with pytest.raises(DataError, match=told):
        simulate(name, ids, 5, 2)


def test_the_position_of_a_bad_id_is_its_place_in_the_whole_trace():
    ids = np.zeros(rows.PIECE + 100, dtype=np.int32)
    ids[rows.PIECE + 7] = 3
    for name in ("fifo", "belady"):
        with pytest.raises(DataError, match=f"request {rows.PIECE + 7} asks for row 3"):
            simulate(name, ids, 3, 2, warmup=50)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"capacity": 0}, "capacity = 0 rows is below the smallest cache"),
        ({"n_rows": 0}, "0 rows are not between 1 and"),
        ({"n_rows": 1 << 31}, "2147483648 rows are not between"),
        ({"warmup": 3}, "warmup = 3 requests must be at least 0 and below the trace's 3"),
        ({"warmup": -1}, "warmup = -1"),
        ({"train": 4}, "train = 4 requests must be between 0 and the trace's 3"),
        ({"mask": np.zeros(2, dtype=np.uint8)}, r"shape \(2,\), expected \(3,\)"),
        ({"mask": np.zeros(3, dtype=np.int64)}, "the hit mask is int64"),
        ({"policy": "lur"}, "unknown policy 'lur'"),
    ],
)
def test_what_does_not_fit_is_refused(options, told):
    given = {"policy": "lru", "ids": np.array([0, 1, 0], dtype=np.int32), "n_rows": 2, "capacity": 1, **options}
    with pytest.raises(UsageError, match=told):
        simulate(**given)


def test_opt_refuses_a_trace_it_does_not_know():
    ids = drifting(100, 20, seed=1)
    replay = Replay("belady", 20, 4, requests=100, next_use=next_uses(ids, 20))
    replay.feed(ids)
    with pytest.raises(Exception, match="OPT was fed 101 requests, but knows the next use of 100"):
        replay.feed(ids[:1])
    with pytest.raises(Exception, match="OPT needs the next use of all 100 requests"):
        Replay("belady", 20, 4, requests=100)


def test_prepare_leaves_nothing_to_compile():
    for name in NAMES:
        prepare(name)
        assert prepare(name) is False


def _allocated(value):
    return value.nbytes if isinstance(value, np.ndarray) else 0


@pytest.mark.parametrize("policy", registry.POLICIES, ids=NAMES)
@pytest.mark.parametrize(("n_rows", "capacity"), [(200_000, 1_000), (100_000, 90_000), (1_000, 500_000)])
def test_the_estimate_of_memory_bounds_what_is_allocated(policy, n_rows, capacity):
    ids = np.arange(300_000, dtype=np.int64) % n_rows
    following = next_uses(ids, n_rows) if policy.looks_ahead else None
    made = engine_of(policy)(Setup(n_rows=n_rows, capacity=capacity, requests=len(ids), next_use=following))
    held = sum(_allocated(value) for value in vars(made).values())
    estimate = registry.state_bytes(policy, n_rows, capacity, len(ids))
    assert held <= estimate
    assert estimate <= 2.5 * held + 2 * registry.FIXED_BYTES
