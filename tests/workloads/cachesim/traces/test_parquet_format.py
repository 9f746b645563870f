from __future__ import annotations

import importlib
import sys

import pytest

from harness.errors import DataError, UnavailableError
from tests.workloads.cachesim.support import bags, refused
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions


def parquet(path, **columns):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    importlib.import_module("pyarrow.parquet").write_table(arrow.table(columns), path)
    return path


def test_lists_are_bags_and_rows_samples(tmp_path):
    path = parquet(tmp_path / "a.parquet", user=[1, 2, 3], items=[[5, 6], [], None], tags=[["a"], ["b", "a"], []])
    trace = read_trace([path], ReadOptions(batch_size=2))
    assert trace.schema.names == ("items", "tags") and trace.batches == 2
    assert bags(trace) == [[[5, 6], ["a"]], [[], ["b", "a"]], [[], []]]


def test_plain_columns_are_one_lookup_or_none(tmp_path):
    path = parquet(tmp_path / "a.parquet", user=[7, None, 7], name=["x", "y", None])
    assert bags(read_trace([path])) == [[[7], ["x"]], [[], ["y"]], [[7], []]]
    assert bags(read_trace([path], ReadOptions(columns=("name",)))) == [[["x"]], [["y"]], [[]]]


def test_row_groups_slices_and_dictionaries_do_not_show(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    words = arrow.array([f"w{number % 5}" for number in range(100)]).dictionary_encode()
    lists = arrow.array([list(range(number % 4)) for number in range(100)], arrow.large_list(arrow.uint64()))
    path = tmp_path / "a.parquet"
    importlib.import_module("pyarrow.parquet").write_table(
        arrow.table({"w": words, "l": lists}), path, row_group_size=7
    )
    trace = read_trace([path], ReadOptions(columns=("w", "l")))
    assert bags(trace) == [[[f"w{number % 5}"], list(range(number % 4))] for number in range(100)]


def test_wrong_columns_and_files_are_named(tmp_path):
    path = parquet(tmp_path / "a.parquet", price=[1.0], items=[[1]], holes=[[1, None]])
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(columns=("item",)))
    assert refused(error) == f"{path} has no column 'item'" and error.value.hint == "did you mean 'items'?"
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(columns=("price",)))
    assert refused(error) == f"{path}: column 'price' holds double, expected integers, strings or lists of them"
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(columns=("holes",)))
    assert refused(error) == f"{path}: a list in column 'holes' holds a null"
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"cut\.parquet cannot be read as Parquet"):
        read_trace([cut])


def test_without_pyarrow_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(UnavailableError) as error:
        read_trace([path])
    assert refused(error) == f"{path} is a Parquet file, and pyarrow is not installed"
    assert error.value.hint == "pip install 'recbench[traces]'"
