"""Quality of click predictions: exact ROC AUC and its standard error, log loss, normalised entropy, calibration.

Everything is computed in 64-bit floats over exactly the rows given, ties included; what is undefined is None.
Predictions that are not finite are an error, because every number made from them would be nonsense.

    n rows, m clicks, K groups of equal scores
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import RunFailed

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ACCURACY_THRESHOLD = 0.5  # a row is called a click when its probability is above it, as scikit-learn predicts


@dataclass(frozen=True)
class AucEstimate:
    """ROC AUC and DeLong's standard error of it. The error is None where a class has a single row."""

    auc: float
    standard_error: float | None


def roc_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """The share of (click, no click) pairs that `scores` [n] orders rightly, a tie counting one half.

    The count of pairs is an exact integer and is divided once, so the result is the float nearest to the true
    value. None when a class is missing. Only the order of the scores matters: logits serve as well as probabilities.
    """
    clicks, others = _tie_groups(_checked_labels(labels), _checked_scores(scores, "scores"))
    return _auc_of_groups(clicks, others)


def grouped_auc(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike) -> float | None:
    """The AUC inside each group (a user's rows), averaged with the group's number of rows as its weight.

    Groups of one class have no AUC and are left out (Zhou et al. 2018, section 6.3, who weigh by impressions). None
    where no group has both.
    """
    truth, values = _checked_labels(labels), _checked_scores(scores, "scores")
    whose = np.asarray(groups)
    _same_length(truth, values, "labels", "scores")
    if whose.shape != truth.shape:
        raise ValueError(f"{truth.size} labels but groups of shape {whose.shape}")
    if not truth.size:
        return None
    order = np.lexsort((values, whose))
    truth, values, whose = truth[order].astype(np.int64), values[order], whose[order]
    group_starts = _changes(whose[1:] != whose[:-1])
    starts = _changes((whose[1:] != whose[:-1]) | (values[1:] != values[:-1]))  # of ties inside a group
    clicks = np.add.reduceat(truth, starts)
    others = np.diff(starts, append=truth.size) - clicks
    first_tie = np.searchsorted(starts, group_starts)  # each group begins with a new tie
    before = np.cumsum(others) - others
    own_before = before - np.repeat(before[first_tie], np.diff(first_tie, append=starts.size))
    doubled = np.add.reduceat(clicks * (2 * own_before + others), first_tie)
    click_count, other_count = np.add.reduceat(clicks, first_tie), np.add.reduceat(others, first_tie)
    both = (click_count > 0) & (other_count > 0)
    if not both.any():
        return None
    rows = (click_count + other_count)[both]
    auc = doubled[both] / (2 * click_count[both] * other_count[both])
    return float(np.dot(auc, rows) / rows.sum())


def delong(labels: npt.ArrayLike, scores: npt.ArrayLike) -> AucEstimate | None:
    """ROC AUC with DeLong's standard error in O(n log n); None when a class is missing.

    DeLong, DeLong and Clarke-Pearson 1988, by the midrank form of Sun and Xu 2014 ("Fast implementation of
    DeLong's algorithm", IEEE Signal Processing Letters 21): each row's structural component is the share of the
    other class that it beats, and it is the same for all rows of a tie group.
    """
    clicks, others = _tie_groups(_checked_labels(labels), _checked_scores(scores, "scores"))
    auc = _auc_of_groups(clicks, others)
    if auc is None:
        return None
    return AucEstimate(auc, _delong_of_groups(clicks, others))


def log_loss(
    labels: npt.ArrayLike, *, probabilities: npt.ArrayLike | None = None, logits: npt.ArrayLike | None = None
) -> float | None:
    """Mean binary cross-entropy in nats; None over no rows.

    From logits it is exact for any size of logit. Probabilities are first clipped to [eps, 1 - eps] with the eps
    of their own dtype, as scikit-learn does, so that a saturated sigmoid costs much but not infinity.
    """
    return _mean(_judge(_checked_labels(labels), probabilities, logits).losses)


