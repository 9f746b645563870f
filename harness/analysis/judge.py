"""One metric on two sides: its estimate, interval and p, and then one of four verdicts with a sentence.

`measure` makes the numbers of one metric; `decide`, after Holm over the primary metrics, makes the verdict:

- `better`, `worse`: the interval lies wholly beyond the tolerance and Holm's p is below 0.05;
- `same`: the interval lies wholly inside the tolerance (a gate: above its margin, that is non-inferior);
- `inconclusive`: anything else, with what would settle it.

A metric of role `info` is shown with its interval and not judged (`verdict` None).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from harness.analysis import words
from harness.analysis.statistics import (
    ALPHA,
    Shift,
    fewest_repeats,
    mann_whitney_p,
    paired_shift,
    repeats_for,
    shift,
    sign_flip_p,
    smallest_detectable_shift,
    smallest_p,
)
from harness.store.records import Better, Kind, MetricRecord, Role

Verdict = Literal["better", "worse", "same", "inconclusive"]
Method = Literal["paired", "unpaired", "exact", "reference"]

RATIO_TOLERANCE = 0.02
DIFFERENCE_TOLERANCE = 0.001
FEWEST_UNPAIRED = 4
MOST_REPEATS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """One side's finite values of one metric by repeat; `missing` were None (or no number), and are not zero."""

    by_repeat: Mapping[int, float]
    missing: int = 0
    seeds: Mapping[int, int] = field(default_factory=dict)

    @property
    def all(self) -> tuple[float, ...]:
        return tuple(self.by_repeat[repeat] for repeat in sorted(self.by_repeat))

    @property
    def n(self) -> int:
        return len(self.by_repeat)

    @property
    def median(self) -> float | None:
        return statistics.median(self.by_repeat.values()) if self.by_repeat else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricComparison:
    """What is known of one metric on sides A and B.

    `estimate`, `low` and `high` are B over A (kind `ratio`; A over B for a reference B) or B minus A (`difference`,
    `exact`). The interval includes `drift`, the allowance for drift between experiments as a fraction (None: none
    needed). `half_width` is the interval's without drift, on the scale of the statistics (logarithms for a ratio).
    `smallest_detectable_effect` is a fraction for a ratio, else in the metric's unit.
    """

    key: str
    unit: str
    better: Better
    role: Role
    kind: Kind
    phase: str
    a: Values
    b: Values
    method: Method
    letters: tuple[str, str] = ("A", "B")
    n_pairs: int | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    half_width: float | None = None
    p: float | None = None
    p_holm: float | None = None
    tolerance: float = 0.0
    margin: float | None = None
    drift: float | None = None
    verdict: Verdict | None = None
    reason: str | None = None
    smallest_detectable_effect: float | None = None
    repeats_needed: int | None = None
    sentence: str = ""

    @property
    def n(self) -> int:
        """Repeats of the smaller side, or pairs."""
        return min(self.a.n, self.b.n) if self.n_pairs is None else self.n_pairs

    @property
    def has_margin(self) -> bool:
        return self.margin is not None

    @property
    def change_text(self) -> str:
        """`×1.31 [1.27, 1.36]` or `+0.0021 [+0.0012, +0.0030]`; empty where there is no estimate."""
        if self.estimate is None:
            return ""
        as_text = words.ratio_text if self.kind == "ratio" else words.difference_text
        return as_text(self.estimate, self.low, self.high)

    @property
    def limit_text(self) -> str:
        return limit_text(self.kind, self.tolerance if self.margin is None else self.margin)


def limit_text(kind: Kind, limit: float) -> str:
    """A tolerance or margin in words: `2 %` of a ratio, `0.001` of a difference."""
    return words.percent(limit) if kind == "ratio" else f"{limit:g}"


