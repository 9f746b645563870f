"""Synthetic samples: the same bytes everywhere, real lengths, a signal that is where it was planted."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from workloads.common.metrics import expected_auc, roc_auc
from workloads.din.samples import check_ids
from workloads.din.synthetic import SyntheticSpec, categories_of, generate

GOLDEN = "5136991027342cd5"  # raise GENERATOR_VERSION when it changes
SMALL = SyntheticSpec(users=200, items=600, categories=40)


def _columns(samples):
    return [
        *(samples.users, samples.items, samples.categories, samples.starts, samples.lengths, samples.labels),
        *(samples.sequences.items, samples.sequences.categories, samples.probabilities),
    ]


def test_a_longer_set_begins_with_the_shorter_one():
    short, _ = generate(SMALL, 100)
    long, _ = generate(SMALL, 20_000)
    for one, other in zip(_columns(short), _columns(long), strict=True):
        assert np.array_equal(one, other[: len(one)])


def test_the_bytes_are_those_of_this_version_of_the_generator():
    samples, _ = generate(SyntheticSpec(), 2_000)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in _columns(samples)))
    assert digest.hexdigest()[:16] == GOLDEN


def test_seeds_give_other_samples():
    assert not np.array_equal(generate(SMALL, 100)[0].items, generate(SyntheticSpec(seed=1), 100)[0].items)


@pytest.mark.parametrize("mean", [1, 9, None])
def test_lengths_have_the_mean_that_was_asked_for(mean):
    samples, _ = generate(SyntheticSpec(mean_length=mean, users=50, items=60, categories=9), 20_000)
    assert samples.mean_length() == pytest.approx(100 if mean is None else mean, rel=0.05)
    assert samples.lengths.min() >= 1 and samples.lengths.max() <= 100


def test_ids_are_rows_of_their_tables_and_categories_those_of_the_items():
    samples, _ = generate(SMALL, 20_000)
    check_ids(samples, (SMALL.users, SMALL.items, SMALL.categories), "synthetic")
    assert np.array_equal(categories_of(samples.items, SMALL), samples.categories)
    assert np.array_equal(categories_of(samples.sequences.items, SMALL), samples.sequences.categories)
    assert samples.items.min() >= 1, "0 is nobody's"
    assert set(categories_of(np.arange(1, 600), SMALL)) == set(range(1, 40))


def test_labels_follow_the_probabilities():
    samples, _ = generate(SMALL, 40_000)
    assert samples.labels.mean() == pytest.approx(samples.probabilities.mean(), abs=0.01)
    assert roc_auc(samples.labels, samples.probabilities) == pytest.approx(
        expected_auc(samples.probabilities), abs=0.01
    )


def test_the_signal_is_whether_the_category_was_seen_before():
    samples, _ = generate(SMALL, 4_000)
    seen = np.array(
        [
            samples.categories[row]
            in samples.sequences.categories[samples.starts[row] : samples.starts[row] + samples.lengths[row]]
            for row in range(len(samples))
        ]
    )
    popularity = np.log(samples.probabilities / (1.0 - samples.probabilities)) - 2.5 * seen + 1.5
    by_category = {int(each): popularity[samples.categories == each] for each in np.unique(samples.categories)}
    assert max(values.max() - values.min() for values in by_category.values()) < 1e-4
    assert 0.2 < seen.mean() < 0.8


def test_repeated_samples_are_counted_once():
    _, different = generate(SMALL, 4_000)
    assert 3_900 < different <= 4_000
    tiny, different = generate(SyntheticSpec(users=2, items=2, categories=2, mean_length=1), 400)
    rows = zip(tiny.users, tiny.items, tiny.starts, tiny.lengths, strict=True)
    assert different == len(
        {(int(user), int(item), tuple(tiny.sequences.items[at : at + n].tolist())) for user, item, at, n in rows}
    )


@pytest.mark.parametrize("wrong", [{"items": 3, "categories": 4}, {"users": 1}, {"mean_length": 101}])
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(ValueError, match=r"items|rows|mean length"):
        SyntheticSpec(**wrong)
