from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from tests.workloads.cachesim.support import bags, lookups, refused, shared
from workloads.cachesim.traces.array_formats import table_major
from workloads.cachesim.traces.builder import TraceBuilder
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions


def saved(tmp_path: Path, name: str, *array: np.ndarray, **arrays: np.ndarray) -> Path:
    path = tmp_path / name
    if array:
        np.save(path, array[0])
    else:
        np.savez(path, **arrays)
    return path


def keys(trace):
    return [key for _, key in lookups(trace)]


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, ">i8"])
def test_a_vector_of_any_integer_type_is_a_trace(tmp_path, dtype):
    assert keys(read_trace([saved(tmp_path, "a.npy", np.array([3, 1, 3], dtype))])) == [3, 1, 3]


def test_unsigned_64_bit_ids_keep_their_bits_and_negative_ids_are_ids(tmp_path):
    assert keys(read_trace([saved(tmp_path, "a.npy", np.array([2**64 - 1, 3], np.uint64))])) == [-1, 3]
    assert keys(read_trace([saved(tmp_path, "b.npy", np.array([-5, 3, -5]))])) == [-5, 3, -5]


@pytest.mark.parametrize("dtype", ["S", "U"])
def test_vectors_of_strings_are_read(tmp_path, dtype):
    words = ["user", "a", "", "user"] if dtype == "S" else ["usér", "a", "", "usér"]
    assert keys(read_trace([saved(tmp_path, "a.npy", np.array(words, dtype))])) == words


def test_a_matrix_has_a_table_in_each_column(tmp_path):
    trace = read_trace([saved(tmp_path, "a.npy", np.array([[1, 1], [2, 1], [1, 3]]))])
    assert bags(trace) == [[[1], [1]], [[2], [1]], [[1], [3]]]


def test_meta_arrays_in_an_npz_come_in_sample_order(tmp_path):
    path = saved(
        tmp_path, "a.npz", indices=np.array([5, 6, 7, 8, 9]), offsets=np.array([0, 2, 2, 4, 5]),
        lengths=np.array([[2, 0], [2, 1]]),
    )  # fmt: skip
    trace = read_trace([path])
    assert bags(trace) == [[[5, 6], [7, 8]], [[], [9]]]
    assert trace.batches == 1
    assert read_trace([path], ReadOptions(batch_size=1)).batches == 2


def test_a_jagged_tensor_in_an_npz_has_named_tables(tmp_path):
    for arrays in ({"lengths": np.array([1, 0, 2, 1])}, {"offsets": np.array([0, 1, 1, 3, 4])}):
        path = saved(tmp_path, "a.npz", keys=np.array(["user", "item"]), values=np.array([4, 7, 8, 9]), **arrays)
        trace = read_trace([path])
        assert trace.schema.names == ("user", "item")
        assert bags(trace) == [[[4], [7, 8]], [[], [9]]]


