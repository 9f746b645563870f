from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import ROWS, dense
from tests.workloads.cachesim.policies.traces import drifting, golden, small_zipf, trace
from workloads.cachesim.curves import opt
from workloads.cachesim.curves.opt import opt_distance_counts, opt_hits, state_bytes
from workloads.cachesim.policies.simulate import simulate


def textbook(ids):
    """Mattson's priority stack: of two rows that meet, the one used again later moves down. Counts by distance."""
    after = {}
    following = [0] * len(ids)
    for place in reversed(range(len(ids))):
        following[place] = after.get(ids[place], len(ids))
        after[ids[place]] = place
    stack, until = [], {}
    counts = [0] * (len(after) + 1)
    for place, row in enumerate(ids):
        depth = stack.index(row) if row in stack else len(stack)
        counts[depth + 1 if row in stack else 0] += 1
        until[row] = following[place]
        if depth:
            carried, rest = stack[0], [row]
            for other in stack[1:depth]:
                stays, carried = (other, carried) if until[other] <= until[carried] else (carried, other)
                rest.append(stays)
            stack[: depth + 1] = [*rest, carried]
        elif not stack:
            stack = [row]
    return counts


@given(ROWS)
@settings(deadline=None)
def test_distances_equal_the_textbook_stack(rows):
    ids, unique = dense(rows)
    assert opt_distance_counts(ids, unique).tolist() == textbook(ids.tolist())


@pytest.mark.parametrize(
    "ids", [small_zipf(3000, 400, 1), drifting(3000, 300, 2), np.arange(900, dtype=np.int32) % 300]
)
def test_distances_of_longer_traces_equal_the_textbook_stack(ids):
    ids, unique = dense(ids.tolist())
    assert opt_distance_counts(ids, unique).tolist() == textbook(ids.tolist())


@given(ROWS)
@settings(deadline=None, max_examples=40)
def test_each_size_has_the_hits_of_a_belady_run(rows):
    ids, unique = dense(rows)
    for bypass, policy in ((False, "belady"), (True, "belady-bypass")):
        hits = np.cumsum(opt_distance_counts(ids, unique, bypass=bypass)[1:])
        assert hits.tolist() == [simulate(policy, ids, unique, size).hits for size in range(1, unique + 1)]


@given(ROWS, st.sets(st.integers(1, 20), min_size=1))
@settings(deadline=None, max_examples=60)
def test_chosen_sizes_equal_the_complete_curve(rows, sizes):
    ids, unique = dense(rows)
    grid = np.array(sorted(sizes))
    for bypass in (False, True):
        hits = np.cumsum(opt_distance_counts(ids, unique, bypass=bypass)[1:])
        assert opt_hits(ids, unique, grid, bypass=bypass).tolist() == hits[np.minimum(grid, unique) - 1].tolist()


@given(ROWS)
@settings(deadline=None, max_examples=30)
def test_distances_do_not_depend_on_later_requests(rows):
    ids, unique = dense(rows)
    whole = opt_distance_counts(ids, unique)
    steps = [opt_distance_counts(ids[:stop], unique) for stop in range(len(ids) + 1)]
    assert all(np.diff(steps, axis=0).min(axis=1) == 0) and all(np.diff(steps, axis=0).max(axis=1) == 1)
    assert np.array_equal(steps[-1], whole)


@given(ROWS)
@settings(deadline=None)
def test_the_curve_is_concave_and_not_below_that_of_opt_that_must_admit(rows):
    ids, unique = dense(rows)
    must, may = opt_distance_counts(ids, unique), opt_distance_counts(ids, unique, bypass=True)
    assert np.all(np.diff(must[2:]) <= 0) and np.all(np.diff(may[1:]) <= 0)
    assert np.all(np.cumsum(may[1:]) >= np.cumsum(must[1:]))
    assert must[1:].sum() == len(ids) - unique


def test_a_row_between_two_uses_needs_a_line_only_where_it_must_be_admitted():
    ids = np.array([0, 1, 0], np.int32)
    assert opt_distance_counts(ids, 2).tolist() == [2, 0, 1]
    assert opt_distance_counts(ids, 2, bypass=True).tolist() == [2, 1, 0]


def test_rows_that_never_come_again_count_as_first_requests_only_where_they_are_requested():
    ids = np.array([3, 3, 5], np.int32)
    assert opt_distance_counts(ids, 9).tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert opt_distance_counts(ids[:0], 9).tolist() == [0] * 10


def test_a_pause_for_progress_changes_nothing(monkeypatch):
    ids, unique = dense(small_zipf(2000, 300, 3).tolist())
    expected = opt_distance_counts(ids, unique)
    monkeypatch.setattr(opt, "ROUND_STEPS", 100)
    reports = []
    found = opt_distance_counts(ids, unique, progress=lambda done, all_: reports.append((done, all_)))
    assert np.array_equal(found, expected)
    assert len(reports) > 3 and reports == sorted(reports) and reports[-1][0] == reports[-1][1]


@pytest.mark.parametrize("sizes", [[], [0, 1], [3, 2], [2, 2]])
def test_sizes_that_are_not_ascending_from_1_are_refused(sizes):
    with pytest.raises(UsageError, match="sizes must be ascending and at least 1"):
        opt_hits(np.zeros(3, np.int32), 1, np.array(sizes, np.int64))


@pytest.mark.parametrize("name", ["dlrm_reuse_medium_500K", "scarab-recs"])
def test_golden_belady_hits_lie_on_the_curve_of_all_sizes(name):
    ids, unique = trace(name)
    known = golden()[name]["sizes"]
    hits = np.cumsum(opt_distance_counts(ids, unique)[1:])
    for size, values in known.items():
        assert int(hits[int(size) - 1]) == values["hits_libcachesim_0.3.5"]["Belady"]
    assert hits[-1] == len(ids) - unique


def test_golden_belady_hits_of_the_zipf_trace():
    ids, n_rows = trace("zipf")
    assert opt_hits(ids, n_rows, np.array([10_000, 100_000])).tolist() == [7186544, 8667534]


def test_memory_stays_below_its_bound():
    ids, unique = dense(small_zipf(50_000, 2000, 4).tolist())
    opt_distance_counts(ids[:99], unique)
    tracemalloc.start()
    opt_distance_counts(ids, unique)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= state_bytes(len(ids), unique)
