from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, UnavailableError, UsageError
from tests.workloads.cachesim.curves.support import SEVERAL, trace_of
from tests.workloads.cachesim.policies.oracles import Lru
from workloads.cachesim.curves.offload_stats import (
    OffloadStats,
    distinct_in_batches,
    offload_stats,
    read_offload_stats,
    write_offload_stats,
)


def distinct(lookups, batch):
    """Each (table, row) once a batch, in order of first appearance."""
    return [list(dict.fromkeys(lookups[start : start + batch])) for start in range(0, len(lookups), batch)]


@given(SEVERAL, st.integers(1, 30))
@settings(deadline=None)
def test_batches_keep_the_first_request_of_each_row(lookups, batch):
    trace = trace_of(lookups, batch=batch)
    kept = distinct_in_batches(trace.ids, trace.unique, trace.batch_starts)
    of_row = trace.table_of_row()
    found = [(int(of_row[row]), trace.key(int(row))) for row in kept]
    assert found == [each for part in distinct(lookups, batch) for each in part]


@given(SEVERAL, st.integers(1, 30))
@settings(deadline=None)
def test_miss_rates_are_those_of_lru_runs_over_distinct_rows_without_first_lookups(lookups, batch):
    height = 8
    batches = distinct(lookups, batch)
    stats = offload_stats(trace_of(lookups, rows=height, batch=batch), bins=height)
    for table, found in enumerate(stats):
        own = [row for part in batches for of, row in part if of == table]
        assert found.expected_lookups == round(len(own) / len(batches))
        repeats = len(own) - len(set(own))
        misses_by_size = []
        for size in range(height + 1):
            cache = Lru(size)
            hits = sum(cache.access(row) for row in own) if size else 0
            misses_by_size.append((repeats - hits) / repeats if repeats else 0.0)
        rates = [found.expected_miss_rate(size / height) for size in range(height + 1)]
        assert rates == pytest.approx(misses_by_size)
        if repeats:  # the area of a curve of steps
            assert found.cacheability == pytest.approx(sum(misses_by_size[:height]) / height)


def test_bins_are_shares_of_the_table():
    trace = trace_of([(0, row) for row in (0, 1, 2, 3, 0, 1, 3, 3)], tables=1, rows=8, batch=1)
    (stats,) = offload_stats(trace, bins=4)  # distances 4, 4, 3 and 1 of 8 rows
    assert stats.mrc_hist_counts == (1, 3, 0, 0)
    assert stats.expected_lookups == 1 and stats.height == 8
    assert stats.cacheability == pytest.approx(12 / 4 / 8)


def test_tables_without_repeats_or_requests_are_the_two_ends():
    unused, once = offload_stats(trace_of([(1, 0), (1, 1)], tables=2, batch=1), heights=[5, 5])
    assert (unused.cacheability, unused.expected_lookups, sum(unused.mrc_hist_counts)) == (0.0, 0, 0)
    assert once.cacheability == 1.0 and once.expected_miss_rate(0.5) == 0.0


def test_heights_beyond_whole_bins_lose_no_lookup():
    trace = trace_of([(0, row % 7) for row in range(30)], tables=1, rows=7, batch=1)
    (stats,) = offload_stats(trace, bins=100)
    assert sum(stats.mrc_hist_counts) == 23 and stats.expected_miss_rate(1.0) == 0.0


def test_a_batch_size_can_be_given():
    trace = trace_of([(0, 1), (0, 1), (0, 2), (0, 1)], tables=1, rows=3)
    with pytest.raises(UsageError, match="does not tell batches"):
        offload_stats(trace)
    assert offload_stats(trace, batch=4)[0].expected_lookups == 2


def test_unknown_or_too_few_rows_are_refused():
    trace = trace_of([(0, 1), (0, 2)], tables=1, batch=1)
    with pytest.raises(UsageError, match="rows of table 't0' is not known"):
        offload_stats(trace)
    with pytest.raises(UsageError, match="said to have 1 rows, but 2 are looked up"):
        offload_stats(trace, heights=[1])
    with pytest.raises(UsageError, match="2 numbers of rows are given for the 1 tables"):
        offload_stats(trace, heights=[4, 4])
    with pytest.raises(UsageError, match="at least 1 bin"):
        offload_stats(trace, heights=[4], bins=0)


def test_files_give_back_what_was_written(tmp_path):
    stats = offload_stats(trace_of([(0, 1), (1, 2), (0, 1)], tables=2, rows=9, batch=2))
    path = tmp_path / "stats.json"
    write_offload_stats(stats, path)
    assert read_offload_stats(path) == stats
    assert [each.name for each in tmp_path.iterdir()] == ["stats.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"format": 2}), json.dumps({"format": 1, "tables": [{}]})])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "stats.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"stats\.json"):
        read_offload_stats(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_offload_stats(tmp_path / "absent.json")


def test_the_real_class_reads_the_same_curve():
    estimators = pytest.importorskip(
        "torchrec.distributed.planner.shard_estimators", reason="torchrec is not installed"
    )
    random = np.random.default_rng(1)
    trace = trace_of([(0, int(row)) for row in random.zipf(1.3, 4000) % 500], tables=1, rows=512, batch=64)
    for bins in (1, 64, 100):
        (stats,) = offload_stats(trace, bins=bins)
        real = stats.to_torchrec()
        assert isinstance(real, estimators.EmbeddingOffloadStats)
        assert real.cacheability == stats.cacheability and real.expected_lookups == stats.expected_lookups
        assert real.height == 512 and tuple(real.hist.tolist()) == stats.mrc_hist_counts
        for rows in range(0, 513, 8):
            assert real.expected_miss_rate(rows / 512) == pytest.approx(stats.expected_miss_rate(rows / 512), abs=1e-6)


def test_without_torchrec_it_is_said_what_is_missing():
    try:
        import torchrec  # noqa: F401
    except ImportError:
        with pytest.raises(UnavailableError, match="torchrec is needed"):
            OffloadStats("t0", 0.5, 1, (1,), 1).to_torchrec()
    else:
        pytest.skip("torchrec is installed")