def measure(
    metric: MetricRecord,
    a: Values,
    b: Values,
    *,
    interleaved: bool,
    allowance: float | None,
    tolerance: float,
    margin: float | None = None,
    family: int = 1,
    alpha: float = ALPHA,
    letters: tuple[str, str] = ("A", "B"),
) -> MetricComparison:
    """The numbers of one metric, not yet judged. Both sides have at least one value.

    Pairs are used where both sides' repeat k belongs together (interleaved, or a metric without time in it whose
    seeds agree) and there are enough of them for p < alpha after Holm over `family`. With fewer pairs the unpaired
    test is used on interleaved repeats: what the two of a pair share makes it conservative, never generous.
    `allowance` is what the two experiments may lie apart by drift, on the log scale.
    """
    base = MetricComparison(
        key=metric.key,
        unit=metric.unit,
        better=metric.better,
        role=metric.role,
        kind=metric.kind,
        phase=metric.phase,
        a=a,
        b=b,
        method="unpaired",
        letters=letters,
        tolerance=tolerance,
        margin=margin,
    )
    shared = sorted(a.by_repeat.keys() & b.by_repeat.keys())
    same_seeds = bool(shared) and all(a.seeds.get(k) == b.seeds.get(k) for k in shared)
    if metric.kind == "exact":
        return _measure_exact(base, shared if same_seeds else [])
    if metric.kind == "ratio" and min(*a.all, *b.all) <= 0:
        return replace(base, reason="a ratio needs values above zero on both sides")

    timed = words.is_timed(metric.unit)
    pairable = interleaved or (same_seeds and not timed)
    scale = math.log if metric.kind == "ratio" else float
    if metric.kind == "difference" and same_seeds and len(shared) >= FEWEST_UNPAIRED and _equal(a, b, shared):
        return _measure_exact(base, shared)
    if pairable and len(shared) >= fewest_repeats(family=family, paired=True, alpha=alpha):
        differences = [scale(b.by_repeat[k]) - scale(a.by_repeat[k]) for k in shared]
        base = replace(base, method="paired", n_pairs=len(shared), p=sign_flip_p(differences))
        found = paired_shift(differences, confidence=1 - alpha)
    else:
        base = replace(base, p=mann_whitney_p(a.all, b.all))
        found = shift([scale(x) for x in a.all], [scale(x) for x in b.all], confidence=1 - alpha)
    drifting = metric.kind == "ratio" and timed and not interleaved and allowance is not None
    return _with_interval(base, found, allowance if drifting else None)


def _equal(a: Values, b: Values, shared: Sequence[int]) -> bool:
    """To the last bit, seed by seed: no spread is left to estimate, and no test is needed."""
    return all(a.by_repeat[k] == b.by_repeat[k] for k in shared)


def decide(
    metric: MetricComparison,
    *,
    p_holm: float | None = None,
    unranked: str | None = None,
    family: int = 1,
    alpha: float = ALPHA,
) -> MetricComparison:
    """The verdict and its sentence. `unranked` is the reason why this comparison may not rank anything."""
    judged = metric.role != "info" or metric.has_margin
    metric = replace(metric, p_holm=p_holm)
    if not judged:
        return replace(metric, sentence=_shown(metric))
    if unranked is not None:
        return _undecided(metric, unranked, "not ranked")
    if metric.reason is not None:
        return _undecided(metric, metric.reason)
    if metric.method == "exact":
        return _decide_exact(metric)
    if (too_few := _too_few(metric, family, alpha)) is not None:
        reason, needed = too_few
        return _undecided(replace(metric, repeats_needed=needed), reason)

    limit, lower, upper, effect, drift = _on_scale(metric)
    assert metric.half_width is not None
    metric = replace(metric, smallest_detectable_effect=_smallest_effect(metric, limit + drift))
    sign = words.direction(metric.better)
    low, high = (lower, upper) if sign >= 0 else (-upper, -lower)  # oriented: up is better
    significant = metric.has_margin or (p_holm is not None and p_holm < alpha)
    tolerance = _scaled(metric.kind, metric.tolerance)
    if sign and low > tolerance and significant:
        return replace(metric, verdict="better", sentence=_ranked(metric, "better"))
    if sign and high < -limit and significant:
        return replace(metric, verdict="worse", sentence=_ranked(metric, "worse"))
    if low > -limit and (high < limit or (sign and metric.has_margin)):
        return replace(metric, verdict="same", sentence=_same(metric))
    return _open(metric, limit, sign * effect if sign else effect, drift, family, alpha)


