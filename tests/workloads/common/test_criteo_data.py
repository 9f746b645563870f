from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from workloads.common.criteo import MISSING
from workloads.common.criteo_data import PreprocessingRules, Split, dense_features, prepare_criteo

REAL_ROWS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "criteo" / "train.txt"
RULES = PreprocessingRules(frequency_threshold=2, split=Split.parse("6:2:2"))


def log_text(rows: int = 50, *, labelled: bool = True, seed: int = 0) -> str:
    random = np.random.default_rng(seed)
    lines = []
    for row in range(rows):
        label = [str(row % 2)] if labelled else []
        dense = [str(value) if value > -5 else "" for value in random.integers(-8, 40, 13)]
        ids = [f"{value:08x}" if value else "" for value in random.integers(0, 12, 26) * 0x11111111]
        lines.append("\t".join([*label, *dense, *ids]))
    return "\n".join(lines) + "\n"


def write(folder: Path, text: str, name: str = "train.txt") -> Path:
    path = folder / name
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 100 * 10**9))
    return path


def prepare(path: Path, cache_root: Path, rules: PreprocessingRules = RULES, **options):
    reads: list[int] = []
    data = prepare_criteo(
        path, rules, cache_root=cache_root, progress=lambda done, total: reads.append(done), **options
    )
    return data, bool(reads)


def encoded_by_hand(text: str, training_rows: int, threshold: int) -> list[list[int]]:
    fields = [line.split("\t")[-26:] for line in text.splitlines()]
    columns = []
    for column in zip(*fields, strict=True):
        counts = Counter(value for value in column[:training_rows] if value)
        frequent = sorted(
            (value for value in counts if counts[value] >= threshold),
            key=lambda value: (-counts[value], int(value, 16)),
        )
        rows = {value: row for row, value in enumerate(frequent, 2)}
        columns.append([rows.get(value, 0) if value else 1 for value in column])
    return [list(row) for row in zip(*columns, strict=True)]


def test_rows_are_parsed_encoded_and_split_in_order(tmp_path):
    text = log_text()
    data, _ = prepare(write(tmp_path, text), tmp_path / "cache")
    assert data.bounds == (30, 40)
    assert [len(data.part(name)) for name in ("train", "validation", "test")] == [30, 10, 10]
    assert data.rows.ids.tolist() == encoded_by_hand(text, 30, 2)
    assert data.rows.labels.tolist() == [row % 2 for row in range(50)]
    first = text.splitlines()[40].split("\t")
    assert data.part("test").dense[0].tolist() == [int(value) if value else MISSING for value in first[1:14]]
    assert all(column.max() < size for column, size in zip(np.array(data.rows.ids).T, data.table_rows, strict=True))


def test_real_rows_are_encoded_as_by_hand(tmp_path):
    if not REAL_ROWS.exists():
        pytest.skip(f"no real Criteo rows at {REAL_ROWS}: their terms do not allow shipping them")
    rules = PreprocessingRules()
    data, _ = prepare(REAL_ROWS, tmp_path, rules)
    assert data.bounds == (5040, 5760)
    assert data.rows.ids.tolist() == encoded_by_hand(REAL_ROWS.read_text(), 5040, 3)


def test_the_vocabulary_knows_the_training_part_only(tmp_path):
    text = log_text()
    one, _ = prepare(write(tmp_path, text), tmp_path / "cache")
    head = "".join(text.splitlines(keepends=True)[:30])
    other, _ = prepare(write(tmp_path, head + log_text(20, seed=9), "other.txt"), tmp_path / "cache")
    for mine, theirs in zip(one.vocabularies, other.vocabularies, strict=True):
        assert mine.hashes.tolist() == theirs.hashes.tolist()
    assert one.fingerprint() != other.fingerprint()


def test_a_second_run_reads_the_cache(tmp_path):
    path = write(tmp_path, log_text())
    first, read = prepare(path, tmp_path / "cache")
    again, read_again = prepare(path, tmp_path / "cache")
    assert (read, read_again) == (True, False)
    assert isinstance(again.rows.ids, np.memmap)
    assert again.fingerprint() == first.fingerprint()
    assert again.rows.ids.tolist() == first.rows.ids.tolist()


def test_a_copy_under_another_name_hits_the_cache(tmp_path):
    _, read = prepare(write(tmp_path, log_text()), tmp_path / "cache")
    data, read_again = prepare(write(tmp_path, log_text(), "copy.txt"), tmp_path / "cache")
    assert (read, read_again) == (True, False)
    assert len(data.rows) == 50


@pytest.mark.parametrize(
    ("change", "same_ids"),
    [
        ({"frequency_threshold": 3}, False),
        ({"max_table_rows": 5}, False),
        ({"split": Split.parse("2:1:1")}, False),
        ({"dense_transform": "log3"}, True),
    ],
)
def test_other_rules_are_other_data_without_a_second_parse(tmp_path, change, same_ids):
    path = write(tmp_path, log_text())
    one, _ = prepare(path, tmp_path / "cache")
    other, read = prepare(path, tmp_path / "cache", dataclasses.replace(RULES, **change))
    assert not read
    assert one.fingerprint() != other.fingerprint()
    assert (one.rows.ids.tolist() == other.rows.ids.tolist()) == same_ids


