"""The seven files, line by line: what they say is what comes out, and what is broken is named by its line."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import DataError
from tests.workloads.din.files import DATA, write_amazon
from workloads.din.amazon import FILES, read_amazon

TRAIN = "local_train_splitByUser"


def _spoil(path, change):
    lines = path.read_text().split("\n")
    lines[2] = change(lines[2])
    path.write_text("\n".join(lines))


def test_every_line_comes_out_as_it_stands_in_the_file(tmp_path):
    folder = write_amazon(tmp_path / "a")
    found = read_amazon(folder, cache_root=tmp_path / "cache")
    for part, samples in (("train", found.train), ("test", found.test)):
        lines = (folder / f"local_{part}_splitByUser").read_text().splitlines()
        assert len(samples) == len(lines)
        for number, line in enumerate(lines):
            label, user, item, category, items, categories = line.split("\t")
            past = slice(int(samples.starts[number]), int(samples.starts[number] + samples.lengths[number]))
            assert samples.labels[number] == int(label)
            assert samples.users[number] == (int(user[1:]) if part == "train" else 0)
            assert (f"i{samples.items[number]}", f"c{samples.categories[number]}") == (item, category)
            assert "\x02".join(f"i{each}" for each in samples.sequences.items[past]) == items
            assert "\x02".join(f"c{each}" for each in samples.sequences.categories[past]) == categories
    assert found.table_rows == (32, 31, 6)


def test_pairs_of_a_user_share_one_past_and_one_group(tmp_path):
    found = read_amazon(write_amazon(tmp_path / "a"), cache_root=tmp_path / "cache")
    for samples in (found.train, found.test):
        assert np.array_equal(samples.starts[::2], samples.starts[1::2])
        assert np.array_equal(samples.groups[::2], samples.groups[1::2])
        assert len(np.unique(samples.groups)) == len(samples) // 2
        assert len(samples.sequences) == int(samples.lengths[::2].sum())


def test_names_without_an_id_are_counted_and_share_row_0(tmp_path):
    folder = write_amazon(tmp_path / "a")
    _spoil(folder / TRAIN, lambda line: line.replace("\t" + line.split("\t")[2] + "\t", "\tnobody\t", 1))
    found = read_amazon(folder, cache_root=tmp_path / "cache")
    assert found.unknown == {"train items": 1, "test users": 16}
    assert found.train.items[2] == 0


def test_the_second_reading_is_from_the_cache_and_a_change_is_seen(tmp_path):
    folder = write_amazon(tmp_path / "a")
    first = read_amazon(folder, cache_root=tmp_path / "cache")
    entries = sorted((tmp_path / "cache" / "din").glob("amazon-*"))
    again = read_amazon(folder, cache_root=tmp_path / "cache")
    assert sorted((tmp_path / "cache" / "din").glob("amazon-*")) == entries
    assert again.fingerprint == first.fingerprint
    write_amazon(folder, seed=1)
    assert read_amazon(folder, cache_root=tmp_path / "cache").fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda line: line.replace("\t", " ", 1),
            "line 3 has 5 fields, expected 6 with tabs between them: label, user",
        ),
        (lambda line: "2" + line[1:], "line 3 has the label '2', expected 0 or 1"),
        (lambda line: line + "\x02c1", "line 3 has a broken separator"),
        (lambda line: line.replace(line.split("\t")[4], "i1,i2").replace(line.split("\t")[5], "c1"), "'i1,i2'"),
        (lambda line: line.replace(line.split("\t")[4], "i1 i2 i3").replace(line.split("\t")[5], "c1"), "'i1 i2 i3'"),
        (lambda line: line.replace(line.split("\t")[4], "i1^Bi2").replace(line.split("\t")[5], "c1"), "'i1^Bi2'"),
        (lambda line: "\t".join([*line.split("\t")[:4], "", ""]), "line 3 has no past"),
        (lambda line: "", "line 3 has 1 fields"),
    ],
)
def test_a_broken_line_is_named_with_what_was_expected(tmp_path, change, sentence):
    folder = write_amazon(tmp_path / "a")
    _spoil(folder / TRAIN, change)
    with pytest.raises(DataError) as refused:
        read_amazon(folder, cache_root=tmp_path / "cache")
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message
    assert not list((tmp_path / "cache" / "din").glob("amazon-*.tmp-*")), "half an entry was left"


def test_category_names_may_hold_spaces_and_commas(tmp_path):
    folder = write_amazon(tmp_path / "a")
    _spoil(folder / TRAIN, lambda line: line.replace("c1", "Arts, Crafts & more"))
    assert len(read_amazon(folder, cache_root=tmp_path / "cache").train) == 64


def test_missing_and_empty_files_are_named(tmp_path):
    folder = write_amazon(tmp_path / "a")
    (folder / TRAIN).write_text("")
    with pytest.raises(DataError, match="local_train_splitByUser is empty"):
        read_amazon(folder, cache_root=tmp_path / "cache")
    for name in FILES[1:]:
        (folder / name).unlink()
    with pytest.raises(DataError, match="lacks local_test_splitByUser, uid_voc"):
        read_amazon(folder, cache_root=tmp_path / "cache")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_the_real_beauty_has_the_lines_that_are_known_of_it(tmp_path):
    found = read_amazon(DATA / "Beauty", cache_root=tmp_path)
    assert (len(found.train), len(found.test)) == (40_300, 4_426)
    assert found.table_rows == (20_150, 12_102, 196)
    assert found.unknown == {"test users": 4_426}
    assert int(found.train.labels.sum()) == 20_150
