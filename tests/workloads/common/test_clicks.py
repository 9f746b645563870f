from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression, SGDClassifier

from workloads.common import criteo
from workloads.common.calibration import calibrate
from workloads.common.click_sources import LOGIT_BITS, PROBABILITY_BITS, sigmoid, sigmoid_table
from workloads.common.clicks import (
    CRITEO_CARDINALITIES,
    MISSING,
    ClickBlock,
    ClickLogSpec,
    demo_spec,
    generate,
)
from workloads.common.metrics import roc_auc

PAIRED = dataclasses.replace(demo_spec(), pairs=((0, 5), (2, 8)), pair_scale=0.4)
SPECS = {"demo": demo_spec(), "whole Kaggle": ClickLogSpec(), "pairs": PAIRED}


def bytes_of(block: ClickBlock) -> str:
    digest = hashlib.sha256()
    for field in dataclasses.fields(block):
        digest.update(np.ascontiguousarray(getattr(block, field.name)).tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("demo", "3005971ac37731067a4bc80202ae6738104a56039ee5154bde121b6d0ec85300"),
        ("whole Kaggle", "61ef9a3ca711bb57d8e71294e21f0a9996825f439a73e8cb34b84d859ea2a6d2"),
        ("pairs", "8f1940e9554e071c2ad52a4081a7b90863535b3a72cb32d37d801183af6b7d44"),
    ],
)
def test_the_bytes_are_golden(name, golden):
    assert bytes_of(generate(SPECS[name], 1_000, 21_000)) == golden


@pytest.mark.parametrize("name", SPECS)
@given(cuts=st.lists(st.integers(0, 30_000), min_size=1, max_size=5))
@settings(max_examples=5, deadline=None)
def test_any_piece_equals_the_slice_of_the_whole(name, cuts):
    whole = generate(SPECS[name], 0, 30_000)
    edges = sorted({*cuts, 0, 30_000})
    for start, stop in itertools.pairwise(edges):
        piece = generate(SPECS[name], start, stop)
        for field in dataclasses.fields(whole):
            assert np.array_equal(getattr(piece, field.name), getattr(whole, field.name)[start:stop]), field.name


def test_rows_have_criteos_shape():
    block = generate(ClickLogSpec(), 5_000_000_000, 5_000_020_000)
    assert block.dense.shape == (20_000, 13)
    assert block.ids.shape == (20_000, 26)
    assert (block.ids >= 0).all()
    assert (block.ids < np.array(CRITEO_CARDINALITIES)).all()
    missing = (block.dense == MISSING).mean(0)
    assert missing[[0, 11]] == pytest.approx([0.45, 0.77], abs=0.02)
    assert missing[1] == 0
    present = np.where(block.dense == MISSING, 0, block.dense)
    assert present.min(0).tolist() == [0, -2, *[0] * 11]
    assert present[:, 4].max() > 100 * np.median(present[:, 4])
    assert set(np.unique(block.labels)) == {0, 1}


def test_popular_ids_take_most_rows_and_another_seed_places_them_elsewhere():
    one, other = (generate(demo_spec(seed), 0, 20_000) for seed in (0, 1))
    counts = np.bincount(one.ids[:, 2], minlength=2_000)
    assert np.sort(counts)[-20:].sum() > 0.35 * 20_000
    assert np.argmax(counts) != np.argmax(np.bincount(other.ids[:, 2], minlength=2_000))


def test_unscattered_ids_are_popularity_ranks():
    block = generate(dataclasses.replace(demo_spec(), scatter_ids=False), 0, 50_000)
    counts = np.bincount(block.ids[:, 2], minlength=2_000)
    assert counts[:5].tolist() == sorted(counts[:5], reverse=True)
    assert counts[0] == counts.max()


@pytest.mark.parametrize("name", ["demo", "whole Kaggle"])
def test_pinned_scales_reach_their_targets(name):
    for seed in (0, 7):
        block = generate(dataclasses.replace(SPECS[name], seed=seed), 0, 60_000)
        assert block.bayes_auc() == pytest.approx(0.80, abs=0.006)
        assert block.dense_auc() == pytest.approx(0.66, abs=0.006)
        assert block.labels.mean() == pytest.approx(0.25, abs=0.01)


def test_labels_follow_the_probabilities():
    block = generate(demo_spec(), 0, 100_000)
    assert roc_auc(block.labels, block.probabilities) == pytest.approx(block.bayes_auc(), abs=0.006)
    for decile in np.array_split(np.argsort(block.probabilities), 10):
        expected = block.probabilities[decile]
        error = math.sqrt(np.sum(expected * (1 - expected))) / decile.size
        assert abs(block.labels[decile].mean() - expected.mean()) < 4 * error


def test_no_ranking_by_dense_features_beats_the_dense_auc():
    block = generate(demo_spec(), 0, 60_000)
    features = np.log1p(np.maximum(np.where(block.dense == MISSING, 0, block.dense), 0))
    half = 30_000
    model = LogisticRegression(max_iter=500).fit(features[:half], block.labels[:half])
    learned = roc_auc(block.labels[half:], model.decision_function(features[half:]))
    assert learned == pytest.approx(block.dense_auc(), abs=0.015)


