from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workloads.cachesim.curves.curve import complete_curve
from workloads.cachesim.curves.offload_stats import OffloadStats
from workloads.cachesim.curves.proposer import proposed_rows, working_set_bytes
from workloads.cachesim.curves.split import even_rows, given_split, split_budget

STATS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 50), st.integers(1, 200)).map(
        lambda facts: OffloadStats("t", facts[0], facts[1], (0,), facts[2])
    ),
    min_size=1,
    max_size=5,
)


def stats(cacheability, lookups, height):
    return OffloadStats("t", cacheability, lookups, (0,), height)


def test_what_is_left_goes_by_cacheability_times_lookups():
    tables = [stats(0.5, 10, 1000), stats(0.25, 20, 1000), stats(0.25, 60, 1000)]  # weights 5, 5, 15
    assert proposed_rows(tables, [1, 1, 1], 90 + 500) == [10 + 100, 20 + 100, 60 + 300]


def test_what_a_table_cannot_use_goes_to_the_others():
    tables = [stats(1.0, 10, 30), stats(1.0, 10, 1000)]
    assert proposed_rows(tables, [1, 1], 220) == [30, 190]
    assert proposed_rows(tables, [1, 1], 10**6) == [30, 1000]


def test_bytes_weigh_and_not_rows():
    tables = [stats(1.0, 0, 1000), stats(1.0, 10, 1000), stats(1.0, 10, 1000)]
    assert proposed_rows(tables, [4, 4, 8], 120 + 800) == [0, 10 + 100, 10 + 50]


def test_a_budget_below_the_rows_of_a_batch_has_no_proposal():
    tables = [stats(0.5, 10, 1000), stats(0.5, 10, 5)]
    assert working_set_bytes(tables, [4, 4]) == 60
    assert proposed_rows(tables, [4, 4], 59) is None
    assert proposed_rows(tables, [4, 4], 60) == [10, 5]


@given(STATS, st.integers(0, 5000))
def test_a_proposal_keeps_its_budget_and_its_tables(tables, budget):
    widths = [1 + number for number in range(len(tables))]
    rows = proposed_rows(tables, widths, budget)
    if rows is None:
        assert budget < working_set_bytes(tables, widths)
        return
    assert sum(count * width for count, width in zip(rows, widths, strict=True)) <= budget
    for count, table in zip(rows, tables, strict=True):
        assert min(table.expected_lookups, table.height) <= count <= table.height


def test_the_optimal_split_beats_the_proposal_where_a_table_caches_badly():
    good = complete_curve("lru", "good", np.array([10, *[10] * 100]))
    bad = complete_curve("lru", "bad", np.array([10, *[0] * 99, 500]))  # needs all of its rows for a hit
    tables = [stats(0.5, 10, 100), stats(1.0, 10, 100)]
    rows = proposed_rows(tables, [1, 1], 100)
    best = split_budget([good, bad], [1, 1], 100)
    proposed = given_split([good, bad], [1, 1], 100, rows, best.most_hits)
    assert proposed.hits < best.hits <= best.most_hits


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.integers(1, 3000))
def test_even_rows_are_one_share_of_each_table(unique, budget):
    widths = [1 + number for number in range(len(unique))]
    rows = even_rows(unique, widths, budget)
    assert sum(count * width for count, width in zip(rows, widths, strict=True)) <= budget
    assert all(count <= of for count, of in zip(rows, unique, strict=True))
    if sum(of * width for of, width in zip(unique, widths, strict=True)) <= budget:
        assert rows == unique


def test_rows_beyond_those_looked_up_hit_no_more():
    curve = complete_curve("lru", "t", np.array([2, 3, 4]))
    assert given_split([curve], [8], 800, [100], 7.0).hits == 7