def normalized_entropy(loss: float | None, click_rate: float | None) -> float | None:
    """Log loss over the entropy of the base click rate: 1 for a constant prediction of that rate, lower is better.

    He et al. 2014, "Practical lessons from predicting clicks on ads at Facebook". None where the entropy is zero.
    """
    if loss is None or click_rate is None or not 0.0 < click_rate < 1.0:
        return None
    entropy = -(click_rate * math.log(click_rate) + (1.0 - click_rate) * math.log1p(-click_rate))
    return loss / entropy


def click_quality(
    labels: npt.ArrayLike, *, probabilities: npt.ArrayLike | None = None, logits: npt.ArrayLike | None = None
) -> Mapping[str, float | None]:
    """Every quality metric of one set of predictions [n], by its shared name; None where undefined.

    Give either `probabilities` or `logits`; logits are better, because a float32 sigmoid ties what they tell apart.
    `accuracy_majority` is what answering the more frequent class for every row would score. Raises RunFailed when a
    prediction is not finite, ValueError when shapes, labels or probabilities are impossible.
    """
    truth = _checked_labels(labels)
    judged = _judge(truth, probabilities, logits)
    clicks, others = _tie_groups(truth, judged.scores)
    loss, click_rate, mean_probability = _mean(judged.losses), _mean(truth), _mean(judged.probabilities)
    return {
        "auc": _auc_of_groups(clicks, others),
        "auc_standard_error": _delong_of_groups(clicks, others),
        "log_loss": loss,
        "normalized_entropy": normalized_entropy(loss, click_rate),
        "accuracy": _mean((judged.probabilities > ACCURACY_THRESHOLD) == truth),
        "accuracy_majority": None if click_rate is None else max(click_rate, 1.0 - click_rate),
        "calibration": mean_probability / click_rate if mean_probability is not None and click_rate else None,
    }


def sigmoid(logits: npt.ArrayLike) -> Floats:
    """Probabilities [n] of logits [n] in double precision, without overflow; beyond a logit of 36 they are 1."""
    raw = np.asarray(logits, np.float64)
    shrunk = np.exp(-np.abs(raw))
    return np.where(raw >= 0.0, 1.0, shrunk) / (1.0 + shrunk)


def expected_auc(probabilities: npt.ArrayLike, scores: npt.ArrayLike | None = None) -> float | None:
    """The AUC that ranking rows by `scores` [n] reaches when row i is a click with probability p_i.

    Over pairs of different rows: sum p_i (1 - p_j) ([s_i > s_j] + [s_i = s_j] / 2) / sum p_i (1 - p_j). This ratio of
    expectations is the limit of the AUC over random labels; at a few thousand rows the two agree to about 1e-4.
    Without `scores` the rows are ranked by p itself, which no ranking can beat: the Bayes AUC. None where no pair
    can have both classes.
    """
    chance = _checked_probabilities(probabilities)
    ranking = chance if scores is None else _checked_scores(scores, "scores")
    _same_length(chance, ranking, "probabilities", "scores")
    if chance.size < 2:
        return None
    order = np.argsort(ranking, kind="stable")
    sorted_chance = chance[order]
    starts = _group_starts(ranking[order])
    click = np.add.reduceat(sorted_chance, starts)  # [K] expected clicks of each tie group
    other = np.add.reduceat(1.0 - sorted_chance, starts)
    own = sorted_chance * (1.0 - sorted_chance)  # a row is no pair with itself
    below = np.cumsum(other) - other
    right = float(np.dot(click, below) + 0.5 * (np.dot(click, other) - own.sum()))
    pairs = float(click.sum() * other.sum() - own.sum())
    return right / pairs if pairs > 0.0 else None


def _auc_of_groups(clicks: Integers, others: Integers) -> float | None:
    click_count, other_count = int(clicks.sum()), int(others.sum())
    if click_count == 0 or other_count == 0:
        return None
    below = np.cumsum(others) - others
    doubled = int(np.dot(clicks, 2 * below + others))
    return doubled / (2 * click_count * other_count)


def _delong_of_groups(clicks: Integers, others: Integers) -> float | None:
    click_count, other_count = int(clicks.sum()), int(others.sum())
    if click_count < 2 or other_count < 2:
        return None
    beaten = (np.cumsum(others) - 0.5 * others) / other_count  # [K] share of the others that a click here beats
    beating = (click_count - np.cumsum(clicks) + 0.5 * clicks) / click_count
    variance = _weighted_variance(beaten, clicks) / click_count + _weighted_variance(beating, others) / other_count
    return math.sqrt(variance)


