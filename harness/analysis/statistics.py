"""Small exact statistics for a handful of repeats: tests, intervals and sample sizes, by the standard library alone.

Why not SciPy: importing it costs half a second and nothing more than this page is needed. The unit is always one
process repeat (one value a run); steps inside a process are autocorrelated and never counted.

What is here, and where it comes from:

- Mann-Whitney U, exact: the null distribution of U is the Gaussian binomial coefficient (Mann & Whitney 1947, Ann.
  Math. Stat. 18); with ties, the exact permutation distribution of the midrank sum, conditional on the ties.
- Sign-flip test of paired differences, exact (Fisher 1935, Design of Experiments, section 21).
- Hodges-Lehmann shift and its exact interval: order statistics of the pairwise differences (two samples) or of the
  Walsh averages (pairs); Hodges & Lehmann 1963; Hollander, Wolfe & Chicken, Nonparametric Statistical Methods, ch. 3-4.
- Holm's step-down correction (Holm 1979, Scand. J. Stat. 6).

An exact interval cannot have any confidence one likes: `Interval.confidence` is the one attained, at least the one
asked for wherever that is possible at this n, below it (the widest interval there is) where it is not.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

ALPHA = 0.05
CONFIDENCE = 0.95

# Beyond these sizes the normal approximation is used (a p near 0.01 is then within a fifth); exactness costs seconds.
EXACT_PRODUCT = 2500  # U without ties: m * n
EXACT_TIED = 80  # U with ties: m + n
EXACT_PAIRS = 36  # sign flips, by meeting in the middle: 2 ** 18 sums a half
EXACT_SIGNED_RANK = 120

POWER = 0.80
# An interval's half width is about z(97.5 %) standard errors; to lie beyond a limit four times in five the truth must
# be another z(80 %) standard errors away.
POWER_FACTOR = 1 + NormalDist().inv_cdf(POWER) / NormalDist().inv_cdf(1 - ALPHA / 2)


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval and the confidence it attains exactly."""

    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Shift:
    """A Hodges-Lehmann estimate; `interval` is None where the data allow none (one value a side)."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One group: its median, and an exact interval of the median (None below two values); None for no value at all."""

    median: float | None
    low: float | None
    high: float | None
    n: int
    confidence: float | None


@lru_cache(maxsize=256)
def u_counts(m: int, n: int) -> tuple[int, ...]:
    """How many of the C(m+n, m) orders of two samples without ties have U = 0, 1, ..., m*n.

    The coefficients of the Gaussian binomial prod_{i=1..m} (1 - q**(n+i)) / (1 - q**i), one factor at a time.
    """
    size = m * n + 1
    counts = [1] + [0] * (size - 1)
    for i in range(1, m + 1):
        for power in range(size - 1, n + i - 1, -1):
            counts[power] -= counts[power - n - i]
        for power in range(i, size):
            counts[power] += counts[power - i]
    return tuple(counts)


@lru_cache(maxsize=256)
def signed_rank_counts(n: int) -> tuple[int, ...]:
    """How many of the 2**n signs give Wilcoxon's signed-rank sum 0, 1, ..., n(n+1)/2: prod (1 + q**i)."""
    counts = [1]
    for i in range(1, n + 1):
        longer = counts + [0] * i
        for power, count in enumerate(counts):
            longer[power + i] += count
        counts = longer
    return tuple(counts)


