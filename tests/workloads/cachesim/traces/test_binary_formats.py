from __future__ import annotations

import lzma
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.support import lookups, refused
from workloads.cachesim.traces.formats import detect_format, read_trace
from workloads.cachesim.traces.options import ReadOptions

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def written(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def keys(trace):
    return [key for _, key in lookups(trace)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.sampled_from([-1, 5, 2**63 - 1])), min_size=1))
def test_oracle_general_gives_its_objects_as_64_bit_ids(tmp_path_factory, objects):
    content = b"".join(struct.pack("<IQIq", time, key, 1, after) for time, (key, after) in enumerate(objects))
    path = written(tmp_path_factory.mktemp("t"), content, "trace.oracleGeneral")
    expected = [key - (1 << 64) if key >= 1 << 63 else key for key, _ in objects]
    assert keys(read_trace([path])) == expected


@settings(deadline=None)
@given(st.lists(INT64, min_size=1))
def test_big_endian_ids_come_back_through_xz(tmp_path_factory, ids):
    path = written(tmp_path_factory.mktemp("t"), lzma.compress(struct.pack(f">{len(ids)}q", *ids)), "a.trace.xz")
    assert detect_format(path) == "int64-be"
    assert keys(read_trace([path])) == ids


@pytest.mark.parametrize(
    ("record", "field", "values"),
    [("<q", 0, (7,)), ("<IQIq", 1, (1, 9, 4, -1)), (">3xHb", 1, (500, -3)), ("<2hQ", 2, (1, 2, 2**63 - 1))],
)
def test_any_field_of_any_record(tmp_path, record, field, values):
    path = written(tmp_path, struct.pack(record, *values) * 3, "trace.bin")
    trace = read_trace([path], ReadOptions(format="binary", record=record, field=field))
    assert keys(trace) == [values[field]] * 3


def test_unsigned_64_bit_fields_keep_their_bits(tmp_path):
    path = written(tmp_path, struct.pack("<2Q", 2**64 - 1, 3), "trace.bin")
    assert keys(read_trace([path], ReadOptions(format="binary", record="<Q"))) == [-1, 3]


@pytest.mark.parametrize(
    ("record", "field", "message"),
    [
        ("q", 0, "the record 'q' must begin with its byte order, < (little-endian) or > (big-endian)"),
        ("<q", 1, "the record '<q' has 1 fields, field 1 was asked for"),
        ("<d", 0, "field 0 of the record '<d' is no integer"),
        ("<k", 0, "the record '<k' has the unknown field 'k'"),
        ("<4x", 0, "the record '<4x' has no field"),
    ],
)
def test_wrong_records_are_usage_errors(tmp_path, record, field, message):
    path = written(tmp_path, bytes(16), "trace.bin")
    with pytest.raises(UsageError) as error:
        read_trace([path], ReadOptions(format="binary", record=record, field=field))
    assert refused(error) == message


def test_files_that_end_inside_a_record_are_refused(tmp_path):
    path = written(tmp_path, struct.pack("<IQIq", 0, 1, 1, -1) * 3 + b"\1\2", "a.oracleGeneral")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path} holds 74 bytes, no multiple of the 24 of an oracleGeneral record"
    path = written(tmp_path, bytes(9), "a.trace")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path} holds 9 bytes, no multiple of the 8 of a 64-bit id"


def test_a_mislabelled_oracle_general_is_refused(tmp_path):
    content = np.random.Generator(np.random.PCG64(3)).integers(-(1 << 62), -10, 300).astype("<i8").tobytes()
    path = written(tmp_path, content, "a.oracleGeneral")
    with pytest.raises(DataError, match="is no oracleGeneral file: record 1 says"):
        read_trace([path])


def test_a_bin_file_needs_its_format(tmp_path):
    path = written(tmp_path, bytes(16), "trace.bin")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path}: a .bin file may have any layout"
