from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from workloads.common.criteo import MISSING, iterate_criteo, read_criteo

REAL_FILES = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "criteo"


def rows_by_hand(text: str) -> tuple[list[list[int]], list[list[int]], list[list[bool]], list[int]]:
    """The obvious parser: one line after another, Python's own conversions."""
    dense, ids, missing, labels = [], [], [], []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 40:
            labels.append(int(fields.pop(0)))
        dense.append([int(value) if value else -(2**31) for value in fields[:13]])
        ids.append([int(value, 16) if value else 0 for value in fields[13:]])
        missing.append([value == "" for value in fields[13:]])
    return dense, ids, missing, labels


def assert_same(rows, text: str) -> None:
    dense, ids, missing, labels = rows_by_hand(text)
    assert rows.dense.dtype == np.int32
    assert rows.ids.dtype == np.uint32
    assert rows.dense.tolist() == dense
    assert rows.ids.tolist() == ids
    assert rows.missing_ids.tolist() == missing
    assert (rows.labels.tolist() if rows.labels is not None else []) == labels


def line(*, label: str | None = "0", integers: str = "1", ids: str = "68fd1e64", **fields: str) -> str:
    values = {f"I{n}": integers for n in range(1, 14)} | {f"C{n}": ids for n in range(1, 27)} | fields
    return "\t".join([*([label] if label is not None else []), *values.values()])


def write(folder: Path, text: str | bytes, name: str = "train.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path, **options) -> DataError:
    with pytest.raises(DataError) as caught:
        read_criteo(path, **options)
    return caught.value


integers = st.one_of(
    st.just(""),
    st.integers(-3, 70_000).map(str),
    st.integers(-(2**31) + 1, 2**31 - 1).map(str),
    st.sampled_from(["-0", "007", "00000000000000000012", "-2147483647", "99999999", "100000000"]),
)
hashes = st.one_of(
    st.just(""),
    st.integers(0, 2**32 - 1).map(lambda value: f"{value:08x}"),
    st.integers(0, 2**32 - 1).map(lambda value: f"{value:X}"),
    st.sampled_from(["0", "00000000", "ffffffff", "a"]),
)
rows = st.builds(
    lambda label, dense, ids: [label, *dense, *ids],
    st.sampled_from("01"),
    st.lists(integers, min_size=13, max_size=13),
    st.lists(hashes, min_size=26, max_size=26),
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("criteo")


@given(
    table=st.lists(rows, min_size=1, max_size=12),
    labelled=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    chunk=st.sampled_from([1, 50, 700, 1 << 18]),
)
@settings(max_examples=60, deadline=None)
def test_any_valid_file_parses_as_by_hand(scratch, table, labelled, line_end, last, chunk):
    lines = ["\t".join(row if labelled else row[1:]) for row in table]
    path = write(scratch, line_end.join(lines) + (line_end if last else ""))
    blocks = list(iterate_criteo(path, chunk_bytes=chunk))
    assert_same(read_criteo(path), "\n".join(lines))
    assert np.concatenate([block.dense for block in blocks]).tolist() == rows_by_hand("\n".join(lines))[0]


@pytest.mark.parametrize("name", ["train.txt", "dev.txt", "duplicated.txt"])
def test_real_rows_parse_as_by_hand(name):
    path = REAL_FILES / name
    if not path.exists():
        pytest.skip(f"no real Criteo rows at {path}: their terms do not allow shipping them")
    assert_same(read_criteo(path), path.read_text())


def test_a_real_file_in_small_chunks_and_as_gzip_is_the_same(tmp_path):
    path = REAL_FILES / "dev.txt"
    if not path.exists():
        pytest.skip(f"no real Criteo rows at {path}: their terms do not allow shipping them")
    packed = write(tmp_path, gzip.compress(path.read_bytes()), "dev.txt.gz")
    assert_same(read_criteo(packed), path.read_text())
    small = [block.ids for block in iterate_criteo(path, chunk_bytes=999)]
    assert len(small) > 50
    assert np.array_equal(np.concatenate(small), read_criteo(path).ids)


def test_a_missing_id_is_not_the_hash_zero(tmp_path):
    parsed = read_criteo(write(tmp_path, line(C1="", C2="0", C3="00000000", I1="", I2="-1")))
    assert parsed.ids[0, :3].tolist() == [0, 0, 0]
    assert parsed.missing_ids[0, :3].tolist() == [True, False, False]
    assert parsed.dense[0, :3].tolist() == [MISSING, -1, 1]


def test_an_unlabelled_file_has_no_labels(tmp_path):
    parsed = read_criteo(write(tmp_path, line(label=None) + "\n"))
    assert parsed.labels is None
    assert parsed.dense.tolist() == [[1] * 13]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"I3": "x"}, "line 2, column I3 (field 4 of 40): 'x', expected an integer, or nothing"),
        ({"I3": "1.5"}, "line 2, column I3 (field 4 of 40): '1.5', expected an integer"),
        ({"I3": "-"}, "line 2, column I3 (field 4 of 40): '-', expected an integer"),
        ({"I3": "+5"}, "line 2, column I3 (field 4 of 40): '+5', expected an integer"),
        ({"I3": "5-"}, "line 2, column I3 (field 4 of 40): '5-', expected an integer"),
        ({"I3": "--5"}, "line 2, column I3 (field 4 of 40): '--5', expected an integer"),
        ({"I3": "12a"}, "line 2, column I3 (field 4 of 40): '12a', expected an integer"),
        ({"I3": " 12"}, "line 2, column I3 (field 4 of 40): ' 12', expected an integer"),
        (
            {"I13": "2147483648"},
            "line 2, column I13 (field 14 of 40): '2147483648', integers must lie within ±2147483647",
        ),
        ({"I13": "-2147483648"}, "column I13 (field 14 of 40): '-2147483648', integers must lie within"),
        ({"I13": "9" * 60}, "column I13 (field 14 of 40): '" + "9" * 40 + "' and 20 more bytes, integers must lie"),
        ({"C7": "68fd1e6g"}, "line 2, column C7 (field 21 of 40): '68fd1e6g', expected up to 8 hexadecimal digits"),
        ({"C7": "168fd1e64"}, "line 2, column C7 (field 21 of 40): '168fd1e64', expected up to 8 hexadecimal"),
        ({"C26": "-1"}, "line 2, column C26 (field 40 of 40): '-1', expected up to 8 hexadecimal"),
        ({"C26": "1\0"}, "line 2, column C26 (field 40 of 40): '1\\x00', expected up to 8 hexadecimal"),
        ({"C25": "1\r"}, "line 2, column C25 (field 39 of 40): '1\\r', expected up to 8 hexadecimal"),
        ({"C5": "é"}, "line 2, column C5 (field 19 of 40): '\\xc3\\xa9', expected up to 8 hexadecimal"),
        ({"label": "2"}, "line 2, column label (field 1 of 40): '2', expected the label 0 or 1"),
        ({"label": ""}, "line 2, column label (field 1 of 40): '', expected the label 0 or 1"),
        ({"label": "01"}, "line 2, column label (field 1 of 40): '01', expected the label 0 or 1"),
        ({"C26": "1\t2"}, "line 2: 41 fields separated by tabs, expected 40"),
    ],
)
def test_a_malformed_line_is_named_with_its_column_and_value(tmp_path, wrong, sentence):
    path = write(tmp_path, f"{line()}\n{line(**wrong)}\n{line(I1='y')}\n")
    error = refusal(path)
    assert error.message.startswith(str(path))
    assert sentence in error.message
    kept = read_criteo(path, on_bad_row="skip")
    assert (len(kept), kept.bad_rows) == (1, 2)
    assert kept.first_bad == error.message


