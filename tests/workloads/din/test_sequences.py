"""The paper's protocol: every prefix once, the last place tests, negatives that the user never touched."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.errors import DataError
from tests.workloads.din.files import DATA, ITEMS, category_of, write_sequences
from workloads.din.sequences import read_sequences, samples_of


def _users(path):
    return [[int(word) for word in line.split()[1:]] for line in path.read_text().splitlines()]


def test_every_prefix_has_a_positive_and_a_negative_and_the_last_tests(tmp_path):
    path = write_sequences(tmp_path / "a")
    users = _users(path)
    train, test, left = samples_of(read_sequences(path, cache_root=tmp_path / "cache"), 0)
    interactions = sum(map(len, users))
    assert len(train) == 2 * (interactions - 2 * len(users))
    assert len(test) == 2 * len(users)
    expected = {
        part: [
            (user, items[place], tuple(items[:place]))
            for user, items in enumerate(users)
            for place in range(1, len(items))
            if (place == len(items) - 1) == (part == "test")
        ]
        for part in ("train", "test")
    }
    for part, samples in (("train", train), ("test", test)):
        found = [
            (
                int(samples.groups[row]),
                int(samples.items[row]),
                tuple(samples.sequences.items[samples.starts[row] :][: samples.lengths[row]].tolist()),
            )
            for row in range(0, len(samples), 2)
        ]
        assert found == expected[part]
        assert samples.labels.tolist() == [1, 0] * (len(samples) // 2)
        for column in (samples.users, samples.starts, samples.lengths):
            assert np.array_equal(column[::2], column[1::2])
    assert left.min() == 1


def test_negatives_are_items_that_their_user_never_touched(tmp_path):
    path = write_sequences(tmp_path / "a", users=200)
    users = _users(path)
    train, test, _ = samples_of(read_sequences(path, cache_root=tmp_path / "cache"), 3)
    for samples in (train, test):
        negatives = samples.items[1::2]
        assert not [row for row, item in enumerate(negatives) if item in users[samples.groups[2 * row]]]
        assert negatives.min() >= 1 and negatives.max() <= ITEMS
    counts = np.bincount(train.items[1::2], minlength=ITEMS + 1)[1:]
    assert counts.min() > 0.5 * counts.mean(), "negatives are not even"


def test_negatives_depend_on_the_data_seed_alone(tmp_path):
    path = write_sequences(tmp_path / "a")
    first, again, other = (
        samples_of(read_sequences(path, cache_root=tmp_path / str(turn)), seed)[0].items
        for turn, seed in enumerate((1, 1, 2))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_categories_are_the_last_attribute(tmp_path):
    path = write_sequences(tmp_path / "a")
    ordered = read_sequences(path, cache_root=tmp_path / "cache")
    groups = {category_of(item): set() for item in range(1, ITEMS + 1)}
    for item in range(1, ITEMS + 1):
        groups[category_of(item)].add(int(ordered.categories[item]))
    assert all(len(each) == 1 for each in groups.values())
    assert ordered.table_rows == (41, ITEMS + 1, 6)
    assert ordered.categories[0] == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1 2 3 4\n2 3 x 5\n", "line 2: 'x' is no id, expected whole numbers from 1"),
        ("1 2 3 4\n2 3 0 5\n", "line 2: '0' is no id"),
        ("1 2 3 4\n2 3 99999999999 5\n", "line 2: '99999999999' is no id"),
        ("1 2 3 4\n2 3 5\n", "line 2 has 2 items, expected a user and at least 3 items"),
        ("1,2,3,4\n", "line 1: '1,2,3,4' is no id"),
        ("1 2 3 4\n1 5 6 7\n", "line 2: user 1 has a line already"),
        ("", "is empty"),
        ("1 2 3 31\n", "has no category for item 31 of Tiny.txt"),
    ],
)
def test_a_broken_file_is_refused_in_one_sentence(tmp_path, text, sentence):
    path = write_sequences(tmp_path / "a")
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        read_sequences(path, cache_root=tmp_path / "cache")
    assert sentence in refused.value.message


def test_attributes_are_needed_and_checked(tmp_path):
    path = write_sequences(tmp_path / "a")
    attributes = path.with_name("Tiny_item2attributes.json")
    attributes.write_text(json.dumps({"1": []}))
    with pytest.raises(DataError, match="item '1' needs a number and a list of attributes, its category last"):
        read_sequences(path, cache_root=tmp_path / "cache")
    attributes.write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_sequences(path, cache_root=tmp_path / "cache")
    attributes.unlink()
    with pytest.raises(DataError, match="_item2attributes"):
        read_sequences(path, cache_root=tmp_path / "cache")


def test_a_user_who_touched_everything_has_no_negative(tmp_path):
    path = write_sequences(tmp_path / "a")
    path.write_text("1 " + " ".join(str(item) for item in range(1, ITEMS + 1)) + "\n")
    with pytest.raises(DataError, match="user 1 touched nearly every item"):
        samples_of(read_sequences(path, cache_root=tmp_path / "cache"), 0)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("name", "train", "test", "tables"),
    [
        ("Beauty", 307_552, 44_726, (22_364, 12_102, 196)),
        ("Sports_and_Outdoors", 450_282, 71_196, (35_599, 18_358, 960)),
    ],
)
def test_the_real_sequences_have_the_rows_that_are_known_of_them(tmp_path, name, train, test, tables):
    ordered = read_sequences(DATA / "s3rec" / f"{name}.txt", cache_root=tmp_path)
    training, testing, _ = samples_of(ordered, 0)
    assert (len(training), len(testing), ordered.table_rows) == (train, test, tables)
