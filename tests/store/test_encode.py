"""Rows go into SQL and come back as they were, as far as JSON can say it."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store.encode import json_text, number, table_of
from harness.store.migrations import prepare
from harness.store.rows import CellRow, DriftRow, EventRow, ExperimentRow, RunRow
from tests.store import build

_WORDS = st.text(max_size=20).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text))
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("encode") / "results.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


@given(
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    body=st.dictionaries(_WORDS, _JSON, max_size=4),
    count=st.integers(-(2**63), 2**63 - 1),
    words=_WORDS,
)
def test_a_row_comes_back_as_it_was(database: sqlite3.Connection, value, body, count: int, words: str) -> None:
    row = DriftRow(
        machine=words, device="cpu", metric="m", value=value, n_experiments=count, measured_at="t", body=body
    )
    table = table_of(DriftRow)
    database.execute("DELETE FROM drift")
    database.execute(table.upsert, table.values(row))
    columns = ", ".join(f'"{column}"' for column in table.columns)
    assert table.row(database.execute(f"SELECT {columns} FROM drift").fetchone()) == row


def test_truth_tuples_and_nothing_come_back_with_their_types() -> None:
    for row in (
        build.experiment(argv=("bench", "run"), git_dirty=True, shared=False),
        build.experiment(git_dirty=None, exit_code=0),
        build.run(contended=False, wall_s=0.0),
        build.cell(settings={"cpus": None}),
        build.event("x", t_s=1.5, run_id=None),
    ):
        table = table_of(type(row))
        assert table.row(table.values(row)) == row


def test_equal_labels_are_equal_text() -> None:
    assert json_text({"b": "1", "a": "2"}) == json_text({"a": "2", "b": "1"}) == '{"a":"2","b":"1"}'


def test_what_json_cannot_say_is_said_plainly_or_refused() -> None:
    assert json_text({"path": Path("/data"), "set": {2, 1}, "nan": math.nan, "deep": [(math.inf,)], 3: True}) == (
        '{"3":true,"deep":[[null]],"nan":null,"path":"/data","set":[1,2]}'
    )
    with pytest.raises(TypeError):
        json_text({"thing": object()})
    assert number(math.nan) is None
    assert number(0) == 0.0


def test_columns_of_the_tables_are_the_fields_of_the_rows(database: sqlite3.Connection) -> None:
    for kind in (ExperimentRow, CellRow, RunRow, EventRow):
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({kind.table})")]
        assert sorted(columns) == sorted({*table_of(kind).columns, *(["id"] if kind is EventRow else [])})


def test_reading_imports_neither_sqlite_utils_nor_anything_heavy() -> None:
    program = (
        "import sys; import harness.store.queries, harness.store.writer, harness.store.transfer, harness.store.edits; "
        "print([name for name in ('sqlite_utils', 'pandas', 'numpy', 'torch', 'textual') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=build.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
