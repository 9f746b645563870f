"""Labels as files: what is written comes back, and what is no such file is refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.curves.support import trace_of
from workloads.cachesim.labels.files import read_labels, write_labels
from workloads.cachesim.labels.make import opt_labels, shard_labels
from workloads.cachesim.labels.text import read_numbers, write_label_text

LOOKUPS = [(0, 7), (1, 7), (0, 9), (0, 7), (1, 8), (1, 7), (0, 9), (0, 4)]


def test_npz_keeps_everything(tmp_path):
    trace = trace_of(LOOKUPS, tables=2)
    made = shard_labels(trace.ids, trace.unique, [(0, 5), (5, 8)], lambda own: 2, policy="belady-bypass")
    write_labels(made, tmp_path / "some.labels.npz")
    found = read_labels(tmp_path / "some.labels.npz")
    for name in ("keep", "hits", "misses", "shard_starts", "capacities", "unique"):
        one, other = getattr(found, name), getattr(made, name)
        assert one.dtype == other.dtype and one.tolist() == other.tolist(), name
    assert (found.policy, found.trace_fingerprint, found.source) == ("belady-bypass", None, "")


def test_text_has_a_number_a_line_for_each_request(tmp_path):
    trace = trace_of(LOOKUPS, tables=2)
    made = opt_labels(trace.ids, trace.unique, 2)
    label_path, miss_path = write_label_text(made, trace, tmp_path / "some")
    assert label_path.name == "some_cached_trace_opt.txt" and miss_path.name == "some_cache_miss_trace.txt"
    assert read_numbers(label_path).tolist() == made.keep.tolist()
    encoded = [row * 1000 + table for table, row in LOOKUPS]
    assert read_numbers(miss_path).tolist() == [
        0 if hit else number for number, hit in zip(encoded, made.hits.tolist(), strict=True)
    ]


def test_text_has_files_for_each_shard(tmp_path):
    trace = trace_of(LOOKUPS, tables=2)
    made = shard_labels(trace.ids, trace.unique, [(0, 5), (5, 8)], lambda own: 2)
    paths = write_label_text(made, trace, tmp_path / "some")
    assert [path.name[:7] for path in paths] == ["some_0_", "some_0_", "some_1_", "some_1_"]
    assert [read_numbers(path).size for path in paths] == [5, 5, 3, 3]


def test_what_the_text_layout_cannot_hold_is_refused(tmp_path):
    trace = trace_of([(0, -1), (0, 2)], tables=1)
    with pytest.raises(UsageError, match="strings or negative"):
        write_label_text(opt_labels(trace.ids, 2, 1), trace, tmp_path / "some")
    assert not list(tmp_path.iterdir())


def test_what_holds_no_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_labels(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", keep=np.zeros(3))
    with pytest.raises(DataError, match="holds no labels"):
        read_labels(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("1\n0\n")
    with pytest.raises(DataError, match="holds no labels"):
        read_labels(tmp_path / "text.npz")
    (tmp_path / "bad.txt").write_text("1\nx\n")
    with pytest.raises(DataError, match="line 2: 'x' is no number"):
        read_numbers(tmp_path / "bad.txt")


def test_arrays_that_do_not_fit_each_other_are_damage(tmp_path):
    path = tmp_path / "some.npz"
    write_labels(opt_labels(np.array([0, 1, 0], np.int32), 2, 1), path)
    with np.load(path) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    np.savez(path, **(arrays | {"hits": np.ones(3, np.uint8)}))
    with pytest.raises(DataError, match="damaged: its arrays do not fit"):
        read_labels(path)
    np.savez(path, **{name: array for name, array in arrays.items() if name != "keep"})
    with pytest.raises(DataError, match="holds no labels"):
        read_labels(path)
