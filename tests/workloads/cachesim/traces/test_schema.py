from __future__ import annotations

import pytest

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.support import refused
from workloads.cachesim.traces.schema import Schema, Table, read_schema, write_schema


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("dim", "dtype", "expected"),
    [(128, "fp32", 512), (128, "bf16", 256), (64, "int8", 68), (63, "int4", 36), (16, "int2", 8), (8, "fp64", 64)],
)
def test_row_bytes_count_elements_and_what_quantisation_adds(dim, dtype, expected):
    assert Table("t", dim=dim, dtype=dtype).row_bytes() == expected


def test_bytes_without_a_schema_are_a_usage_error():
    with pytest.raises(UsageError) as error:
        Schema.unnamed(2).row_bytes()
    assert refused(error) == "bytes were asked for, but the dimension and type of table 't0' is not known"
    assert error.value.hint is not None and "default" in error.value.hint


def test_a_default_fills_what_tables_leave_out(tmp_path):
    path = written(
        tmp_path, "s.toml", '[default]\ndim = 64\ndtype = "float16"\n[[table]]\nname = "b"\nrows = 9\ndim = 32\n'
    )
    schema = read_schema(path).apply(Schema((Table("a", rows=5), Table("b"))))
    assert schema.tables == (Table("a", 5, 64, "fp16"), Table("b", 9, 32, "fp16"))
    assert schema.table_rows == 14 and schema.widest_row_bytes() == 128


def test_csv_round_trip_keeps_what_is_unknown_unknown(tmp_path):
    schema = Schema((Table("a", 5, 16, "fp32"), Table("b"), Table("c, d", None, 8, "int8")))
    write_schema(schema, tmp_path / "s.csv")
    assert Schema(read_schema(tmp_path / "s.csv").tables) == schema
    assert Schema.from_json(schema.to_json()) == schema


def test_tables_with_other_names_apply_by_their_place(tmp_path):
    path = written(tmp_path, "s.csv", "name,rows\nuser,10\nitem,20\n")
    assert read_schema(path).apply(Schema.unnamed(2)).tables == (Table("user", 10), Table("item", 20))
    with pytest.raises(DataError) as error:
        read_schema(path).apply(Schema.unnamed(3))
    assert refused(error) == f"{path} describes 2 tables, the trace has 3 tables (t0, t1, t2)"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.toml", "tables = 3", ": unknown key 'tables'"),
        ("s.toml", "[[table]]\nrows = 3", ", table 1: a table needs a name"),
        ("s.toml", '[[table]]\nname = "a"\nrows = 0', ", table 1: rows is 0, expected a whole number above 0"),
        ("s.toml", '[[table]]\nname = "a"\nwidth = 0', ", table 1: unknown key 'width'"),
        ("s.toml", '[default]\ndtype = "fp23"', ", default: 'fp23' is no element type of a table"),
        ("s.toml", "", " describes no table, expected [default] or [[table]]"),
        ("s.csv", "a,b\n1,2\n", ": the first line must name the columns name,rows,dim,dtype, of which name is needed"),
        ("s.csv", "name,rows\na,x\n", ", line 2: rows is 'x', expected a whole number above 0"),
        ("s.csv", "name,rows\na,1\na,2\n", " describes the table 'a' twice"),
        ("s.csv", "name,rows\na\n", ", line 2: another number of fields than the 2 of the first line"),
        ("s.yaml", "a: b", " ends in '.yaml', expected .toml or .csv"),
    ],
)
def test_wrong_schemas_name_place_and_value(tmp_path, name, text, message):
    path = written(tmp_path, name, text)
    with pytest.raises(DataError) as error:
        read_schema(path)
    assert refused(error).removeprefix("the schema ") == f"{path}{message}"


def test_a_table_that_the_trace_lacks_gets_the_nearest_name(tmp_path):
    path = written(tmp_path, "s.csv", "name,dim\nitem,8\nusers,8\n")
    with pytest.raises(DataError) as error:
        read_schema(path).apply(Schema((Table("user"), Table("item"))))
    assert refused(error) == f"{path} describes the table 'users', which the trace does not have"
    assert error.value.hint == "did you mean 'user'?"


def test_a_schema_that_cannot_be_read_is_one_sentence(tmp_path):
    (tmp_path / "raw.csv").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.csv").mkdir()
    for name, sentence in (
        ("rw.csv", "does not exist"),
        ("raw.csv", "is no text in UTF-8"),
        ("folder.csv", "cannot be read: Is a directory"),
    ):
        with pytest.raises(DataError) as error:
            read_schema(tmp_path / name)
        assert refused(error) == f"the schema {tmp_path / name} {sentence}"
