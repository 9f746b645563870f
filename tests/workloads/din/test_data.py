"""Protocols and their data belong together; validation comes out of training, never out of the test part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from harness.errors import BenchError, DataError, RunFailed
from harness.settings import build
from tests.workloads.din.files import write_amazon, write_sequences
from workloads.din.config import DINConfig
from workloads.din.data import load_data
from workloads.din.samples import Samples, Sequences, check_ids


def _load(tmp_path: Path, data: Path | None, *, seed: int = 0, stop: bool = False, **values):
    said: list[str] = []
    context = SimpleNamespace(
        config=build(DINConfig, "train", values),
        data=data,
        data_seed=seed,
        cache_dir=tmp_path / "cache",
        should_stop=lambda: stop,
        progress=lambda *each: None,
        log=lambda text, level="info": said.append(text),
    )
    return load_data(context), said


def _rows(samples):
    return {
        (int(g), int(i), int(s), int(n), int(y))
        for g, i, s, n, y in zip(
            samples.groups, samples.items, samples.starts, samples.lengths, samples.labels, strict=True
        )
    }


def test_a_folder_is_dien_a_file_is_paper_and_nothing_is_synthetic(tmp_path):
    folder, path = write_amazon(tmp_path / "a"), write_sequences(tmp_path / "b")
    assert _load(tmp_path, folder)[0].protocol == "dien"
    assert _load(tmp_path, path)[0].protocol == "paper"
    made, _ = _load(tmp_path, None, rows=200, users=20, items=40, categories=9)
    assert made.protocol == "synthetic"
    assert made.identity.kind == "generated"


def test_the_protocol_is_part_of_the_identity(tmp_path):
    folder, path = write_amazon(tmp_path / "a"), write_sequences(tmp_path / "b")
    prints = [
        _load(tmp_path, folder)[0].identity,
        _load(tmp_path, path)[0].identity,
        _load(tmp_path, path, seed=1)[0].identity,
        _load(tmp_path, path, validation="user")[0].identity,
        _load(tmp_path, path, validation_fraction=0.2)[0].identity,
        _load(tmp_path, path, max_seq_len=50)[0].identity,
    ]
    assert len({each.fingerprint for each in prints}) == len(prints)
    assert [each.rules.split(";")[0] for each in prints] == ["protocol dien", *["protocol paper"] * 5]
    assert _load(tmp_path, folder, protocol="dien")[0].identity == prints[0]


@pytest.mark.parametrize("how", ["user", "time"])
def test_validation_comes_out_of_the_training_part(tmp_path, how):
    path = write_sequences(tmp_path / "b", users=200)
    without, _ = _load(tmp_path, path, validation_fraction=0)
    data, _ = _load(tmp_path, path, validation=how, validation_fraction=0.3)
    train, validation, test = (data.parts[name] for name in ("train", "validation", "test"))
    assert len(validation)
    assert _rows(train) | _rows(validation) == _rows(without.parts["train"])
    assert not _rows(train) & _rows(validation)
    assert _rows(test) == _rows(without.parts["test"])
    if how == "user":
        assert not set(train.groups.tolist()) & set(validation.groups.tolist())
    else:
        longest = dict(zip(test.groups.tolist(), test.lengths.tolist(), strict=True))
        assert all(
            length == longest[group] - 1
            for group, length in zip(validation.groups.tolist(), validation.lengths.tolist(), strict=True)
        )


def test_users_who_validate_are_unknown_under_protocol_dien(tmp_path):
    data, said = _load(tmp_path, write_amazon(tmp_path / "a"), validation_fraction=0.3)
    validation = data.parts["validation"]
    assert len(validation) and not validation.users.any()
    assert len(np.unique(validation.groups)) == len(validation) // 2
    assert said == ["16 test users are not in the vocabulary and share the row with id 0"]


def test_synthetic_parts_are_in_order_and_know_their_best_auc(tmp_path):
    data, _ = _load(tmp_path, None, rows=1000, users=50, items=90, categories=9)
    assert [len(data.parts[name]) for name in ("train", "validation", "test")] == [800, 100, 100]
    assert data.parts["test"].probabilities is not None
    assert data.unique_rows is not None and data.unique_rows > 900
    full, _ = _load(tmp_path, None, rows=100, users=50, items=90, categories=9, lengths="full")
    assert set(full.parts["train"].lengths.tolist()) == {100}


@pytest.mark.parametrize(
    ("which", "values", "sentence"),
    [
        (None, {"protocol": "dien"}, "protocol dien needs --data, a folder with the seven Amazon files"),
        (None, {"protocol": "paper"}, "protocol paper needs --data, a file of ordered sequences"),
        ("folder", {"protocol": "paper"}, "protocol paper cannot be had from"),
        ("file", {"protocol": "dien"}, "which holds ordered sequences"),
        ("file", {"protocol": "synthetic"}, "protocol synthetic makes its own samples"),
        ("file", {"use_synthetic_data": True}, "two different data sets"),
        ("folder", {"validation": "time"}, "nothing can validate by time"),
        ("empty", {}, "has no file local_train_splitByUser"),
        ("missing", {}, "is not there"),
    ],
)
def test_protocols_and_data_that_do_not_belong_together_are_refused(tmp_path, which, values, sentence):
    places = {"folder": write_amazon(tmp_path / "a"), "file": write_sequences(tmp_path / "b"), None: None}
    places["empty"] = tmp_path / "b"
    places["missing"] = tmp_path / "nowhere"
    with pytest.raises(BenchError) as refused:
        _load(tmp_path, places[which], **values)
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


def test_making_samples_ends_when_the_run_is_stopped(tmp_path):
    with pytest.raises(RunFailed, match="stopped while the synthetic samples were made"):
        _load(tmp_path, None, rows=100, users=50, items=90, categories=9, stop=True)


@pytest.mark.parametrize("column", ["users", "items", "categories", "past item", "past category"])
@pytest.mark.parametrize("wrong", [-1, 5])
def test_ids_beyond_a_vocabulary_are_refused_before_the_run(column, wrong):
    two, ids = np.zeros(2, np.int32), np.array([0, wrong], np.int32)
    samples = Samples(Sequences(two, two), two, two, two, two.astype(np.int64), two + 1, two.astype(np.int8), two)
    if column.startswith("past"):
        past = Sequences(ids, two) if column == "past item" else Sequences(two, ids)
        samples = replace(samples, sequences=past)
    else:
        samples = replace(samples, **{column: ids})
    with pytest.raises(DataError, match=rf"{wrong} is not an id of its vocabulary, 0 to 4"):
        check_ids(samples, (5, 5, 5), "x")
