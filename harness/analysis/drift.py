"""How much this machine's speed drifts from one experiment to the next, and what a comparison must allow for it.

Repeats inside one experiment share the machine's state of the hour: its clocks, its neighbours, its page cache. Two
experiments at different times do not, so their difference holds a random part that no number of repeats removes
(Kalibera & Jones 2013, Rigorous Benchmarking in Reasonable Time, section 6: variation enters at every level).
`bench calibrate` runs K short experiments of one and the same configuration, apart in time; the model is

    log median throughput of experiment i = mean + drift_i + noise_i

with independent drift of standard deviation `value`. Interleaved pairs (`bench ab`) need none of this.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from harness.errors import UsageError

FEWEST_EXPERIMENTS = 3
UPPER_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf(0.975)

# Variance of the median of r normal values, as a share of one value's variance (Sarhan & Greenberg 1962, Contributions
# to Order Statistics, table 10C.1); a test recomputes it. Beyond the table: pi / 2r.
_MEDIAN_VARIANCE = {1: 1.0, 2: 0.5, 3: 0.4487, 4: 0.2982, 5: 0.2868, 6: 0.2147, 7: 0.2104, 8: 0.1682, 9: 0.1661}

# Without a calibration: two experiments may lie 15 % apart by drift alone, the upper end of what users of shared
# machines report (5 to 15 %; docs/methods.md).
DEFAULT_ALLOWANCE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Standard deviation of drift between experiments, on the log scale of speed.

    `value` is the estimate (None for the default), `upper` its one-sided 95 % confidence bound, which comparisons
    use; `measured_at` is UTC, ISO 8601.
    """

    value: float | None
    upper: float
    n_experiments: int
    measured_at: str | None
    method: str

    @property
    def calibrated(self) -> bool:
        return self.n_experiments > 0


DEFAULT_DRIFT = Drift(
    value=None,
    upper=math.log1p(DEFAULT_ALLOWANCE) / (_Z * math.sqrt(2)),
    n_experiments=0,
    measured_at=None,
    method="default: two experiments may lie 15 % apart by drift alone",
)


def allowance(a: Drift, b: Drift | None = None) -> float:
    """How far two experiments may lie apart by drift alone, 95 times in 100, as a difference of logarithms.

    `b` is the drift of the other side's machine, where it is another one.
    """
    other = a if b is None else b
    return _Z * math.hypot(a.upper, other.upper)


def estimate(experiments: Sequence[Sequence[float]], *, measured_at: str | None = None) -> Drift:
    """The drift from calibration experiments: for each, the throughputs of its repeats (all above zero).

    Method of moments on the medians of the logarithms: their variance, less what noise inside the experiments
    explains, never below zero. The upper bound takes the variance's chi-squared bound before the noise is taken away.
    Raises UsageError below three experiments, below two repeats in one, or for a throughput that is not above zero.
    """
    if len(experiments) < FEWEST_EXPERIMENTS:
        raise UsageError(
            f"a calibration needs at least {FEWEST_EXPERIMENTS} experiments, {len(experiments)} finished",
            hint="eight or more, spread over the times of day at which you measure, give a useful bound",
        )
    for place, values in enumerate(experiments, start=1):
        if len(values) < 2:
            raise UsageError(
                f"calibration experiment {place} has {len(values)} finished repeats, at least 2 are needed"
            )
        for value in values:
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"calibration experiment {place} has a throughput of {value}, expected above zero")
    logs = [[math.log(value) for value in values] for values in experiments]
    between = statistics.variance([statistics.median(values) for values in logs])
    noise = statistics.fmean(statistics.variance(values) * median_variance_factor(len(values)) for values in logs)
    freedom = len(logs) - 1
    highest = between * freedom / chi_squared_quantile(1 - UPPER_CONFIDENCE, freedom)
    return Drift(
        value=math.sqrt(max(0.0, between - noise)),
        upper=math.sqrt(max(0.0, highest - noise)),
        n_experiments=len(logs),
        measured_at=measured_at,
        method="method of moments on medians of log throughput; upper bound by chi-squared, 95 %",
    )


def median_variance_factor(r: int) -> float:
    """Variance of the median of r normal values with variance one."""
    return _MEDIAN_VARIANCE.get(r, math.pi / (2 * r))


def chi_squared_quantile(probability: float, freedom: int) -> float:
    """The value below which a chi-squared variable lies with this probability, by bisection."""
    low, high = 0.0, freedom + 1.0
    while _chi_squared_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _chi_squared_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _chi_squared_cdf(x: float, freedom: int) -> float:
    """The regularised lower incomplete gamma function by its series (Abramowitz & Stegun 6.5.29)."""
    if x <= 0:
        return 0.0
    a, y = freedom / 2, x / 2
    term = total = 1 / a
    step = a
    while term > total * 1e-16:
        step += 1
        term *= y / step
        total += term
    return min(1.0, total * math.exp(a * math.log(y) - y - math.lgamma(a)))
