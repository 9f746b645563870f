from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as oracle

from harness.errors import RunFailed
from workloads.common.metrics import (
    click_quality,
    delong,
    expected_auc,
    log_loss,
    normalized_entropy,
    roc_auc,
)


def auc_over_all_pairs(labels, scores) -> Fraction | None:
    clicks = [score for label, score in zip(labels, scores, strict=True) if label == 1]
    others = [score for label, score in zip(labels, scores, strict=True) if label == 0]
    if not clicks or not others:
        return None
    doubled = sum(2 * (click > other) + (click == other) for click in clicks for other in others)
    return Fraction(doubled, 2 * len(clicks) * len(others))


def delong_over_all_pairs(labels, scores) -> float:
    """Placement values straight from the definition of DeLong 1988."""
    clicks, others = scores[labels == 1], scores[labels == 0]
    kernel = (clicks[:, None] > others[None, :]) + 0.5 * (clicks[:, None] == others[None, :])
    return math.sqrt(np.var(kernel.mean(1), ddof=1) / clicks.size + np.var(kernel.mean(0), ddof=1) / others.size)


@st.composite
def labelled_scores(draw, low=-3.0, high=3.0):
    rows = draw(st.integers(1, 60))
    labels = draw(hnp.arrays(np.int8, rows, elements=st.integers(0, 1)))
    coarse = draw(st.booleans())
    value = (
        st.sampled_from([low, 0.0, -0.0, 0.25, 0.5, high])
        if coarse
        else st.floats(low, high, allow_nan=False, width=32)
    )
    return labels, draw(hnp.arrays(np.float64, rows, elements=value))


@given(labelled_scores())
@settings(deadline=None)
def test_auc_is_the_float_nearest_to_the_exact_share_of_pairs(case):
    labels, scores = case
    exact = auc_over_all_pairs(labels, scores)
    assert roc_auc(labels, scores) == (None if exact is None else float(exact))


@pytest.mark.parametrize("decimals", [0, 1, 2, 8])
@pytest.mark.parametrize("rate", [0.001, 0.25, 0.97])
def test_auc_equals_scikit_learn(decimals, rate):
    random = np.random.default_rng(7)
    labels = (random.random(20_000) < rate).astype(np.int8)
    scores = np.round(random.normal(size=20_000) + labels, decimals)
    assert roc_auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores), abs=1e-12)


def test_auc_ranks_float32_logits_without_loss():
    labels = [0, 1, 0, 1]
    logits = np.array([20.0, 30.0, 40.0, 50.0], np.float32)  # all saturate a float32 sigmoid
    assert roc_auc(labels, logits) == 0.75


def test_constant_scores_are_one_half_and_have_no_error():
    estimate = delong([0, 1, 0, 1], [0.3] * 4)
    assert estimate is not None
    assert (estimate.auc, estimate.standard_error) == (0.5, 0.0)


@given(labelled_scores())
@settings(deadline=None)
def test_delong_equals_the_placement_values(case):
    labels, scores = case
    estimate = delong(labels, scores)
    clicks = int(labels.sum())
    if min(clicks, labels.size - clicks) == 0:
        assert estimate is None
    elif min(clicks, labels.size - clicks) == 1:
        assert estimate is not None
        assert estimate.standard_error is None
    else:
        assert estimate is not None
        assert estimate.standard_error == pytest.approx(delong_over_all_pairs(labels, scores), abs=1e-12)


def test_delong_predicts_the_spread_of_auc_over_samples():
    random = np.random.default_rng(3)
    values, errors = [], []
    for _ in range(300):
        labels = (random.random(600) < 0.3).astype(np.int8)
        estimate = delong(labels, np.round(random.normal(size=600) + labels, 1))
        assert estimate is not None
        values.append(estimate.auc)
        errors.append(estimate.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12)


@given(labelled_scores(low=0.0, high=1.0), st.sampled_from([np.float32, np.float64]))
@settings(deadline=None)
def test_log_loss_of_probabilities_equals_scikit_learn(case, dtype):
    labels, probabilities = case
    probabilities = np.abs(probabilities).astype(dtype)
    expected = oracle.log_loss(labels, probabilities, labels=[0, 1])
    assert log_loss(labels, probabilities=probabilities) == pytest.approx(expected, rel=1e-6)