def _open(
    metric: MetricComparison, limit: float, effect: float, drift: float, family: int, alpha: float
) -> MetricComparison:
    """Inconclusive with enough repeats: why, and how many more would do."""
    sign = words.direction(metric.better)
    within = limit - abs(effect)
    if metric.has_margin and sign:
        distance = abs(effect + limit) - drift
    elif sign:
        distance = abs(within) - drift
    else:
        distance = within - drift
    assert metric.half_width is not None
    fewest = fewest_repeats(family=family, paired=metric.method == "paired", alpha=alpha)
    needed = repeats_for(metric.n, metric.half_width, distance)
    reason = _why_open(metric, limit, alpha)
    if needed is not None and needed <= MOST_REPEATS:
        needed = max(needed, metric.n + 1, fewest)
        noun = "pairs" if metric.method == "paired" else "repeats a side"
        return _undecided(replace(metric, repeats_needed=needed), f"{reason}; about {needed} {noun} would settle it")
    if needed is None and drift > 0:
        return _undecided(metric, f"{reason}; more repeats will not settle it, interleaved ones (bench ab) may")
    return _undecided(metric, f"{reason}; more than {MOST_REPEATS} repeats would be needed to settle it")


def _why_open(metric: MetricComparison, limit: float, alpha: float) -> str:
    _, lower, upper, _, _ = _on_scale(metric)
    if not words.direction(metric.better) and (lower > limit or upper < -limit):
        return f"the change is beyond {metric.limit_text}, and neither direction is better"
    if metric.has_margin:
        return f"the interval holds values on both sides of the margin of {metric.limit_text}"
    if lower > limit or upper < -limit:
        p = (
            ""
            if metric.p_holm is None
            else f"{words.p_text(metric.p_holm)} after Holm's correction, not below {alpha:g}"
        )
        return f"the interval lies beyond {metric.limit_text} but {p}"
    return f"the interval is neither wholly within nor wholly beyond {metric.limit_text}"


def _too_few(metric: MetricComparison, family: int, alpha: float) -> tuple[str, int] | None:
    """Why no verdict is possible at this n, and the n at which one is."""
    if metric.method == "paired":
        return None  # `measure` pairs only where there are enough
    m, n = metric.a.n, metric.b.n
    reachable = metric.has_margin or smallest_p(m, n) * family < alpha
    attained = metric.confidence is not None and metric.confidence >= 1 - alpha - 1e-9
    if min(m, n) >= FEWEST_UNPAIRED and reachable and attained:
        return None
    needed = max(FEWEST_UNPAIRED, fewest_repeats(family=1 if metric.has_margin else family, alpha=alpha))
    least = smallest_p(m, n) * family
    sides = words.counted(m, "repeat") + (" a side" if m == n else f" against {n}")
    if metric.has_margin:
        return f"{sides}: a margin needs an interval of {1 - alpha:.0%}, and so at least {needed}", needed
    if min(m, n) < FEWEST_UNPAIRED and least < alpha:
        return f"{sides}: each side needs at least {needed}", needed
    holm = f" for {family} primary metrics" if family > 1 else ""
    return (
        f"{sides} cannot reach p < {alpha:g}{holm} (the smallest possible is {min(1.0, least):#.2g}); {needed} can",
        needed,
    )


