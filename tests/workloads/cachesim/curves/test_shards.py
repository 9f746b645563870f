from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import ROWS, dense
from tests.workloads.cachesim.policies.traces import small_zipf, trace
from workloads.cachesim.curves.curve import complete_curve
from workloads.cachesim.curves.shards import shards_curve, shards_error, shards_spread
from workloads.cachesim.locality import distance_counts


def exact_curve(ids, unique):
    return complete_curve("lru", None, distance_counts(ids, unique))


@given(ROWS)
@settings(deadline=None)
def test_a_sample_of_all_rows_is_the_exact_curve(rows):
    ids, unique = dense(rows)
    exact = exact_curve(ids, unique)
    for estimate in (shards_curve(ids, unique, rate=1.0), shards_curve(ids, unique, rows=unique)):
        assert estimate.sampled_rows == unique and estimate.curve.estimated
        assert estimate.curve.hits.tolist() == exact.hits.tolist()
        assert shards_error(estimate, exact).largest == 0


def test_the_error_on_a_real_trace_falls_with_the_rate_and_is_small():
    ids, unique = trace("scarab-recs")
    exact = exact_curve(ids, unique)
    errors = [shards_error(shards_curve(ids, unique, rate=rate), exact).mean for rate in (0.01, 0.1, 0.5)]
    assert errors[2] < errors[0] and errors[1] < 0.03 and errors[2] < 0.01


def test_a_fixed_number_of_rows_is_kept_and_its_rate_is_their_threshold():
    ids, unique = dense(small_zipf(20_000, 3000, 7).tolist())
    estimate = shards_curve(ids, unique, rows=500)
    assert estimate.sampled_rows == 500
    assert estimate.rate == pytest.approx(500 / unique, rel=0.2)
    assert estimate.curve.sizes[0] == 0 and estimate.curve.sizes[-1] <= unique
    same = shards_curve(ids, unique, rate=estimate.rate)
    assert abs(same.sampled_rows - 500) <= 1


def test_the_adjustment_helps_where_hot_rows_decide():
    ids, unique = dense(small_zipf(60_000, 5000, 11).tolist())
    exact = exact_curve(ids, unique)
    plain, adjusted = (
        np.mean([shards_error(shards_curve(ids, unique, rate=0.05, adjusted=a, seed=s), exact).mean for s in range(8)])
        for a in (False, True)
    )
    assert adjusted < plain


def test_the_spread_over_hashes_covers_the_error():
    ids, unique = dense(small_zipf(60_000, 5000, 13).tolist())
    exact = exact_curve(ids, unique)
    sizes = np.array([50, 500, 2000])
    mean, deviation = shards_spread([shards_curve(ids, unique, rate=0.2, seed=seed) for seed in range(12)], sizes)
    known = np.array([exact.hits_at(int(size)) / exact.requests for size in sizes])
    assert np.all(deviation > 0) and np.all(np.abs(mean - known) < 4 * deviation + 0.01)


def test_what_makes_no_sample_is_refused():
    ids = np.zeros(4, np.int32)
    with pytest.raises(UsageError, match="either a rate or a number of rows"):
        shards_curve(ids, 1)
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\], not 2"):
        shards_curve(ids, 1, rate=2)
    with pytest.raises(UsageError, match="leaves none of the 1 rows"):
        shards_curve(ids, 1, rate=1e-12)
    with pytest.raises(UsageError, match="at least 1 row, not 0"):
        shards_curve(ids, 1, rows=0)
    with pytest.raises(UsageError, match="no request to sample"):
        shards_curve(ids[:0], 1, rate=1)
    with pytest.raises(UsageError, match="at least 2 estimates"):
        shards_spread([shards_curve(ids, 1, rate=1)], np.array([1]))
    with pytest.raises(UsageError, match="complete exact curve"):
        shards_error(shards_curve(ids, 1, rate=1), exact_curve(ids[:2], 1))
