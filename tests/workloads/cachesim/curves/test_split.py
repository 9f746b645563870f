from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import SEVERAL, trace_of
from workloads.cachesim.curves.curve import Curve, complete_curve
from workloads.cachesim.curves.runs import run_curve
from workloads.cachesim.curves.split import even_rows, given_split, split_budget
from workloads.cachesim.curves.stack import stack_curves

COUNTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=7), min_size=1, max_size=4)
WIDTHS = st.lists(st.sampled_from([1, 2, 3]), min_size=4, max_size=4)


def exact_most_hits(curves, widths, budget):
    """Dynamic programming over bytes: the most hits any split has."""
    best = [0] * (budget + 1)
    for curve, width in zip(curves, widths, strict=True):
        best = [
            max(best[left - rows * width] + curve.hits_at(rows) for rows in range(min(curve.unique, left // width) + 1))
            for left in range(budget + 1)
        ]
    return best[budget]


def even_split(curves, widths, budget):
    rows = even_rows([curve.unique for curve in curves], widths, budget)
    return given_split(curves, widths, budget, rows, split_budget(curves, widths, budget).most_hits)


def curves_of(counts):
    return [complete_curve("lru", f"t{number}", np.array([1, *each])) for number, each in enumerate(counts)]


@given(COUNTS, WIDTHS, st.integers(3, 40))
@settings(deadline=None)
def test_a_split_keeps_its_budget_and_its_bound_holds(counts, widths, budget):
    curves = curves_of(counts)
    widths = widths[: len(curves)]
    split = split_budget(curves, widths, budget)
    best = exact_most_hits(curves, widths, budget)
    assert split.bytes <= budget
    assert split.hits <= best <= split.most_hits + 1e-6
    for curve, width, share in zip(curves, widths, split.shares, strict=True):
        assert share.hits == curve.hits_at(share.rows) and share.bytes == share.rows * width


@given(COUNTS, st.integers(1, 40))
@settings(deadline=None)
def test_a_split_of_concave_curves_with_equal_rows_is_optimal(counts, budget):
    curves = curves_of([sorted(each, reverse=True) for each in counts])
    assert split_budget(curves, [1] * len(curves), budget).hits == exact_most_hits(curves, [1] * len(curves), budget)


@given(SEVERAL, st.integers(1, 24))
@settings(deadline=None, max_examples=40)
def test_opt_curves_of_traces_are_split_optimally(lookups, budget):
    curves = list(stack_curves(trace_of(lookups), "belady-bypass"))
    assert split_budget(curves, [1] * 3, budget).hits == exact_most_hits(curves, [1] * 3, budget)


def test_a_cliff_is_climbed_whole_or_not_at_all():
    cliff = complete_curve("lru", "cliff", np.array([1, 0, 0, 0, 100]))
    slope = complete_curve("lru", "slope", np.array([1, 5, 5, 5, 5]))
    assert [share.rows for share in split_budget([cliff, slope], [1, 1], 4).shares] == [4, 0]
    assert [share.rows for share in split_budget([cliff, slope], [1, 1], 3).shares] == [0, 3]
    assert [share.rows for share in split_budget([cliff, slope], [1, 1], 6).shares] == [4, 2]


def test_all_rows_are_bought_and_no_more():
    curves = curves_of([[3, 2], [4]])
    split = split_budget(curves, [8, 16], 10_000)
    assert [share.rows for share in split.shares] == [2, 1] and split.bytes == 32
    assert split.hits_per_byte is None and split.most_hits == split.hits == 9
    assert split.hit_ratio == 9 / 11


def test_the_price_is_that_of_the_last_piece():
    split = split_budget(curves_of([[6, 2]]), [2], 2)
    assert split.hits_per_byte == 3.0 and split.hits == 6


def test_curves_of_runs_are_split_at_the_sizes_they_know():
    ids = np.tile(np.arange(10, dtype=np.int32), 5)
    curve = run_curve("fifo", ids, 10, np.array([4, 10]), table="t0")
    split = split_budget([curve], [1], 9)
    assert split.shares[0].rows in (0, 4) and split.hits == 0
    assert split_budget([curve], [1], 10).shares[0].rows == 10


@given(COUNTS, WIDTHS, st.integers(3, 40))
@settings(deadline=None)
def test_the_even_split_gives_one_share_of_each_table_and_keeps_the_budget(counts, widths, budget):
    curves = curves_of(counts)
    split = even_split(curves, widths[: len(curves)], budget)
    assert split.bytes <= budget and split.hits <= split.most_hits + 1e-6
    most = min((share.rows + 1) / curve.unique for share, curve in zip(split.shares, curves, strict=True))
    assert all(share.rows / curve.unique < most + 1e-9 for share, curve in zip(split.shares, curves, strict=True))


def test_a_real_skew_beats_the_even_split():
    random = np.random.default_rng(3)
    lookups = [(0, int(row)) for row in random.integers(0, 40, 2000)] + [
        (1, int(row)) for row in random.zipf(1.4, 2000)
    ]
    random.shuffle(lookups)
    curves = list(stack_curves(trace_of([tuple(each) for each in lookups], tables=2)))
    assert split_budget(curves, [16, 16], 16 * 60).hits > even_split(curves, [16, 16], 16 * 60).hits


def test_what_cannot_be_split_is_refused():
    curves = curves_of([[1], [2]])
    with pytest.raises(UsageError, match="a budget of 3 bytes holds no row: the narrowest has 4 bytes"):
        split_budget(curves, [4, 8], 3)
    with pytest.raises(UsageError, match="a row size for each curve, not 1 for 2"):
        split_budget(curves, [4], 30)
    with pytest.raises(UsageError, match="a row has 0 bytes"):
        split_budget(curves, [4, 0], 30)


def test_a_table_without_requests_gets_nothing():
    empty = Curve("lru", "t1", 0, 0, np.zeros(1, np.int64), np.zeros(1, np.int64))
    split = split_budget([*curves_of([[5]]), empty], [4, 4], 100)
    assert [share.rows for share in split.shares] == [1, 0]