def test_a_changed_file_is_parsed_again(tmp_path):
    path = write(tmp_path, log_text())
    one, _ = prepare(path, tmp_path / "cache")
    write(tmp_path, log_text(seed=1))
    other, read = prepare(path, tmp_path / "cache")
    assert read
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("name", ["ids.npy", "dense.npy", "C7.npy", "vocabulary.npy"])
def test_a_damaged_cache_is_rebuilt(tmp_path, name):
    path = write(tmp_path, log_text())
    first, _ = prepare(path, tmp_path / "cache")
    expected = first.rows.ids.tolist(), first.rows.dense.tolist()
    damaged = next((tmp_path / "cache").glob(f"*/{name}"))
    damaged.write_bytes(damaged.read_bytes()[:-3])
    again, _ = prepare(path, tmp_path / "cache")
    assert (again.rows.ids.tolist(), again.rows.dense.tolist()) == expected


def test_table_rows_can_be_capped(tmp_path):
    data, _ = prepare(write(tmp_path, log_text()), tmp_path / "cache", dataclasses.replace(RULES, max_table_rows=4))
    assert max(data.table_rows) == 4
    assert data.rows.ids.max() == 3


def test_an_unlabelled_file_is_encoded_by_a_models_vocabularies(tmp_path):
    trained, _ = prepare(write(tmp_path, log_text()), tmp_path / "cache")
    text = log_text(7, labelled=False)
    path = write(tmp_path, text, "test.txt")
    data, _ = prepare(path, tmp_path / "cache", vocabularies=trained.vocabularies)
    assert data.rows.labels is None
    assert data.part("test").labels is None
    assert (len(data.part("train")), len(data.part("test"))) == (0, 7)
    assert data.table_rows == trained.table_rows
    whole = log_text() + "\n".join("0\t" + line for line in text.splitlines())
    assert data.rows.ids.tolist() == encoded_by_hand(whole, 30, 2)[50:]


def test_an_unlabelled_file_cannot_be_trained_on(tmp_path):
    with pytest.raises(DataError, match="has no labels"):
        prepare(write(tmp_path, log_text(labelled=False)), tmp_path / "cache")


def test_bad_rows_are_an_error_or_counted_also_from_the_cache(tmp_path):
    lines = log_text().splitlines()
    lines[4] = "junk"
    path = write(tmp_path, "\n".join(lines))
    for _ in range(2):
        with pytest.raises(DataError, match="line 5: 1 field"):
            prepare(path, tmp_path / "cache")
        data, _ = prepare(path, tmp_path / "cache", on_bad_row="skip")
        assert (len(data.rows), data.bad_rows) == (49, 1)
        assert "line 5" in data.first_bad


def test_too_few_rows_for_the_split_are_told(tmp_path):
    with pytest.raises(DataError, match="has 2 rows, and the split 3/5:1/5:1/5 leaves none of them for validation"):
        prepare(write(tmp_path, log_text(2)), tmp_path / "cache")


def test_a_missing_file_writes_no_cache(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        prepare(tmp_path / "none.txt", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("7:1:2", (7, 1, 2)),
        ("4:0.5:0.5", (8, 1, 1)),
        ("0.8:0:0.2", (8, 0, 2)),
        (" 1 : 1 : 1 ", (1, 1, 1)),
    ],
)
def test_a_split_is_three_shares(text, shares):
    split = Split.parse(text)
    assert (split.train, split.validation, split.test) == tuple(Fraction(each, sum(shares)) for each in shares)
    assert Split.parse(str(split)) == split


@pytest.mark.parametrize("text", ["", "7:1", "a:b:c", "0:1:1", "1:-1:1", "1:1:1:1", "1/0:1:1", "nan:1:1"])
def test_a_wrong_split_is_told(text):
    with pytest.raises(UsageError, match="expected three shares"):
        Split.parse(text)


@given(st.integers(0, 10**10))
@settings(deadline=None)
def test_the_default_split_tests_on_the_last_fifth(rows):
    validation, test = Split().bounds(rows)
    assert 0 <= validation <= test <= rows
    assert rows - test == math.ceil(rows / 5) or (rows - test) * 5 == rows


@pytest.mark.parametrize("change", [{"frequency_threshold": 0}, {"max_table_rows": 1}])
def test_impossible_rules_are_told(change):
    with pytest.raises(UsageError, match="at least"):
        PreprocessingRules(**change)


def test_every_rule_changes_the_fingerprint():
    changes = [
        {},
        {"frequency_threshold": 4},
        {"max_table_rows": 10},
        {"dense_transform": "log3"},
        {"split": Split.parse("1:1:1")},
    ]
    assert len({PreprocessingRules(**change).fingerprint() for change in changes}) == len(changes)


def test_dense_transforms_are_those_of_their_sources():
    dense = np.array([[MISSING, -3, -2, -1, 0, 1, 2**31 - 1]], np.int32)
    log1p = dense_features(dense, "log1p")
    assert log1p.dtype == np.float32
    assert log1p[0] == pytest.approx([0, 0, 0, 0, 0, math.log(2), math.log(2**31)])
    log3 = dense_features(dense, "log3")
    assert log3.dtype == np.float32
    assert log3[0] == pytest.approx([0, 0, 0, math.log(2), math.log(3), math.log(4), math.log(2**31 + 2)])
