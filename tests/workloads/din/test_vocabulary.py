"""Vocabularies are read without running what a pickle may carry, and refused in one sentence otherwise."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
from pathlib import Path

import pytest

from harness.errors import DataError
from workloads.din.vocabulary import read_vocabulary

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "amazon"


class Evil:
    """Pickled, it asks the reader to call a function."""

    def __init__(self, flag):
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


def _write(folder, content):
    path = folder / "voc.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=2))
    return path


def test_a_pickle_of_python_2_is_read(tmp_path):
    # pickle.dumps({'default_mid': 0, 'B00A': 1}) of Python 2.7, protocol 0: byte strings
    path = _write(tmp_path, b"(dp0\nS'default_mid'\np1\nI0\nsS'B00A'\np2\nI1\ns.")
    assert read_vocabulary(path) == {"default_mid": 0, "B00A": 1}


def test_names_as_bytes_and_json_are_read(tmp_path):
    assert read_vocabulary(_write(tmp_path, pickle.dumps({b"a": 0, "b": 1}, protocol=4))) == {"a": 0, "b": 1}
    assert read_vocabulary(_write(tmp_path, json.dumps({"a": 0}).encode())) == {"a": 0}


def test_a_pickle_that_would_run_code_is_refused_and_not_executed(tmp_path):
    flag = tmp_path / "it-ran"
    path = _write(tmp_path, {"a": 0, "b": Evil(flag)})
    with pytest.raises(DataError, match=r"voc\.pkl is a pickle that asks for posix\.mkdir, and was not executed"):
        read_vocabulary(path)
    assert not flag.exists()


def test_even_harmless_classes_are_refused(tmp_path):
    path = _write(tmp_path, {"a": Path("x")})
    assert b"pathlib" in pickletools.optimize(path.read_bytes())
    with pytest.raises(DataError, match="was not executed"):
        read_vocabulary(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (["a"], "holds a list, expected a dictionary of names to ids"),
        (7, "holds an int, expected a dictionary"),
        ({3: 0}, "has the name 3, expected text"),
        ({"a": "0"}, "gives 'a' the id '0', expected a whole number from 0 up"),
        ({"a": True}, "gives 'a' the id True, expected a whole number"),
        ({"a": -1}, "gives 'a' the id -1, expected a whole number"),
        ({"a": 0.0}, "gives 'a' the id 0.0, expected a whole number"),
        ({"a": 0, "b": 2}, "gives 'b' the id 2, beyond its 2 entries"),
        ({}, "is an empty vocabulary"),
        (b"", "is neither JSON nor a readable pickle"),
        (b"\x80\x02}q\x00(X", "is neither JSON nor a readable pickle"),
    ],
)
def test_what_is_no_vocabulary_is_refused_in_one_sentence(tmp_path, content, sentence):
    with pytest.raises(DataError) as refused:
        read_vocabulary(_write(tmp_path, content))
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


def test_a_vocabulary_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_vocabulary(tmp_path / "none.pkl")


@pytest.mark.skipif(not (DATA / "raw").is_dir(), reason="the shared data are not here")
def test_the_true_categories_of_books_are_1601():
    found = read_vocabulary(DATA / "raw" / "dien_books_cat_voc.pkl")
    assert len(found) == 1_601
    assert sorted(found.values()) == list(range(1_601))