def _measure_exact(base: MetricComparison, shared: Sequence[int]) -> MetricComparison:
    """An exact metric's difference: by repeat where the seeds agree, else of what each side always gives."""
    base = replace(base, method="exact")
    if shared:
        differences = [base.b.by_repeat[k] - base.a.by_repeat[k] for k in shared]
    elif len(set(base.a.all)) == 1 and len(set(base.b.all)) == 1:
        differences = [base.b.all[0] - base.a.all[0]]
    else:
        return replace(base, reason="its values vary from repeat to repeat and the seeds of the sides do not agree")
    mixed = min(differences) < 0 < max(differences)
    middle = statistics.median(differences)
    reason = "some repeats are better and some worse" if mixed else None
    return replace(
        base,
        n_pairs=len(shared) or None,
        estimate=middle,
        low=min(differences),
        high=max(differences),
        reason=reason,
    )


def _decide_exact(metric: MetricComparison) -> MetricComparison:
    assert metric.low is not None and metric.high is not None
    if metric.low == metric.high == 0:
        return replace(metric, verdict="same", sentence=f"{metric.letters[1]} equals {metric.letters[0]}: {metric.key}")
    sign = words.direction(metric.better)
    if not sign:
        return _undecided(metric, "it differs, and neither direction is better")
    verdict: Literal["better", "worse"] = "better" if sign * (metric.low + metric.high) > 0 else "worse"
    return replace(metric, verdict=verdict, sentence=_ranked(metric, verdict))


def _with_interval(metric: MetricComparison, found: Shift, allowance: float | None) -> MetricComparison:
    back = math.exp if metric.kind == "ratio" else float
    drift = allowance or 0.0
    metric = replace(metric, estimate=back(found.value), drift=None if allowance is None else math.expm1(allowance))
    if found.interval is None:
        return metric
    return replace(
        metric,
        low=back(found.interval.low - drift),
        high=back(found.interval.high + drift),
        confidence=found.interval.confidence,
        half_width=found.interval.half_width,
    )


def _on_scale(metric: MetricComparison) -> tuple[float, float, float, float, float]:
    """Limit, low, high, estimate and drift on the scale of the statistics."""
    assert metric.estimate is not None and metric.low is not None and metric.high is not None
    scale = math.log if metric.kind == "ratio" else float
    limit = _scaled(metric.kind, metric.tolerance if metric.margin is None else metric.margin)
    drift = 0.0 if metric.drift is None else math.log1p(metric.drift)
    return limit, scale(metric.low), scale(metric.high), scale(metric.estimate), drift


def _scaled(kind: Kind, limit: float) -> float:
    return math.log1p(limit) if kind == "ratio" else limit


def _smallest_effect(metric: MetricComparison, limit: float) -> float:
    assert metric.half_width is not None
    effect = smallest_detectable_shift(metric.half_width, limit)
    return math.expm1(effect) if metric.kind == "ratio" else effect


def _undecided(metric: MetricComparison, reason: str, start: str = "inconclusive") -> MetricComparison:
    change = f"{metric.key} {metric.change_text}".rstrip()
    return replace(metric, verdict="inconclusive", reason=reason, sentence=f"{start}: {change}; {reason}")


def _ranked(metric: MetricComparison, verdict: Literal["better", "worse"]) -> str:
    better, worse, _ = words.qualities(metric.key, metric.unit)
    word = better if verdict == "better" else worse
    return f"{metric.letters[1]} is {word}: {metric.key} {metric.change_text}"


def _same(metric: MetricComparison) -> str:
    a, b = metric.letters
    alike = words.qualities(metric.key, metric.unit)[2]
    if metric.has_margin and words.direction(metric.better):
        why = f"not worse by {metric.limit_text} or more"
    else:
        why = f"within {metric.limit_text}"
    return f"{b} is {alike} as {a}: {metric.key} {metric.change_text}, {why}"


def _shown(metric: MetricComparison) -> str:
    change = metric.change_text or metric.reason or "not compared"
    return f"{metric.key} {change} (shown, not judged)"