def _weighted_variance(values: Floats, counts: Integers) -> float:
    total = int(counts.sum())
    mean = float(np.dot(values, counts)) / total
    return float(np.dot((values - mean) ** 2, counts)) / (total - 1)


def _tie_groups(labels: Floats, scores: npt.NDArray[np.floating]) -> tuple[Integers, Integers]:
    """Clicks [K] and other rows [K] of each group of equal scores, in ascending order of score."""
    _same_length(labels, scores, "labels", "predictions")
    if scores.size == 0:
        empty = np.zeros(0, np.int64)
        return empty, empty
    order = np.argsort(scores)
    starts = _group_starts(scores[order])
    sizes = np.diff(starts, append=scores.size)
    clicks = np.add.reduceat(labels[order].astype(np.int64), starts)
    return clicks, sizes - clicks


def _group_starts(ascending: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    return _changes(ascending[1:] != ascending[:-1])


def _changes(differs: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Where runs begin, of which `differs` [n - 1] says that an entry is not as the one before."""
    return np.concatenate((np.zeros(1, np.intp), np.flatnonzero(differs) + 1))


def _mean(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_]) -> float | None:
    return float(np.mean(values)) if values.size else None


@dataclass(frozen=True)
class _Judged:
    """Predictions in the three forms that the metrics need."""

    scores: Floats  # [n] what orders the rows
    probabilities: Floats  # [n]
    losses: Floats  # [n] nats


def _judge(labels: Floats, probabilities: npt.ArrayLike | None, logits: npt.ArrayLike | None) -> _Judged:
    if (probabilities is None) == (logits is None):
        raise ValueError("give either probabilities or logits, one of the two")
    if logits is not None:
        raw = _checked_scores(logits, "logits")
        _same_length(labels, raw, "labels", "logits")
        losses = np.maximum(raw, 0.0) - labels * raw + np.log1p(np.exp(-np.abs(raw)))
        return _Judged(raw, sigmoid(raw), losses)
    chance = _checked_probabilities(probabilities)
    _same_length(labels, chance, "labels", "probabilities")
    given = np.asarray(probabilities).dtype
    eps = float(np.finfo(given if given.kind == "f" else np.float64).eps)
    clipped = np.clip(chance, eps, 1.0 - eps)
    return _Judged(chance, chance, -(labels * np.log(clipped) + (1.0 - labels) * np.log1p(-clipped)))


def _checked_labels(labels: npt.ArrayLike) -> Floats:
    truth = np.asarray(labels)
    if truth.ndim != 1:
        raise ValueError(f"labels must have one axis, not shape {truth.shape}")
    wrong = np.flatnonzero((truth != 0) & (truth != 1))
    if wrong.size:
        raise ValueError(f"labels must be 0 or 1, but row {wrong[0]} holds {truth[wrong[0]]}")
    return truth.astype(np.float64)


def _checked_scores(scores: npt.ArrayLike | None, name: str) -> Floats:
    values = np.asarray(scores)
    if values.ndim != 1:
        raise ValueError(f"{name} must have one axis, not shape {values.shape}")
    values = values.astype(np.float64)
    lost = int(values.size - np.count_nonzero(np.isfinite(values)))
    if lost:
        raise RunFailed(
            f"{lost} of {values.size} {name} are not finite (NaN or infinite), so their quality has no meaning",
            hint="the model has diverged: try a lower learning rate or a wider precision",
        )
    return values


def _checked_probabilities(probabilities: npt.ArrayLike | None) -> Floats:
    chance = _checked_scores(probabilities, "probabilities")
    wrong = np.flatnonzero((chance < 0.0) | (chance > 1.0))
    if wrong.size:
        raise ValueError(f"probabilities must lie in [0, 1], but row {wrong[0]} holds {chance[wrong[0]]}")
    return chance


def _same_length(first: npt.NDArray[np.generic], second: npt.NDArray[np.generic], one: str, other: str) -> None:
    if first.size != second.size:
        raise ValueError(f"{first.size} {one} but {second.size} {other}")