def test_prepared_dlrm_data_brings_its_table_sizes(tmp_path):
    path = saved(tmp_path, "a.npz", X_cat=np.array([[0, 1], [2, 1]], np.int32), counts=np.array([3, 2]))
    trace = read_trace([path])
    assert [table.rows for table in trace.schema.tables] == [3, 2]
    assert bags(trace) == [[[0], [1]], [[2], [1]]]
    bad = saved(tmp_path, "b.npz", X_cat=np.array([[0, 3]], np.int32), counts=np.array([3, 2]))
    with pytest.raises(DataError) as error:
        read_trace([bad])
    assert refused(error) == f"{bad}: table 'C2' has 2 rows by its schema, but row 3 is looked up"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3)}, " holds the arrays x, none of which is known"),
        ({"ids": np.zeros(3)}, ", ids holds float64, expected integers or strings"),
        ({"ids": np.zeros((2, 2, 2), int)}, ", ids has the shape [2, 2, 2], expected [n] or [n, tables]"),
        ({"X_cat": np.array([[1, -1]])}, ", X_cat: table C2: the row number -1 is negative"),
        (
            {"indices": np.array([1, 2]), "offsets": np.array([0, 1]), "lengths": np.array([[2]])},
            ": offsets go from 0 to 1, expected 0 to the 2 indices",
        ),
        (
            {"indices": np.array([1, 2]), "offsets": np.array([0, 2]), "lengths": np.array([[1]])},
            ": table 0, sample 0 has 1 lookups by lengths and 2 by offsets",
        ),
        (
            {"indices": np.array([1, 2]), "offsets": np.array([0, 1, 2]), "lengths": np.array([2])},
            ": lengths has the shape [1], expected [tables, samples]",
        ),
        (
            {"indices": np.array([1, 2]), "offsets": np.array([0, 2]), "lengths": np.array([[1], [1]])},
            ": offsets has the shape [2], expected [3] for 2 tables of 1 samples",
        ),
        (
            {"indices": np.array([1, -2]), "offsets": np.array([0, 2]), "lengths": np.array([[2]])},
            ": table 0: the row number -2 is negative",
        ),
        (
            {"indices": np.array([1.0]), "offsets": np.array([0, 1]), "lengths": np.array([[1]])},
            ": indices holds float64, expected integers",
        ),
        (
            {"keys": np.array(["a", "b"]), "values": np.array([1]), "lengths": np.array([1])},
            ": 1 lengths are no multiple of the 2 keys",
        ),
        (
            {"keys": np.array(["a", "a"]), "values": np.array([1]), "lengths": np.array([1, 0])},
            ": keys ['a', 'a'] must be distinct names, one for each table",
        ),
        (
            {"keys": np.array(["a"]), "values": np.array([1]), "lengths": np.array([2, -1])},
            ": a bag has -1 lookups",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, arrays, message):
    path = saved(tmp_path, "a.npz", **arrays)
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path}{message}"


def test_pickles_in_numpy_files_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    np.save(tmp_path / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", allow_pickle=True, ids=np.array([Bomb()], object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match="holds pickled objects or is no NumPy file, and was not opened"):
            read_trace([tmp_path / name])
    assert not (tmp_path / "ran").exists()


def test_truncated_and_mislabelled_numpy_files_are_refused(tmp_path):
    whole = saved(tmp_path, "a.npy", np.arange(1000)).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:500])
    (tmp_path / "cut.npz").write_bytes(saved(tmp_path, "a.npz", ids=np.arange(1000)).read_bytes()[:2000])
    (tmp_path / "text.npy").write_text("1\n2\n")
    (tmp_path / "zip.npy").write_bytes((tmp_path / "a.npz").read_bytes())
    for name in ("cut.npy", "cut.npz", "text.npy", "zip.npy"):
        with pytest.raises(DataError, match=name):
            read_trace([tmp_path / name])


def test_the_head_of_a_real_file_has_true_empty_and_capped_bags():
    text = shared("traces/fbgemm_t856_0_table0_first1001.txt").read_text()
    numbers = [[int(word) for word in part.strip(" []\n").split()] for part in
               text.replace("indices:", "").split("offsets:")]  # fmt: skip
    indices, offsets = np.array(numbers[0], np.int32), np.array(numbers[1])
    inside = offsets[offsets <= indices.size]
    assert indices.size in (1000, 1001) and offsets.size in (1000, 1001)
    lengths = np.diff(inside)
    builder = TraceBuilder()
    for block in table_major(
        indices[: inside[-1]], inside, lengths[None, :], "the head of fbgemm_t856_0", ReadOptions()
    ):
        builder.add(block, "the head")
    trace = builder.finish("the head")
    assert [len(sample[0]) for sample in bags(trace)] == lengths.tolist()
    assert keys(trace) == indices[: inside[-1]].tolist()
    every = np.diff(offsets)
    assert every.max() == 41 and 0.14 < (every == 0).mean() < 0.16 and 26 < every.mean() < 27


def test_one_array_without_a_name_is_the_ids_and_none_is_empty(tmp_path):
    np.savez(tmp_path / "a.npz", np.array([5, 3, 5]))
    assert read_trace([tmp_path / "a.npz"]).source_ids().tolist() == [5, 3, 5]
    np.save(tmp_path / "b.npy", np.array([], np.int64))
    with pytest.raises(DataError, match=r"b\.npy is empty$"):
        read_trace([tmp_path / "b.npy"])
