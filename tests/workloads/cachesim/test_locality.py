from __future__ import annotations

import itertools
import json
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workloads.cachesim.support import shared
from workloads.cachesim import locality
from workloads.cachesim.locality import (
    distance_counts,
    log2_histogram,
    reuse_time_histogram,
    reuse_time_quantile,
    successor_hits,
)
from workloads.cachesim.traces.formats import read_trace

IDS = st.lists(st.integers(0, 12), min_size=1, max_size=200)


def dense(ids):
    known: dict[int, int] = {}
    return np.array([known.setdefault(each, len(known)) for each in ids], np.int32), len(set(ids))


def slow_distances(ids):
    """The definition: a list of rows by last use; None for a first request."""
    stack: list[int] = []
    for row in ids:
        if row in stack:
            yield stack.index(row) + 1
            stack.remove(row)
        else:
            yield None
        stack.insert(0, row)


@given(IDS)
@settings(deadline=None)
def test_distances_equal_the_definition(ids):
    rows, unique = dense(ids)
    counts = distance_counts(rows, unique)
    expected = [0] * (unique + 1)
    for distance in slow_distances(rows.tolist()):
        expected[distance or 0] += 1
    assert counts.tolist() == expected


@pytest.mark.parametrize("unique", [70, 5_000, 300_000])
def test_distances_do_not_change_when_slots_are_numbered_anew(unique):
    """600,000 requests run out of the slots that so many rows get; in a cyclic walk every distance is known."""
    walk = np.tile(np.arange(unique, dtype=np.int32), -(-600_000 // unique))[:600_000]
    counts = distance_counts(walk, unique)
    assert counts[0] == unique and counts[unique] == 600_000 - unique
    mixed = np.concatenate((walk, walk[::-1]))
    counts = distance_counts(mixed, unique)
    assert counts.sum() == mixed.size and counts[0] == unique


def test_distances_of_a_walk_there_and_back_are_each_met_once():
    """3 M rows have slots in three regions, the largest part; on the way back row k from the end has distance k."""
    unique = 3_000_000
    there = np.arange(unique, dtype=np.int32)
    counts = distance_counts(np.concatenate((there, there[::-1])), unique)
    assert counts[0] == unique and (counts[1:] == 1).all()


@given(IDS)
@settings(deadline=None)
def test_reuse_times_and_their_quantiles_equal_the_definition(ids):
    rows, unique = dense(ids)
    last: dict[int, int] = {}
    times = []
    for place, row in enumerate(rows.tolist()):
        if row in last:
            times.append(place - last[row])
        last[row] = place
    histogram = reuse_time_histogram(rows, unique)
    expected = [0] * locality.BINS
    for time in times:
        expected[(time - 1).bit_length()] += 1
    assert histogram.tolist() == expected
    median = reuse_time_quantile(rows, unique, histogram, 0.5)
    assert median == (statistics.median_low(times) if times else None)
    assert reuse_time_quantile(rows, unique, histogram, 1.0) == max(times, default=None)


@given(IDS, st.integers(1, 6))
@settings(deadline=None)
def test_successors_equal_the_definition(ids, window):
    eligible = first = within = 0
    for place in range(1, len(ids)):
        before = [k for k in range(place - 1) if ids[k] == ids[place - 1]]
        if not before or ids[place] == ids[place - 1]:
            continue
        eligible += 1
        followed = ids[before[-1] + 1 : min(before[-1] + window + 1, place)]
        first += followed[:1] == [ids[place]]
        within += ids[place] in followed
    assert successor_hits(*dense(ids), window) == (eligible, first, within)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=70))
def test_bins_hold_powers_of_two(counts):
    histogram = log2_histogram(np.array(counts))
    expected = [0] * locality.BINS
    for value, count in itertools.islice(enumerate(counts), 1, None):
        expected[(value - 1).bit_length()] += count
    assert histogram.tolist() == expected


@pytest.mark.parametrize("name", ["dlrm_reuse_medium_500K.txt", "scarab-recs.trace.xz"])
def test_distances_give_the_golden_lru_hits_of_real_traces_at_every_size(name):
    golden = json.loads(shared("traces/golden_hits.json").read_text())
    known = next(value for trace, value in golden.items() if trace.startswith(name.split(".")[0]))
    trace = read_trace([shared(f"traces/{name}")])
    hits = np.cumsum(distance_counts(trace.ids, trace.unique)[1:])
    for size, values in known["sizes"].items():
        assert int(hits[int(size) - 1]) == values["hits_libcachesim_0.3.5"]["LRU"]
