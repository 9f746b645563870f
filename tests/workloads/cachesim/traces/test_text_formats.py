from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.support import bags, check_numbering, lookups, refused
from workloads.cachesim.traces import files
from workloads.cachesim.traces.formats import detect_format, read_trace
from workloads.cachesim.traces.options import ReadOptions

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
WORD = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\t ,;|\"", exclude_categories=("Zs", "Cs", "Cc")),
               min_size=1, max_size=8)  # fmt: skip


def written(tmp_path, text, name="ids.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def keys(trace):
    return [key for _, key in lookups(trace)]


@settings(deadline=None)
@given(st.lists(INT64 | st.integers(-3, 3), min_size=1), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_signed_64_bit_number_comes_back(tmp_path_factory, ids, end, closed):
    text = end.join(str(each) for each in ids) + (end if closed else "")
    trace = read_trace([written(tmp_path_factory.mktemp("t"), text)], ReadOptions(format="lines"))
    assert keys(trace) == ids
    check_numbering(trace)


@settings(deadline=None)
@given(st.lists(WORD, min_size=1))
def test_strings_come_back(tmp_path_factory, words):
    path = written(tmp_path_factory.mktemp("t"), "\n".join(words) + "\n")
    trace = read_trace([path], ReadOptions(format="lines", id_type="text"))
    assert keys(trace) == words
    check_numbering(trace)


def test_pieces_of_a_file_join(tmp_path, monkeypatch):
    monkeypatch.setattr(files.ByteSource.read, "__defaults__", (7,))
    ids = [number * 31 % 97 for number in range(400)]
    assert keys(read_trace([written(tmp_path, "".join(f"{each}\n" for each in ids))])) == ids


def test_numbers_beyond_64_bits_and_hashes_are_strings(tmp_path):
    trace = read_trace([written(tmp_path, "18446744073709551615\n05db9164\n")])
    assert keys(trace) == ["18446744073709551615", "05db9164"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\nx7\n", ", line 3: the id 'x7' is not a number"),
        ("1\n\n2\n", ", line 2: the id is missing"),
        ("7\n9223372036854775808\n", ", line 2: the id '9223372036854775808' does not fit a signed 64-bit number"),
        ("7\n1.5\n", ", line 2: the id '1.5' is not a number"),
    ],
)
def test_lines_that_are_no_number_are_named(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(id_type="integer"))
    assert refused(error) == f"{path}{message}"
    assert error.value.hint == "if the ids are strings, say so: --id-type text"


def test_a_number_file_with_a_later_word_is_an_error_and_not_a_table_of_strings(tmp_path, monkeypatch):
    monkeypatch.setattr(files.ByteSource.read, "__defaults__", (64,))
    path = written(tmp_path, "1\n" * 100 + "oops\n")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path}, line 101: the id 'oops' is not a number"


def test_text_that_is_no_text_is_refused(tmp_path):
    path = written(tmp_path, b"12\n\x00\x01", "ids.log")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path} is no text: byte 3 is zero"
    path = written(tmp_path, b"PK\x03\x04rest", "ids.txt")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path} is a zip archive (or a PyTorch or npz file), expected text"
    path = written(tmp_path, b"\n\n\n", "blank.txt")
    with pytest.raises(DataError) as error:
        read_trace([path])
    assert refused(error) == f"{path} has no line with an id"


def test_csv_columns_are_tables_and_lines_samples(tmp_path):
    path = written(tmp_path, 'user,item,price\n7,"a, b",1.5\n7,c,2\n8,c,9\n', "log.csv")
    trace = read_trace([path], ReadOptions(columns=("user", "item"), batch_size=2))
    assert bags(trace) == [[[7], ["a, b"]], [[7], ["c"]], [[8], ["c"]]]
    assert trace.schema.names == ("user", "item") and trace.batches == 2
    assert bags(read_trace([path], ReadOptions(columns=("2", "1")))) == [
        [["a, b"], [7]], [["c"], [7]], [["c"], [8]],
    ]  # fmt: skip


def test_csv_with_a_table_column_keeps_the_order_of_lines(tmp_path):
    path = written(tmp_path, "table;id\nuser;5\nitem;5\nuser;6\n", "log.csv")
    trace = read_trace([path], ReadOptions(columns=("id",), table_column="table"))
    assert lookups(trace) == [(0, 5), (1, 5), (0, 6)]


def test_csv_without_a_header_or_with_one_column(tmp_path):
    assert keys(read_trace([written(tmp_path, "5\n6\n5\n", "a.csv")])) == [5, 6, 5]
    assert keys(read_trace([written(tmp_path, "obj_id\n5\n6\n", "b.csv")])) == [5, 6]
    assert keys(read_trace([written(tmp_path, "time,obj_id\n1,5\n2,6\n", "c.csv")])) == [5, 6]
    assert keys(read_trace([written(tmp_path, "1\t5\n2\t6\n", "d.tsv")], ReadOptions(columns=("2",)))) == [5, 6]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, " has the columns a, b; say which of them hold ids"),
        ("1,2\n", {}, " has 2 columns; say which of them hold ids"),
        ("a,b\n1,2\n", {"columns": ("bb",)}, " has no column 'bb'"),
        ("a,b\n1,2\n", {"columns": ("3",)}, " has 2 columns, column 3 was asked for"),
        ("a,b\n1,2\n1\n", {"columns": ("b",)}, ", line 3: 1 field, expected at least 2"),
        ("a,b\n1,\n", {"columns": ("a", "b")}, ", line 2: the id in column 2 is missing"),
        ("a,b\n1,2\n1,\n", {"columns": ("a", "b")}, ", line 3: the id in column 2 is missing"),
        ("id\n", {}, " has no line with an id"),
    ],
)
def test_csv_that_does_not_fit_is_named(tmp_path, text, options, message):
    path = written(tmp_path, text, "log.csv")
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(**options))
    assert refused(error) == f"{path}{message}"


def test_a_delimiter_is_one_character(tmp_path):
    with pytest.raises(UsageError) as error:
        read_trace([written(tmp_path, "a\n1\n", "a.csv")], ReadOptions(delimiter="::"))
    assert refused(error) == "the delimiter '::' must be one ASCII character"


def test_recmg_text_gives_tables_and_row_numbers(tmp_path):
    path = written(tmp_path, "0, 5000\n3, 7003\n0, 5000\n")
    assert detect_format(path) == "recmg"
    assert lookups(read_trace([path])) == [(0, 5), (3, 7), (0, 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3, 7004\n", ", line 1: 7004 is no row * 1000 + 3"),
        ("0, 1000\n3, -997\n", ", line 2: -997 is no row * 1000 + 3"),
        ("0, 1000\nx, 1\n", ", line 2: the table 'x' is not a number"),
        ("0, 1000\n0\n", ", line 2: 1 field, expected at least 2"),
    ],
)
def test_recmg_text_that_contradicts_itself_is_named(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_trace([path], ReadOptions(format="recmg"))
    assert refused(error) == f"{path}{message}"
