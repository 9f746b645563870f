from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from tests.workloads.cachesim.support import bags, refused
from tests.workloads.cachesim.traces.test_builder import batches
from workloads.cachesim.traces import array_formats
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions


def meta(batch, dtype=torch.int32):
    """Bags of a batch as Meta's files hold them: table after table."""
    tables = len(batch[0])
    lengths = torch.tensor([[len(sample[table]) for sample in batch] for table in range(tables)], dtype=torch.int32)
    flat = [key for table in range(tables) for sample in batch for key in sample[table]]
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.flatten().cumsum(0)))
    return torch.tensor(flat, dtype=dtype), offsets, lengths


SAMPLE_BATCH = [[[5, 6], []], [[7], [1, 1]], [[], [2]]]


@given(batches(), st.sampled_from([torch.int32, torch.int64]), st.booleans())
@settings(deadline=None, max_examples=40)
def test_bags_survive_the_way_through_a_file(tmp_path_factory, found, dtype, zipped):
    folder = tmp_path_factory.mktemp("t")
    paths = []
    expected = [[[abs(key) for key in bag] for bag in sample] for batch in found for sample in batch]
    for number, batch in enumerate(found):
        path = folder / f"fbgemm_{number}.pt"
        rows = [[[abs(key) for key in bag] for bag in sample] for sample in batch]
        torch.save(meta(rows, dtype), path)
        if zipped:
            packed = path.with_suffix(".pt.gz")
            packed.write_bytes(gzip.compress(path.read_bytes()))
            path = packed
        paths.append(path)
    trace = read_trace(paths, ReadOptions(scratch=folder))
    assert bags(trace) == expected


def test_each_file_is_a_batch_and_pieces_do_not_show(tmp_path, monkeypatch):
    for number in range(3):
        torch.save(meta(SAMPLE_BATCH), tmp_path / f"b_{number}.pt")
    whole = read_trace([tmp_path / "b_*.pt"])
    assert whole.batch_starts is not None and whole.batch_starts.tolist() == [0, 6, 12, 18]
    monkeypatch.setattr(array_formats, "BLOCK_REQUESTS", 1)
    piecewise = read_trace([tmp_path / "b_*.pt"])
    assert bags(piecewise) == bags(whole) and piecewise.batches == 3


def test_a_saved_jagged_tensor_and_a_list_of_them(tmp_path):
    one = {"keys": ["user", "item"], "values": torch.tensor([4, 7, 8]), "lengths": torch.tensor([1, 2])}
    torch.save(one, tmp_path / "one.pt")
    torch.save([one, one], tmp_path / "two.pt")
    assert bags(read_trace([tmp_path / "one.pt"])) == [[[4], [7, 8]]]
    two = read_trace([tmp_path / "two.pt"])
    assert bags(two) == [[[4], [7, 8]]] * 2 and two.batches == 2 and two.schema.names == ("user", "item")


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_that_is_not_the_expected_tensors_is_refused_and_never_executed(tmp_path):
    torch.save((Bomb(tmp_path / "ran"), 1, 2), tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps((Bomb(tmp_path / "ran"), 1, 2)))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(DataError) as error:
            read_trace([tmp_path / name])
        assert refused(error) == (
            f"{tmp_path / name} does not hold the expected tensors: it was refused, and nothing in it was executed"
        )
        assert "torch" not in f"{error.value.hint} {error.value.details}"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), " holds a tensor of shape [3], expected a tuple (indices, offsets, lengths), "
                         "or a dict of keys, values and lengths"),
        ((torch.zeros(3), torch.zeros(2), torch.zeros(1, 1)), " holds a tensor of torch.float32, expected integers"),
        ({"values": torch.zeros(1)}, " holds a dict of values, expected a tuple (indices, offsets, lengths), "
                                     "or a dict of keys, values and lengths"),
        ((torch.tensor([-3]), torch.tensor([0, 1]), torch.tensor([[1]])), ": table 0: the row number -3 is negative"),
    ],
)  # fmt: skip
def test_other_tensors_are_named(tmp_path, content, message):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path}{message}"


def test_truncated_files_are_refused(tmp_path):
    torch.save(meta(SAMPLE_BATCH), tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.pt.gz").write_bytes(gzip.compress(whole)[:-40])
    (tmp_path / "text.pt").write_text("1\n2\n")
    torch.save(meta(SAMPLE_BATCH), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "cut_old.pt").write_bytes((tmp_path / "old.pt").read_bytes()[:-30])
    for name in ("cut.pt", "cut_old.pt"):
        with pytest.raises(DataError) as error:
            read_trace([tmp_path / name])
        assert refused(error) == f"{tmp_path / name} cannot be read as a PyTorch file: it is cut short or damaged"
        assert error.value.hint is not None and "a tuple (indices, offsets, lengths)" in error.value.hint
    for name in ("cut.pt.gz", "text.pt"):
        with pytest.raises(DataError, match=f"{name} (cannot be unpacked|does not hold the expected tensors)"):
            read_trace([tmp_path / name])
    assert not list(tmp_path.glob("recbench-*"))


def test_the_older_form_of_torch_save_is_read_too(tmp_path):
    torch.save(meta(SAMPLE_BATCH), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert bags(read_trace([tmp_path / "a.pt"])) == SAMPLE_BATCH


def test_tables_are_kept_apart_and_ids_stay_with_theirs(tmp_path):
    """Where RecMG's sampler lost the table of each index."""
    random = np.random.Generator(np.random.PCG64(5))
    found = [[random.integers(0, 9, random.integers(0, 4)).tolist() for _ in range(5)] for _ in range(20)]
    torch.save(meta(found), tmp_path / "a.pt")
    assert bags(read_trace([tmp_path / "a.pt"])) == found