def test_an_unlabelled_file_counts_its_own_fields(tmp_path):
    error = refusal(write(tmp_path, f"{line(label=None)}\n{line(label=None, I1='x')}\n"))
    assert "line 2, column I1 (field 1 of 39): 'x'" in error.message


def test_the_first_malformed_line_is_named_whatever_is_wrong_with_it(tmp_path):
    path = write(tmp_path, f"{line()}\n{line(I1='x')}\n{line()}\t\n")
    assert "line 2, column I1" in refusal(path).message
    path = write(tmp_path, f"{line()}\n\n{line(I1='x')}\n")
    assert "line 2: the line is empty, expected 40 fields" in refusal(path).message


@pytest.mark.parametrize("chunk", [1, 300, 100_000])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("others", [2, 150])
def test_most_lines_say_whether_a_file_has_labels(tmp_path, chunk, labelled, others):
    sound, damaged = line(label="1" if labelled else None), line(label=None if labelled else "1")
    path = write(tmp_path, "\n".join([damaged, *[sound] * others]) + "\n")
    found, expected = (39, 40) if labelled else (40, 39)
    with pytest.raises(DataError) as caught:
        list(iterate_criteo(path, chunk_bytes=chunk))
    assert caught.value.message == f"{path}, line 1: {found} fields separated by tabs, expected {expected}"
    blocks = list(iterate_criteo(path, on_bad_row="skip", chunk_bytes=chunk))
    assert (sum(len(block) for block in blocks), sum(block.bad_rows for block in blocks)) == (others, 1)
    assert all((block.labels is not None) == labelled for block in blocks)