def mann_whitney_p(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p of "A and B have the same distribution": P(|U - E U| >= observed), exact for up to 50 a side.

    Raises ValueError for an empty sample.
    """
    m, n = len(a), len(b)
    if m == 0 or n == 0:
        raise ValueError("a Mann-Whitney test needs at least one value on each side")
    doubled = _doubled_midranks([*a, *b])  # twice the midrank, so that ties stay integers
    statistic = sum(doubled[:m])
    centre = m * (m + n + 1)  # twice the expected rank sum of A
    distance = abs(statistic - centre)
    tied = len(set(doubled)) < m + n
    if not tied and m * n <= EXACT_PRODUCT:
        counts = u_counts(m, n)
        extreme = sum(count for u, count in enumerate(counts) if abs(2 * u - m * n) >= distance)
        return extreme / math.comb(m + n, m)
    if tied and m + n <= EXACT_TIED:
        sums = _subset_sums(doubled, m)
        extreme = sum(count for total, count in sums.items() if abs(total - centre) >= distance)
        return extreme / math.comb(m + n, m)
    return _mann_whitney_normal(doubled, m, n, distance)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of "the differences are symmetric about zero": P(|sum of randomly signed| >= |sum|).

    All 2**n signs are counted for up to 36 pairs (two sorted halves of 2**18 sums), beyond that the normal
    approximation. Sums that differ by rounding alone count as equal. Raises ValueError for no pair.
    """
    if not differences:
        raise ValueError("a sign-flip test needs at least one pair")
    sizes = [abs(value) for value in differences]
    observed = abs(math.fsum(differences))
    rounding = 1e-12 * math.fsum(sizes)
    if observed <= rounding:
        return 1.0
    if len(sizes) > EXACT_PAIRS:
        deviation = math.sqrt(math.fsum(size * size for size in sizes))
        return 2 * (1 - NormalDist().cdf(observed / deviation))
    middle = len(sizes) // 2
    right = sorted(_signed_sums(sizes[middle:]))
    above = sum(len(right) - bisect_left(right, observed - rounding - left) for left in _signed_sums(sizes[:middle]))
    return math.ldexp(above, 1 - len(sizes))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given; they bound the chance of any false claim in the family."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def shift(a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE) -> Shift:
    """How much larger B is than A: the median of all differences b - a, with its exact interval.

    Give logarithms for a ratio. With ties the interval is conservative. Raises ValueError for an empty sample.
    """
    if not a or not b:
        raise ValueError("a shift needs at least one value on each side")
    differences = sorted(y - x for x in a for y in b)
    m, n = len(a), len(b)
    if m * n <= EXACT_PRODUCT:
        rank, attained = _exact_rank(u_counts(m, n), math.comb(m + n, m), confidence)
    else:
        deviation = math.sqrt(m * n * (m + n + 1) / 12)
        rank, attained = _normal_rank(m * n / 2, deviation, confidence)
    return Shift(statistics.median(differences), _order_interval(differences, rank, attained))


def paired_shift(differences: Sequence[float], *, confidence: float = CONFIDENCE) -> Shift:
    """The centre of paired differences: the median of their Walsh averages, with its exact signed-rank interval.

    Raises ValueError for no pair.
    """
    if not differences:
        raise ValueError("a paired shift needs at least one pair")
    n = len(differences)
    averages = sorted((differences[i] + differences[j]) / 2 for i in range(n) for j in range(i, n))
    if n <= EXACT_SIGNED_RANK:
        rank, attained = _exact_rank(signed_rank_counts(n), 2**n, confidence)
    else:
        deviation = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        rank, attained = _normal_rank(n * (n + 1) / 4, deviation, confidence)
    return Shift(statistics.median(averages), _order_interval(averages, rank, attained))


def median_interval(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Interval | None:
    """The exact interval of the median from binomial order statistics; None below two values.

    Five values attain 93.75 % (their whole range), six are the first to attain 95 %.
    """
    if len(values) < 2:
        return None
    counts = [math.comb(len(values), k) for k in range(len(values) + 1)]
    rank, attained = _exact_rank(counts, 2 ** len(values), confidence)
    return _order_interval(sorted(values), rank, attained)


def summary(values: Iterable[float | None]) -> Summary:
    """Median, low and high of what was measured; None among the values is left out, never counted as zero."""
    present = [value for value in values if value is not None and math.isfinite(value)]
    if not present:
        return Summary(None, None, None, 0, None)
    interval = median_interval(present)
    middle = statistics.median(present)
    if interval is None:
        return Summary(middle, None, None, len(present), None)
    return Summary(middle, interval.low, interval.high, len(present), interval.confidence)


def smallest_p(m: int, n: int) -> float:
    """The smallest two-sided p that m and n unpaired repeats can reach: 0.10 for three a side."""
    return min(1.0, 2 / math.comb(m + n, m))


def smallest_paired_p(pairs: int) -> float:
    """The smallest two-sided p that so many pairs can reach: 0.0625 for five."""
    return min(1.0, 2.0 ** (1 - pairs))


def fewest_repeats(*, family: int = 1, paired: bool = False, alpha: float = ALPHA) -> int:
    """The fewest repeats a side (or pairs) at which p < alpha is possible at all after Holm over `family` metrics."""
    n = 1
    while (smallest_paired_p(n) if paired else smallest_p(n, n)) * max(1, family) >= alpha:
        n += 1
    return n


def smallest_detectable_shift(half_width: float, limit: float) -> float:
    """The true shift that these repeats, with this spread, would have called beyond `limit` four times in five.

    `half_width` is that of the interval found, `limit` the tolerance plus whatever else the interval has to clear (the
    drift between experiments). Analytic, not simulated: limit + half_width * (1 + z(80 %) / z(97.5 %)). A test checks
    by simulation that the power there is about 80 %; with few repeats the half width is itself uncertain, as is this.
    """
    return limit + POWER_FACTOR * half_width


def repeats_for(n: int, half_width: float, distance: float) -> int | None:
    """About how many repeats a side would settle it four times in five, if effect and spread stay as they were.

    `distance` is from the estimate to the limit that the interval must stay clear of; the half width shrinks with the
    square root of n. None where the distance is zero or less: no number of repeats would do.
    """
    if distance <= 0:
        return None
    return max(n, math.ceil(n * (POWER_FACTOR * half_width / distance) ** 2))


def _doubled_midranks(values: Sequence[float]) -> list[int]:
    order = sorted(range(len(values)), key=lambda index: values[index])
    doubled = [0] * len(values)
    start = 0
    while start < len(order):
        stop = start
        while stop < len(order) and values[order[stop]] == values[order[start]]:
            stop += 1
        for index in order[start:stop]:
            doubled[index] = start + 1 + stop  # first rank + last rank
        start = stop
    return doubled


def _subset_sums(items: Sequence[int], size: int) -> dict[int, int]:
    """For each sum, the number of subsets of `size` items that have it."""
    by_size: list[dict[int, int]] = [{0: 1}] + [{} for _ in range(size)]
    for item in items:
        for chosen in range(size, 0, -1):
            sums = by_size[chosen]
            for total, count in by_size[chosen - 1].items():
                sums[total + item] = sums.get(total + item, 0) + count
    return by_size[size]


def _signed_sums(sizes: Sequence[float]) -> list[float]:
    sums = [0.0]
    for size in sizes:
        sums = [total + size for total in sums] + [total - size for total in sums]
    return sums


def _mann_whitney_normal(doubled: Sequence[int], m: int, n: int, distance: int) -> float:
    total = m + n
    tie_sizes: dict[int, int] = {}
    for rank in doubled:
        tie_sizes[rank] = tie_sizes.get(rank, 0) + 1
    ties = sum(size**3 - size for size in tie_sizes.values())
    variance = m * n / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    z = max(0.0, distance / 2 - 0.5) / math.sqrt(variance)  # with the correction for continuity
    return min(1.0, 2 * (1 - NormalDist().cdf(z)))


def _exact_rank(counts: Sequence[int], total: int, confidence: float) -> tuple[int, float]:
    """The largest rank c with P(statistic <= c - 1) <= (1 - confidence) / 2, but at least 1; and what it attains."""
    below = list(accumulate(counts))
    rank = 1
    while rank < len(below) and 2 * below[rank] <= (1 - confidence) * total * (1 + 1e-12):
        rank += 1
    return rank, 1 - 2 * below[rank - 1] / total


def _normal_rank(mean: float, deviation: float, confidence: float) -> tuple[int, float]:
    rank = max(1, math.floor(mean + 0.5 + deviation * NormalDist().inv_cdf((1 - confidence) / 2)))
    return rank, 1 - 2 * NormalDist(mean, deviation).cdf(rank - 0.5)


def _order_interval(ordered: Sequence[float], rank: int, attained: float) -> Interval | None:
    if attained <= 0:
        return None
    return Interval(ordered[rank - 1], ordered[-rank], attained)