@given(labelled_scores(low=-600.0, high=600.0))
@settings(deadline=None)
def test_log_loss_of_logits_is_exact_for_large_logits(case):
    labels, logits = case
    signed = np.where(labels == 1, logits, -logits)
    expected = np.mean([math.log1p(math.exp(-z)) if z > -30 else -z + math.exp(z) for z in signed])
    assert log_loss(labels, logits=logits) == pytest.approx(expected, rel=1e-12)


def test_quality_from_logits_and_from_probabilities_agree():
    random = np.random.default_rng(11)
    logits = random.normal(-1.2, 1.5, size=5000)
    probabilities = 1 / (1 + np.exp(-logits))
    labels = (random.random(5000) < probabilities).astype(np.int8)
    one, other = click_quality(labels, logits=logits), click_quality(labels, probabilities=probabilities)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-12), name
    assert one["accuracy"] == oracle.accuracy_score(labels, probabilities > 0.5)
    assert one["calibration"] == pytest.approx(probabilities.sum() / labels.sum())
    assert one["accuracy_majority"] == pytest.approx(1 - labels.mean())
    assert one["normalized_entropy"] == pytest.approx(
        oracle.log_loss(labels, probabilities) / oracle.log_loss(labels, np.full(5000, labels.mean()))
    )


def test_predicting_the_base_rate_has_normalized_entropy_one():
    labels = np.array([1, 0, 0, 0] * 25)
    assert normalized_entropy(log_loss(labels, probabilities=np.full(100, 0.25)), 0.25) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "undefined"),
    [
        ([], {"auc", "auc_standard_error", "log_loss", "normalized_entropy", "accuracy", "accuracy_majority"}),
        ([0, 0, 0], {"auc", "auc_standard_error", "normalized_entropy", "calibration"}),
        ([1, 1, 1], {"auc", "auc_standard_error", "normalized_entropy"}),
        ([0, 1, 1], {"auc_standard_error"}),
    ],
)
def test_what_is_undefined_is_none(labels, undefined):
    quality = click_quality(labels, probabilities=np.full(len(labels), 0.4))
    missing = {name for name, value in quality.items() if value is None}
    assert missing - {"calibration"} == undefined - {"calibration"}
    assert (quality["calibration"] is None) == (not any(labels))


def test_an_empty_part_has_no_quality():
    assert set(click_quality([], logits=[]).values()) == {None}


@pytest.mark.parametrize("name", ["probabilities", "logits"])
def test_predictions_that_are_not_finite_fail_loudly(name):
    values = np.array([0.1, np.nan, np.inf, 0.2], np.float32)
    with pytest.raises(RunFailed, match=f"2 of 4 {name} are not finite"):
        click_quality([0, 1, 0, 1], **{name: values})


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 2], {"probabilities": [0.1, 0.2]}, "row 1 holds 2"),
        ([0, 1], {"probabilities": [0.1, 1.2]}, "row 1 holds 1.2"),
        ([0, 1, 1], {"probabilities": [0.1, 0.2]}, "3 labels but 2 probabilities"),
        ([0, 1], {}, "either probabilities or logits"),
        ([[0, 1]], {"logits": [0.1, 0.2]}, "one axis"),
    ],
)
def test_impossible_input_is_named(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        click_quality(labels, **predictions)


@given(
    hnp.arrays(np.float64, st.integers(2, 40), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0])),
    st.integers(0, 5),
)
@settings(deadline=None)
def test_expected_auc_equals_the_sum_over_pairs(probabilities, seed):
    scores = np.random.default_rng(seed).integers(0, 4, probabilities.size)
    rows = range(probabilities.size)
    weight = {(i, j): probabilities[i] * (1 - probabilities[j]) for i in rows for j in rows if i != j}
    total = sum(weight.values())
    for ranking in (None, scores):
        used = probabilities if ranking is None else ranking
        right = sum(w * ((used[i] > used[j]) + 0.5 * (used[i] == used[j])) for (i, j), w in weight.items())
        value = expected_auc(probabilities, ranking)
        if total > 1e-9:
            assert value == pytest.approx(right / total, abs=1e-9)


def test_expected_auc_is_the_mean_over_drawn_labels():
    random = np.random.default_rng(5)
    probabilities = random.beta(1, 3, 3000)
    drawn = [roc_auc((random.random(3000) < probabilities).astype(int), probabilities) for _ in range(200)]
    assert expected_auc(probabilities) == pytest.approx(np.mean(drawn), abs=0.002)


def test_expected_auc_of_certain_rows():
    assert expected_auc([0.0, 1.0]) == 1.0
    assert expected_auc([0.5]) is None
    assert expected_auc([0.0, 0.0]) is None