def test_a_linear_model_of_the_ids_comes_near_the_bayes_auc():
    block = generate(demo_spec(), 0, 60_000)
    offsets = np.concatenate([[0], np.cumsum(demo_spec().cardinalities)[:-1]])
    rows, columns = block.ids.shape
    indices = (block.ids + offsets).ravel()
    one_hot = csr_matrix((np.ones(indices.size), indices, np.arange(0, indices.size + 1, columns)))
    dense = np.log1p(np.maximum(np.where(block.dense == MISSING, 0, block.dense), 0))
    features = hstack([one_hot, csr_matrix(dense / 4)]).tocsr()
    half = rows * 3 // 4
    model = SGDClassifier(loss="log_loss", alpha=1e-4, max_iter=6, tol=None, random_state=0)
    model.fit(features[:half], block.labels[:half])
    learned = roc_auc(block.labels[half:], model.decision_function(features[half:]))
    assert learned > block.dense_auc() + 0.08
    assert learned < block.bayes_auc() + 0.01


def test_pairs_are_what_a_linear_teacher_lacks():
    paired, plain = generate(PAIRED, 0, 50_000), generate(demo_spec(), 0, 50_000)
    assert np.array_equal(paired.ids, plain.ids)
    extra = paired.logits - plain.logits
    assert extra.std() == pytest.approx(0.4 * math.sqrt(2), rel=0.25)
    assert paired.bayes_auc() > plain.bayes_auc() + 0.005


def test_the_logit_is_the_sum_of_standardised_effects():
    spec = demo_spec()
    silent = dataclasses.replace(spec, dense_scale=0.0, bias=0.0)
    block = generate(silent, 0, 100_000)
    weights = [1 / math.sqrt(1 + size / 64) for size in spec.cardinalities]
    expected = spec.categorical_scale * math.sqrt(sum(weight**2 for weight in weights))
    assert block.logits.mean() == pytest.approx(0.0, abs=0.02)
    assert block.logits.std() == pytest.approx(expected, rel=0.02)
    assert not block.dense_logits.any()


def test_the_same_id_always_has_the_same_effect():
    spec = ClickLogSpec(cardinalities=(70_000,), categorical_weights=(1.0,), dense_scale=0.0, bias=0.0)
    block = generate(spec, 0, 50_000)  # above LISTED_IDS: effects are computed, not listed
    ids, where = np.unique(block.ids[:, 0], return_inverse=True)
    effects = np.zeros(ids.size)
    effects[where] = block.logits
    assert np.array_equal(effects[where], block.logits)
    assert np.unique(effects).size > 0.7 * ids.size


def test_the_sigmoid_table_is_within_a_millionth():
    logits = np.linspace(-15.9, 15.9, 10_001)
    units = np.round(logits * 2.0**LOGIT_BITS).astype(np.int64)
    table = sigmoid_table()
    assert table.size == 4097
    assert sigmoid(units, table) * 2.0**-PROBABILITY_BITS == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-6)
    assert int(table[2048]) == 1 << 31
    far = sigmoid(np.array([-(1 << 60), 1 << 60]), table)
    assert 0 < far[0] < 1000
    assert 0 < (1 << 32) - far[1] < 1000


def test_every_field_of_the_spec_changes_its_fingerprint():
    base = demo_spec()
    others = [
        dataclasses.replace(base, **change)
        for change in (
            {"seed": 1},
            {"cardinalities": (*base.cardinalities[:-1], 7)},
            {"zipf_exponent": 1.2},
            {"scatter_ids": False},
            {"dense_weights": (*base.dense_weights[:-1], 0.1)},
            {"categorical_weights": (1.0,) * 26},
            {"bias": -1.0},
            {"dense_scale": 0.1},
            {"categorical_scale": 0.1},
            {"pairs": ((0, 1),)},
            {"pair_scale": 0.1},
        )
    ]
    assert len({spec.fingerprint() for spec in (base, *others)}) == len(others) + 1
    assert base.fingerprint() == demo_spec().fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cardinalities": (3, 0)}, "not 0"),
        ({"dense_weights": (1.0,)}, "13 dense columns but 1 weights"),
        ({"categorical_weights": (1.0,)}, "26 cardinalities but 1 weights"),
        ({"pairs": ((0, 26),)}, r"not \(0, 26\)"),
        ({"pairs": ((1, 1),)}, r"not \(1, 1\)"),
    ],
)
def test_an_impossible_spec_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(demo_spec(), **change)


def test_an_empty_range_is_an_empty_block_and_a_backward_one_is_refused():
    block = generate(demo_spec(), 5, 5)
    assert block.ids.shape == (0, 26)
    assert block.bayes_auc() is None
    with pytest.raises(ValueError, match="no range"):
        generate(demo_spec(), 6, 5)


def test_calibration_reaches_other_targets():
    spec = calibrate(demo_spec(3), click_rate=0.1, bayes_auc=0.75, dense_auc=0.6, rows=20_000)
    block = generate(spec, 100_000, 160_000)
    assert block.bayes_auc() == pytest.approx(0.75, abs=0.01)
    assert block.dense_auc() == pytest.approx(0.6, abs=0.01)
    assert block.labels.mean() == pytest.approx(0.1, abs=0.01)
    assert calibrate(demo_spec(3), click_rate=0.1, bayes_auc=0.75, dense_auc=0.6, rows=20_000) == spec


def test_calibration_says_which_target_is_out_of_reach():
    with pytest.raises(ValueError, match="dense AUC < Bayes AUC"):
        calibrate(demo_spec(), bayes_auc=0.6, dense_auc=0.7)
    flat = dataclasses.replace(demo_spec(), categorical_weights=(0.0,) * 26)
    with pytest.raises(ValueError, match="no categorical scale"):
        calibrate(flat, rows=5_000)


def test_synthetic_and_real_rows_mark_a_missing_value_alike():
    assert MISSING == criteo.MISSING
