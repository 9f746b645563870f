from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.support import bags, check_numbering, lookups, refused, same_trace, shared
from workloads.cachesim.traces.formats import (
    FORMATS,
    detect_format,
    estimate_requests,
    memory_bytes,
    open_trace,
    read_trace,
)
from workloads.cachesim.traces.options import ReadOptions
from workloads.common.criteo import read_criteo

CRITEO_LINE = b"1\t" + b"\t".join([b"3"] * 13) + b"\t" + b"\t".join([b"05db9164"] * 25) + b"\t\n"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"5\n6\n", "lines"),
        ("a.txt.gz", gzip.compress(b"5\n6\n", mtime=0), "lines"),
        ("a", b"0, 5000\n1, 6001\n", "recmg"),
        ("a", b"0,5\n1,6\n", "csv"),
        ("day_0", CRITEO_LINE, "criteo"),
        ("a.csv.gz", gzip.compress(b"5\n", mtime=0), "csv"),
        ("x.oracleGeneral", b"", "oracleGeneral"),
        ("x.oracleGeneral.zst", b"", "oracleGeneral"),
        ("x.pt.gz", b"", "torch"),
        ("part-0.snappy.parquet", b"", "parquet"),
    ],
)
def test_formats_are_told_by_ending_or_first_bytes(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert detect_format(path) == expected


def test_files_of_two_formats_are_no_trace(tmp_path):
    (tmp_path / "a.txt").write_text("1\n")
    np.save(tmp_path / "b.npy", np.arange(3))
    with pytest.raises(DataError) as error:
        read_trace([tmp_path / "a.txt", tmp_path / "b.npy"])
    assert refused(error) == (
        f"{tmp_path / 'a.txt'} looks like lines and {tmp_path / 'b.npy'} like npy, a trace is read from one format"
    )


def test_unknown_formats_and_options_are_usage_errors(tmp_path):
    (tmp_path / "a.txt").write_text("1\n")
    with pytest.raises(UsageError) as error:
        read_trace([tmp_path / "a.txt"], ReadOptions(format="parket"))
    assert refused(error) == "unknown trace format 'parket'" and error.value.hint == "did you mean 'parquet'?"
    with pytest.raises(UsageError, match="batch_size must be at least 1, not 0"):
        read_trace([tmp_path / "a.txt"], ReadOptions(batch_size=0))


def test_several_files_are_one_trace_with_common_rows(tmp_path):
    (tmp_path / "a_2.txt").write_text("1\n2\n")
    (tmp_path / "a_10.txt").write_text("2\n3\n")
    trace = read_trace([tmp_path / "a_*.txt"], ReadOptions(batch_size=3))
    assert [key for _, key in lookups(trace)] == [1, 2, 2, 3]
    assert trace.ids.tolist() == [0, 1, 1, 2]
    assert trace.batch_starts is not None and trace.batch_starts.tolist() == [0, 3, 4]
    assert read_trace([tmp_path / "a_*.txt"], ReadOptions(limit=3)).requests == 3


def test_a_schema_file_describes_the_tables(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\n1,2\n")
    (tmp_path / "s.toml").write_text('[default]\ndim = 4\ndtype = "fp16"\n[[table]]\nname = "item"\nrows = 30\n')
    trace = read_trace([tmp_path / "a.csv"], ReadOptions(columns=("user", "item"), schema=tmp_path / "s.toml"))
    assert trace.row_bytes().tolist() == [8, 8]
    assert trace.schema.tables[1].rows == 30


def test_an_opened_trace_is_mapped_and_read_once(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("user,item\n1,x\n2,y\n1,x\n")
    options = ReadOptions(columns=("user", "item"), batch_size=2)
    direct = read_trace([tmp_path / "a.csv"], options)
    first = open_trace([tmp_path / "a.csv"], options, cache_root=tmp_path / "cache")
    same_trace(first, direct)
    assert isinstance(first.ids, np.memmap) and not first.ids.flags.writeable
    monkeypatch.setattr("workloads.cachesim.traces.formats.read_trace", None)
    same_trace(open_trace([tmp_path / "a.csv"], options, cache_root=tmp_path / "cache"), direct)
    monkeypatch.undo()
    other = open_trace([tmp_path / "a.csv"], ReadOptions(columns=("item",)), cache_root=tmp_path / "cache")
    assert other.tables == 1
    (tmp_path / "a.csv").write_text("user,item\n9,x\n")
    assert open_trace([tmp_path / "a.csv"], options, cache_root=tmp_path / "cache").requests == 2


def test_requests_are_estimated_from_sizes(tmp_path):
    (tmp_path / "a.txt").write_text("1234567\n" * 1000)
    assert estimate_requests([tmp_path / "a.txt"]) == 1000
    assert estimate_requests([tmp_path / "a.txt"], ReadOptions(limit=10)) == 10
    (tmp_path / "a.trace").write_bytes(bytes(800))
    assert estimate_requests([tmp_path / "a.trace"]) == 100
    assert memory_bytes(1000, 100, mapped=True) < memory_bytes(1000, 100) < memory_bytes(1000, 100, tables=2)


def test_every_format_has_a_summary_of_one_line():
    assert all(each.summary and len(each.summary) < 70 for each in FORMATS.values())


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("traces/dlrm_reuse_medium_500K.txt", "dlrm_reuse_medium_500K"),
        ("traces/scarab-recs.trace.xz", "scarab-recs"),
    ],
)
def test_real_traces_have_the_published_requests_and_rows(name, key):
    golden = json.loads(shared("traces/golden_hits.json").read_text())
    known = next(value for trace, value in golden.items() if trace.startswith(key.split(".")[0]))
    trace = read_trace([shared(name)])
    assert (trace.requests, trace.unique) == (known["n_req"], known["n_uniq"])


def test_criteo_columns_are_tables_and_missing_fields_a_row():
    path = shared("criteo/train.txt")
    rows = read_criteo(path)
    trace = read_trace([path], ReadOptions(limit=26 * 50))
    assert trace.tables == 26 and trace.samples == 50
    ids = np.where(rows.missing_ids, -1, rows.ids.astype(np.int64))[:50]
    assert bags(trace) == [[[each] for each in row] for row in ids.tolist()]
    check_numbering(trace)


def test_criteo_with_a_threshold_gives_the_rows_of_a_model():
    trace = read_trace([shared("criteo/train.txt")], ReadOptions(frequency_threshold=3))
    sizes = [table.rows for table in trace.schema.tables]
    assert None not in sizes
    assert all(unique <= (rows or 0) for unique, rows in zip(trace.table_unique(), sizes, strict=True))
