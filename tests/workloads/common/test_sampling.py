from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.common.counter import stream
from workloads.common.sampling import COIN_BITS, Scatter, cell_table, heavy_tail_table, moments, zipf_table


def drawn_mass(table) -> list[Fraction]:
    """The exact probability of each cell, straight from the alias columns."""
    columns, capacity = table.threshold.size, 1 << COIN_BITS
    mass = [Fraction(0)] * columns
    for column in range(columns):
        keep = Fraction(int(table.threshold[column]), capacity)
        mass[column] += keep
        mass[int(table.alias[column])] += 1 - keep
    return [each / columns for each in mass]


@given(st.lists(st.integers(0, 1 << 60), min_size=1, max_size=70).filter(any))
@settings(deadline=None)
def test_alias_columns_draw_exactly_the_apportioned_masses(masses):
    table = cell_table(range(len(masses)), [1] * len(masses), masses)
    drawn = drawn_mass(table)
    total = sum(table.mass)
    assert drawn[: len(masses)] == [Fraction(mass, total) for mass in table.mass]
    assert not any(drawn[len(masses) :])
    for mass, wanted in zip(table.mass, masses, strict=True):
        assert abs(Fraction(mass, total) - Fraction(wanted, sum(masses))) <= Fraction(len(masses), total)


@pytest.mark.parametrize("masses", [[0, 0], [], [3, -1]])
def test_impossible_masses_are_refused(masses):
    with pytest.raises(ValueError):
        cell_table(range(len(masses)), [1] * len(masses), masses)


@given(st.integers(1, 40_000_000), st.floats(0, 2))
@settings(max_examples=25, deadline=None)
def test_zipf_cells_cover_every_rank_once(cardinality, exponent):
    table = zipf_table(cardinality, exponent)
    assert table.first[0] == 0
    assert np.array_equal(table.first[1:], (table.first + table.width)[:-1])
    assert table.first[-1] + table.width[-1] == cardinality
    assert table.threshold.size <= 2048


@pytest.mark.parametrize("exponent", [0.0, 0.9, 1.0, 1.05, 1.5])
@pytest.mark.parametrize("cardinality", [1, 2, 1000, 50_000])
def test_zipf_masses_are_those_of_the_power_law(cardinality, exponent):
    table = zipf_table(cardinality, exponent)
    weights = np.arange(1, cardinality + 1) ** -(round(exponent * 256) / 256)
    wanted = np.add.reduceat(weights, table.first) / weights.sum()
    drawn = np.array(table.mass) / sum(table.mass)
    assert drawn == pytest.approx(wanted, rel=1.5e-3, abs=1e-9)
    assert drawn[:10] == pytest.approx(wanted[:10], rel=1e-3)


def test_drawn_values_follow_the_table():
    table = zipf_table(20_000, 1.05)
    words = stream(1, 1, "draws").words(0, 400_000)
    cells = table.cells(words)
    values = table.values(words, cells)
    assert values.min() >= 0
    assert values.max() < 20_000
    assert np.array_equal(np.searchsorted(table.first, values, side="right") - 1, cells)
    expected = np.array(table.mass) / sum(table.mass) * words.size
    frequent = expected > 50
    deviations = (np.bincount(cells, minlength=expected.size) - expected)[frequent] / np.sqrt(expected[frequent])
    assert np.mean(deviations**2) == pytest.approx(1.0, abs=0.15)
    tail = values[values >= 10_000]
    assert np.mean(tail) == pytest.approx(10_000 / np.log(2), rel=0.02)  # almost 1/x between 10,000 and 20,000


def test_a_heavy_tail_has_its_median_missing_share_and_bounds():
    table = heavy_tail_table(
        median=3, shape_quarters=4, maximum=200_000, minimum=-2, missing=0.25, missing_value=-(1 << 31)
    )
    words = stream(1, 1, "tail").words(0, 200_000)
    values = table.values(words, table.cells(words))
    missing = values == -(1 << 31)
    assert missing.mean() == pytest.approx(0.25, abs=0.005)
    present = values[~missing]
    assert present.min() == -2
    assert np.mean(present > 3) == pytest.approx(0.5, abs=0.005)
    assert present.max() <= 200_000
    assert np.mean(present > 100) == pytest.approx(6 / (6 + 103), rel=0.05)


def test_the_tables_are_golden():
    assert zipf_table(10_131_227, 1.05).digest() == "288fa158304111434f62fefdfe9170cf76cfca09ef3ae4aac553aed0f593df97"
    tail = heavy_tail_table(median=41, shape_quarters=6, maximum=400_000, minimum=0, missing=0.25, missing_value=-1)
    assert tail.digest() == "492bc9dc97a92985f30167a2a414441ebe9ba82a8c8482ce87ea7748893aa63c"


@pytest.mark.parametrize(("cardinality", "exponent"), [(0, 1.0), (5, -0.1), (5, 4.1)])
def test_impossible_zipf_tables_are_refused(cardinality, exponent):
    with pytest.raises(ValueError, match="Zipf"):
        zipf_table(cardinality, exponent)


@given(st.integers(1, 3000), st.integers(0, 1 << 30))
@settings(deadline=None)
def test_scattering_is_a_bijection(size, seed):
    scattered = Scatter.of(stream(seed, 1, "place"), size)(np.arange(size, dtype=np.int64))
    assert np.array_equal(np.sort(scattered), np.arange(size))


def test_scattering_in_pieces_is_the_same():
    scatter = Scatter.of(stream(1, 1, "place"), 10_131_227)
    ranks = np.arange(5000, dtype=np.int64) * 2000
    assert np.array_equal(np.concatenate([scatter(ranks[:7]), scatter(ranks[7:])]), scatter(ranks))


def test_scattered_hot_ranks_lie_all_over_the_range():
    size = 1_000_000
    hot = Scatter.of(stream(1, 1, "place"), size)(np.arange(2000, dtype=np.int64))
    counts = np.bincount(hot * 10 // size, minlength=10)
    assert counts.min() > 100
    assert np.count_nonzero(np.diff(np.sort(hot)) == 1) < 40  # neighbours in rank share no pages


def test_moments_are_those_of_the_masses():
    table = cell_table([0, 1, 2], [1, 1, 1], [1, 2, 1])
    mean, deviation = moments(table, [0, 1000, 2000])
    assert (mean, deviation) == (1000, 707)
    assert moments(table, [1000, 1000, 1000], [0, 20_000, 0]) == (1000, 100)