def test_lines_that_disagree_evenly_are_decided_by_the_first(tmp_path):
    labelled, bare = line(label="1"), line(label=None)
    assert (
        "line 2: 39 fields separated by tabs, expected 40" in refusal(write(tmp_path, f"{labelled}\n{bare}\n")).message
    )
    assert (
        "line 2: 40 fields separated by tabs, expected 39" in refusal(write(tmp_path, f"{bare}\n{labelled}\n")).message
    )


@pytest.mark.parametrize("chunk", [1, 300, 100_000])
def test_line_numbers_count_the_whole_file(tmp_path, chunk):
    lines = [line(I1=str(number)) for number in range(400)]
    lines[37] = "junk"
    lines[311] = line(C9="zz")
    path = write(tmp_path, "\n".join(lines))
    with pytest.raises(DataError, match="line 38: 1 field separated by tabs"):
        list(iterate_criteo(path, chunk_bytes=chunk))
    blocks = list(iterate_criteo(path, on_bad_row="skip", chunk_bytes=chunk))
    assert sum(block.bad_rows for block in blocks) == 2
    values = np.concatenate([block.dense[:, 0] for block in blocks])
    assert values.tolist() == [number for number in range(400) if number not in (37, 311)]
    second = [block.first_bad for block in blocks if block.first_bad is not None][-1]
    assert "line 38" in second or "line 312, column C9" in second


def test_a_truncated_last_line_is_named(tmp_path):
    path = write(tmp_path, f"{line()}\n{line()[:40]}")
    error = refusal(path)
    assert "line 2: the file ends in the middle of the line, after" in error.message
    assert "cut short" in (error.hint or "")
    assert read_criteo(path, on_bad_row="skip").bad_rows == 1


@pytest.mark.parametrize(
    ("content", "sentence", "hint"),
    [
        (b"", "is empty", "download"),
        (line().replace("\t", ",").encode(), "line 1: 1 field separated by tabs, expected 40", "commas"),
        (line().replace("\t", "  ").encode(), "line 1: 1 field separated by tabs, expected 40", "blanks"),
        (b"label\t" + line().split("\t", 1)[1].encode(), "column label (field 1 of 40): 'label'", "no header"),
        (b"one\ntwo\n", "line 1: 1 field separated by tabs, expected 40", None),
        (b"PK\x03\x04rest", "is a zip archive", "unpack"),
        (b"PAR1" + b"\0" * 50, "is a Parquet file", "convert"),
        (b"\x00\x01\x02" * 50_000, "is not Criteo text: ", "separated by tabs"),
        (b"a" * 200_000, "is not Criteo text: line 1 has no end", "separated by tabs"),
        (gzip.compress(b"", mtime=0), "is empty inside its gzip wrapping", None),
        (
            gzip.compress((line() + "\n").encode() * 2000, mtime=0)[:-9],
            "cannot be unpacked beyond line",
            "cut short or damaged",
        ),
        (b"\x1f\x8bnonsense", "cannot be unpacked beyond line 1", "damaged"),
    ],
)
def test_what_is_no_criteo_text_gets_one_sentence(tmp_path, content, sentence, hint):
    error = refusal(write(tmp_path, content))
    assert sentence in error.message
    assert "\n" not in error.message
    assert (hint or "") in (error.hint or "")


def test_a_missing_file_names_the_nearest_one(tmp_path):
    write(tmp_path, line(), "train.txt")
    error = refusal(tmp_path / "trian.txt")
    assert "does not exist" in error.message
    assert error.hint == "did you mean 'train.txt'?"
    assert "does not exist" in refusal(tmp_path / "no" / "where.txt").message


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in refusal(tmp_path).message


def test_an_unreadable_file_is_told(tmp_path):
    path = write(tmp_path, line())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read any file")
    assert "cannot be read" in refusal(path).message


def test_a_file_without_a_valid_row_is_refused_even_when_bad_rows_are_skipped(tmp_path):
    error = refusal(write(tmp_path, "one\ntwo\n"), on_bad_row="skip")
    assert "has no valid row" in error.message
    assert "line 1" in (error.hint or "")


@pytest.mark.parametrize("packed", [False, True])
def test_progress_ends_at_the_size_of_the_file(tmp_path, packed):
    text = (line() + "\n").encode() * 5_000
    path = write(tmp_path, gzip.compress(text) if packed else text)
    seen: list[tuple[int, int]] = []
    for _ in iterate_criteo(path, progress=lambda done, total: seen.append((done, total)), chunk_bytes=100_000):
        pass
    assert {total for _, total in seen} == {path.stat().st_size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == path.stat().st_size
    assert len(seen) > 10
