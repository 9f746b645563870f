from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, RunFailed, UsageError
from tests.workloads.cachesim.support import lookups, refused, same_trace
from tests.workloads.cachesim.traces.test_builder import batches
from tests.workloads.cachesim.traces.test_select import textual, trace_of
from workloads.cachesim.traces.binary_formats import ORACLE_RECORD
from workloads.cachesim.traces.builder import Requests, TraceBuilder
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.writers import next_access, write_npz, write_oracle_general, write_recmg

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def requests(ids, tables=0):
    builder = TraceBuilder()
    builder.add(Requests(np.array(ids, np.int64), tables if isinstance(tables, int) else np.array(tables)), "a file")
    return builder.finish("a file")


@given(batches())
@settings(deadline=None)
def test_npz_keeps_all_that_is_known(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("t") / "a.npz"
    trace = trace_of(found)
    write_npz(trace, path)
    same_trace(read_trace([path]), trace)


def test_npz_keeps_strings_and_takes_a_new_batch_size(tmp_path):
    trace = textual([b"x", b"", "é".encode()], [1, 2, 1])
    write_npz(trace, tmp_path / "a.npz")
    same_trace(read_trace([tmp_path / "a.npz"]), trace)
    assert read_trace([tmp_path / "a.npz"], ReadOptions(batch_size=1, limit=4)).batches == 2
    write_npz(trace, tmp_path / "b.npz")
    assert read_trace([tmp_path / "?.npz"]).requests == 12


@given(st.lists(INT64 | st.integers(0, 3), min_size=1))
@settings(deadline=None)
def test_oracle_general_keeps_ids_and_tells_the_next_access(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("t") / "a.oracleGeneral"
    write_oracle_general(requests(ids), path)
    assert [key for _, key in lookups(read_trace([path]))] == ids
    records = np.fromfile(path, ORACLE_RECORD)
    following = [next((later for later in range(i + 1, len(ids)) if ids[later] == ids[i]), -1) for i in range(len(ids))]
    assert records["next"].tolist() == following
    assert records["time"].tolist() == list(range(len(ids))) and set(records["size"].tolist()) == {1}


def test_oracle_general_tells_tables_apart_and_sizes_where_known(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\n1,1\n2,1\n")
    (tmp_path / "s.csv").write_text("name,dim,dtype\nuser,4,fp32\nitem,8,fp32\n")
    options = ReadOptions(columns=("user", "item"), schema=tmp_path / "s.csv", batch_size=1)
    write_oracle_general(read_trace([tmp_path / "a.csv"], options), tmp_path / "a.oracleGeneral")
    records = np.fromfile(tmp_path / "a.oracleGeneral", ORACLE_RECORD)
    assert records["id"].tolist() == [0, 2, 1, 2]
    assert records["size"].tolist() == [16, 32, 16, 32]
    assert records["time"].tolist() == [0, 0, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1 << 40)), min_size=1))
@settings(deadline=None)
def test_recmg_text_comes_back_table_and_row_together(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("t") / "a.txt"
    tables, rows = zip(*pairs, strict=True)
    trace = requests(rows, tables)
    write_recmg(trace, path)
    assert lookups(read_trace([path], ReadOptions(format="recmg"))) == pairs
    assert path.read_text().splitlines()[0] == f"{tables[0]}, {rows[0] * 1000 + tables[0]}"


def test_recmg_text_refuses_what_it_cannot_hold(tmp_path):
    cases = {
        "the ids are strings or negative, the text layout holds row numbers": requests([-1]),
        "the trace has 1000 tables, the text layout holds at most 999": requests([1], [999]),
        "an id times 1000 does not fit 64 bits": requests([1 << 62]),
    }
    for message, trace in cases.items():
        with pytest.raises(UsageError) as error:
            write_recmg(trace, tmp_path / "a.txt")
        assert refused(error) == message
    assert not list(tmp_path.iterdir())


def test_damaged_and_newer_traces_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(requests([1, 2, 1]), path)
    with np.load(path) as arrays:
        good = dict(arrays)
    about = good["recbench_trace"].tobytes()
    damaged = {
        "is version 9 of the format, this program reads up to 1": {
            "recbench_trace": np.frombuffer(about.replace(b'"version": 1', b'"version": 9'), np.uint8)
        },
        "is a damaged trace: ids lie outside its 2 rows": {"ids": np.array([0, 1, 7], np.int32)},
        "is a damaged trace: 2 keys for 5 rows": {"row_base": np.array([0, 5])},
    }
    for message, arrays in damaged.items():
        np.savez(path, **{**good, **arrays})
        with pytest.raises(DataError) as error:
            read_trace([path])
        assert refused(error) == f"{path} {message}"


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailed, match="cannot be written"):
        write_npz(requests([1]), tmp_path / "file" / "a.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_next_access_of_no_request_is_empty():
    assert next_access(np.empty(0, np.int32), 0).size == 0
