from __future__ import annotations

import itertools
import math
import random
import statistics as std
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis import statistics as own

values = st.integers(-(10**6), 10**6).map(lambda i: i / 8)  # sums of these are exact, also in the oracles
few_values = st.lists(values, min_size=1, max_size=7)
tied_values = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=5)


def brute_force_mann_whitney(a, b):
    pooled = [*a, *b]
    ranks = [sum(y < x for y in pooled) + (sum(y == x for y in pooled) + 1) / 2 for x in pooled]
    centre = len(a) * (len(pooled) + 1) / 2
    observed = abs(sum(ranks[: len(a)]) - centre)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(a))]
    return sum(abs(total - centre) >= observed - 1e-9 for total in sums) / len(sums)


def brute_force_sign_flip(differences):
    observed = abs(sum(differences))
    totals = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= observed for total in totals) / len(totals)


@pytest.mark.parametrize(("n", "p"), [(3, 0.10), (4, 0.029), (5, 0.0079), (6, 0.0022)])
def test_smallest_p_of_n_a_side_is_that_of_the_published_table(n, p):
    low, high = [float(i) for i in range(n)], [float(100 + i) for i in range(n)]
    assert own.mann_whitney_p(low, high) == own.smallest_p(n, n)
    assert f"{own.smallest_p(n, n):.2g}" == f"{p:.2g}"


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 5), (2, 3), (4, 4), (5, 3), (6, 6)])
def test_u_counts_are_those_of_every_order(m, n):
    counted = Counter(
        sum(position - place for place, position in enumerate(chosen))
        for chosen in itertools.combinations(range(m + n), m)
    )
    assert own.u_counts(m, n) == tuple(counted[u] for u in range(m * n + 1))


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_signed_rank_counts_are_those_of_every_sign(n):
    counted = Counter(
        sum(rank for rank, positive in zip(range(1, n + 1), signs, strict=True) if positive)
        for signs in itertools.product((False, True), repeat=n)
    )
    assert own.signed_rank_counts(n) == tuple(counted[total] for total in range(n * (n + 1) // 2 + 1))


@given(few_values, few_values)
@settings(max_examples=60, deadline=None)
def test_mann_whitney_equals_every_permutation(a, b):
    assert own.mann_whitney_p(a, b) == pytest.approx(brute_force_mann_whitney(a, b), rel=1e-12)


@given(tied_values, tied_values)
@settings(max_examples=60, deadline=None)
def test_mann_whitney_with_ties_equals_every_permutation_of_the_midranks(a, b):
    assert own.mann_whitney_p(a, b) == pytest.approx(brute_force_mann_whitney(a, b), rel=1e-12)


@given(st.lists(values, min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_sign_flip_equals_every_sign(differences):
    assert own.sign_flip_p(differences) == pytest.approx(brute_force_sign_flip(differences), rel=1e-12)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_sign_flip_with_ties_and_zeros_equals_every_sign(differences):
    assert own.sign_flip_p(differences) == pytest.approx(brute_force_sign_flip(differences), rel=1e-12)


def test_sums_that_differ_by_rounding_alone_are_equal():
    # 0.1 + 0.2 - 0.3 is not zero in binary; as real numbers every arrangement is as extreme as this one.
    assert own.sign_flip_p([0.1, 0.2, -0.3]) == 1.0


@given(few_values, few_values)
@settings(max_examples=60, deadline=None)
def test_the_sides_may_change_places(a, b):
    assert own.mann_whitney_p(a, b) == own.mann_whitney_p(b, a)
    forth, back = own.shift(a, b), own.shift(b, a)
    assert forth.value == pytest.approx(-back.value)
    if forth.interval is not None and back.interval is not None:
        assert forth.interval.low == pytest.approx(-back.interval.high)


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=9), st.lists(st.floats(-100, 100), min_size=4, max_size=9))
@settings(max_examples=100, deadline=None)
def test_interval_excludes_zero_only_where_the_test_rejects(a, b):
    interval = own.shift(a, b).interval
    assert interval is not None
    if interval.low > 0 or interval.high < 0:
        assert own.mann_whitney_p(a, b) <= 1 - interval.confidence + 1e-12


@pytest.mark.parametrize(
    ("n", "attained"), [(3, 0.90), (4, 1 - 2 / 70), (5, 1 - 2 * (1 + 1 + 2) / 252), (6, 1 - 2 * 19 / 924)]
)
def test_attained_confidence_of_the_two_sample_interval_is_exact(n, attained):
    interval = own.shift([float(i) for i in range(n)], [i + 0.5 for i in range(n)]).interval
    assert interval is not None
    assert interval.confidence == pytest.approx(attained, abs=1e-12)


@pytest.mark.parametrize(("n", "attained"), [(5, 1 - 2 / 32), (6, 1 - 2 / 64), (8, 1 - 2 * 5 / 256)])
def test_attained_confidence_of_the_paired_interval_is_exact(n, attained):
    interval = own.paired_shift([float(i) for i in range(n)]).interval
    assert interval is not None
    assert interval.confidence == pytest.approx(attained, abs=1e-12)


def test_median_interval_attains_95_percent_from_six_values_on():
    five, six = own.median_interval([1, 2, 3, 4, 5]), own.median_interval([1, 2, 3, 4, 5, 6])
    assert five is not None and six is not None
    assert (five.low, five.high, five.confidence) == (1, 5, 1 - 2 / 32)
    assert (six.low, six.high, six.confidence) == (1, 6, 1 - 2 / 64)
    assert own.median_interval([1.0]) is None


def test_one_value_a_side_has_an_estimate_and_no_interval():
    assert own.shift([2.0], [5.0]) == own.Shift(3.0, None)
    assert own.paired_shift([3.0]) == own.Shift(3.0, None)


def test_shift_is_the_median_of_all_differences():
    assert own.shift([1, 2, 9], [4, 5]).value == std.median([3, 4, 2, 3, -5, -4])


def test_scipy_agrees_on_mann_whitney_beyond_the_reach_of_enumeration():
    stats = pytest.importorskip("scipy.stats")
    generator = random.Random(7)
    for m, n in [(8, 11), (20, 15), (40, 45)]:
        a = [generator.gauss(0, 1) for _ in range(m)]
        b = [generator.gauss(0.4, 1) for _ in range(n)]
        expected = stats.mannwhitneyu(a, b, method="exact").pvalue
        assert own.mann_whitney_p(a, b) == pytest.approx(expected, rel=1e-9)


def test_scipy_agrees_where_the_normal_approximation_takes_over():
    stats = pytest.importorskip("scipy.stats")
    generator = random.Random(8)
    a = [round(generator.gauss(0, 1), 1) for _ in range(70)]
    b = [round(generator.gauss(0.3, 1), 1) for _ in range(60)]
    expected = stats.mannwhitneyu(a, b, method="asymptotic").pvalue
    assert own.mann_whitney_p(a, b) == pytest.approx(expected, rel=1e-9)


def test_scipy_agrees_on_the_signed_rank_distribution_behind_the_paired_interval():
    stats = pytest.importorskip("scipy.stats")
    counts = own.signed_rank_counts(12)
    differences = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert 2 * sum(counts[: 2 + 6 + 1]) / 2**12 == pytest.approx(expected)


def test_normal_approximations_continue_the_exact_values():
    a = [float(i) for i in range(50)]
    b = [i + 8.5 for i in range(50)]
    exact = own.mann_whitney_p(a, b)
    nearly = own.mann_whitney_p([*a, 25.25], [*b, 33.75])
    assert nearly == pytest.approx(exact, rel=0.12)
    differences = [math.sin(i) + 0.3 for i in range(36)]
    assert own.sign_flip_p([*differences, 0.0]) == pytest.approx(own.sign_flip_p(differences), rel=0.25)


@pytest.mark.parametrize("call", [own.mann_whitney_p, own.shift])
def test_an_empty_side_is_an_error(call):
    with pytest.raises(ValueError, match="at least one value on each side"):
        call([], [1.0])


@pytest.mark.parametrize("call", [own.sign_flip_p, own.paired_shift])
def test_no_pair_is_an_error(call):
    with pytest.raises(ValueError, match="needs at least one pair"):
        call([])


def test_holm_known_values():
    assert own.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert own.holm([]) == []
    assert own.holm([0.6, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_never_lowers_a_p_and_never_beats_bonferroni(p_values):
    for p, adjusted in zip(p_values, own.holm(p_values), strict=True):
        assert p <= adjusted <= 1
        assert adjusted <= max(min(1.0, len(p_values) * q) for q in p_values if q <= p)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = own.holm(p_values)
    assert [adjusted[index] for index in order] == sorted(adjusted)


def test_fewest_repeats_for_one_and_two_primary_metrics():
    assert own.fewest_repeats() == 4
    assert own.fewest_repeats(family=2) == 5
    assert own.fewest_repeats(paired=True) == 6
    assert own.fewest_repeats(paired=True, family=2) == 7


def test_summary_leaves_out_what_was_not_measured_and_keeps_zero():
    assert own.summary([None, None]) == own.Summary(None, None, None, 0, None)
    assert own.summary([None, 4.0, math.nan]) == own.Summary(4.0, None, None, 1, None)
    assert own.summary([0.0, 0.0, None]).median == 0.0
    assert own.summary([0.0, 0.0, None]).n == 2


def test_intervals_cover_the_true_shift_as_often_as_they_say():
    generator = random.Random(11)
    trials, covered, covered_paired, covered_median = 1500, 0, 0, 0
    for _ in range(trials):
        a = [generator.expovariate(1) for _ in range(5)]
        b = [generator.expovariate(1) + 0.7 for _ in range(5)]
        interval = own.shift(a, b).interval
        paired = own.paired_shift([generator.gauss(0.7, 1) for _ in range(7)]).interval
        middle = own.median_interval([generator.expovariate(1) for _ in range(9)])
        assert interval and paired and middle
        covered += interval.low <= 0.7 <= interval.high
        covered_paired += paired.low <= 0.7 <= paired.high
        covered_median += middle.low <= math.log(2) <= middle.high
    slack = 3 * math.sqrt(0.05 * 0.95 / trials)
    assert covered / trials == pytest.approx(1 - 8 / 252, abs=slack)
    assert covered_paired / trials == pytest.approx(1 - 2 * 3 / 128, abs=slack)  # T of 0, 1 or 2
    assert covered_median / trials == pytest.approx(1 - 2 * 10 / 512, abs=slack)


@pytest.mark.parametrize("n", [6, 12])
def test_smallest_detectable_shift_is_detected_about_four_times_in_five(n):
    generator = random.Random(n)
    limit = 0.02

    def interval(true_shift):
        a = [generator.gauss(0, 0.03) for _ in range(n)]
        found = own.shift(a, [generator.gauss(true_shift, 0.03) for _ in range(n)]).interval
        assert found is not None
        return found

    half_width = std.median(interval(0.0).half_width for _ in range(300))
    true_shift = own.smallest_detectable_shift(half_width, limit)
    power = sum(interval(true_shift).low > limit for _ in range(400)) / 400
    assert 0.72 < power < 0.92


def test_repeats_for_grows_with_the_square_of_the_half_width():
    few = own.repeats_for(5, 0.02, 0.05)
    many = own.repeats_for(5, 0.2, 0.05)
    assert few == 5
    assert many == math.ceil(5 * (own.POWER_FACTOR * 4) ** 2)
    assert own.repeats_for(5, 0.02, 0.0) is None
