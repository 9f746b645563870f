from __future__ import annotations

import math
import random
import statistics as std

import pytest

from harness.analysis import drift
from harness.analysis.compare import Options, compare
from harness.errors import UsageError

from .build import THROUGHPUT, side


def experiments(generator, count, repeats, *, between, within):
    found = []
    for _ in range(count):
        level = generator.gauss(0, between)
        found.append([20_000 * math.exp(level + generator.gauss(0, within)) for _ in range(repeats)])
    return found


def test_estimate_recovers_the_drift_that_was_put_in():
    generator = random.Random(1)
    many = drift.estimate(experiments(generator, 400, 5, between=0.03, within=0.01))
    assert many.value == pytest.approx(0.03, rel=0.1)
    assert many.upper == pytest.approx(0.03, rel=0.15)


def test_noise_inside_the_experiments_is_not_drift():
    generator = random.Random(2)
    none = drift.estimate(experiments(generator, 400, 5, between=0.0, within=0.02))
    assert none.value is not None
    assert none.value < 0.004


def test_estimate_is_never_below_zero():
    steady = drift.estimate([[100.0, 110.0], [110.0, 100.0], [100.0, 110.0]])
    assert steady.value == 0.0
    assert steady.upper == 0.0


def test_upper_bound_holds_19_times_in_20():
    generator = random.Random(3)
    trials = 400
    above = sum(
        drift.estimate(experiments(generator, 6, 4, between=0.03, within=0.01)).upper >= 0.03 for _ in range(trials)
    )
    assert above / trials > 0.95 - 3 * math.sqrt(0.05 * 0.95 / trials)


def test_more_experiments_give_a_tighter_bound():
    generator = random.Random(4)
    few = std.median(drift.estimate(experiments(generator, 4, 3, between=0.03, within=0.01)).upper for _ in range(50))
    many = std.median(drift.estimate(experiments(generator, 20, 3, between=0.03, within=0.01)).upper for _ in range(50))
    assert few > 1.4 * many


@pytest.mark.parametrize("r", [1, 2, 3, 4, 5, 6, 7, 8, 9, 15])
def test_median_variance_factors_are_those_of_normal_values(r):
    generator = random.Random(r)
    medians = [std.median(generator.gauss(0, 1) for _ in range(r)) for _ in range(20_000)]
    assert std.pvariance(medians) == pytest.approx(drift.median_variance_factor(r), rel=0.06)


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 40])
@pytest.mark.parametrize("probability", [0.05, 0.5, 0.95])
def test_chi_squared_quantiles_equal_scipys(freedom, probability):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2.ppf(probability, freedom)
    assert drift.chi_squared_quantile(probability, freedom) == pytest.approx(expected, rel=1e-9)


def test_two_machines_drift_apart_more_than_one():
    a = drift.Drift(value=0.03, upper=0.03, n_experiments=8, measured_at=None, method="test")
    b = drift.Drift(value=0.0, upper=0.0, n_experiments=8, measured_at=None, method="test")
    assert drift.allowance(a) == drift.allowance(a, a) > drift.allowance(a, b) > drift.allowance(b, b) == 0.0


def test_default_allows_fifteen_percent_and_says_it_is_no_calibration():
    assert math.expm1(drift.allowance(drift.DEFAULT_DRIFT)) == pytest.approx(0.15)
    assert not drift.DEFAULT_DRIFT.calibrated
    assert drift.DEFAULT_DRIFT.value is None


def test_too_few_experiments_repeats_or_a_zero_throughput_are_refused():
    with pytest.raises(UsageError, match="at least 3 experiments, 2 finished"):
        drift.estimate([[1.0, 2.0], [1.0, 2.0]])
    with pytest.raises(UsageError, match="experiment 2 has 1 finished repeats"):
        drift.estimate([[1.0, 2.0], [1.0], [1.0, 2.0]])
    with pytest.raises(UsageError, match=r"experiment 3 has a throughput of 0\.0"):
        drift.estimate([[1.0, 2.0], [1.0, 2.0], [1.0, 0.0]])


def rate_of_false_claims(calibration, *, trials=300, seed=5):
    """How often A against A is called better or worse, in two experiments 3 % of drift apart with 1 % of noise."""
    generator = random.Random(seed)
    options = Options(ratio_tolerance=0.0)
    claims = 0
    for _ in range(trials):
        values_a, values_b = experiments(generator, 2, 6, between=0.03, within=0.01)
        known = calibration(generator)
        a = side("A", [(THROUGHPUT, values_a)], drift=known)
        b = side("B", [(THROUGHPUT, values_b)], drift=known)
        metric = compare(a, b, options).metric("throughput")
        assert metric is not None
        claims += metric.verdict in ("better", "worse")
    return claims / trials


def test_a_against_a_across_experiments_stays_at_the_nominal_rate_when_calibrated():
    def calibrated(generator):
        return drift.estimate(experiments(generator, 6, 4, between=0.03, within=0.01))

    assert rate_of_false_claims(calibrated) <= 0.05


def test_a_against_a_across_experiments_is_claimed_far_too_often_when_drift_is_ignored():
    none = drift.Drift(value=0.0, upper=0.0, n_experiments=8, measured_at=None, method="wrong on purpose")
    assert rate_of_false_claims(lambda generator: none) > 0.5


def test_default_drift_keeps_the_nominal_rate_without_a_calibration():
    assert rate_of_false_claims(lambda generator: None) <= 0.05
