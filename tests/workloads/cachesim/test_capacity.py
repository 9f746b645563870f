"""Sizes as people write them, and as rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from workloads.cachesim.capacity import Tables, parse_capacity, table_rows, unified_rows


def tables(unique, rows=None, row_bytes=None):
    none = [None] * len(unique)
    names = [f"t{number}" for number in range(len(unique))]
    return Tables(names=names, unique=unique, rows=rows or none, row_bytes=row_bytes or none)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("10000", "rows", 10_000),
        ("10_000", "rows", 10_000),
        ("10k", "rows", 10_000),
        ("1.5M", "rows", 1_500_000),
        ("40GB", "bytes", 40 * 10**9),
        ("2 GiB", "bytes", 2**31),
        ("0.1", "unique", "1/10"),
        ("1.0", "unique", 1),
        (".5", "unique", "1/2"),
        ("10%", "unique", "1/10"),
        ("0.5%", "unique", "1/200"),
        ("tables:0.2", "tables", "1/5"),
        ("tables: 20%", "tables", "1/5"),
    ],
)
def test_a_size_is_read_as_it_is_written(text, kind, value):
    from fractions import Fraction

    found = parse_capacity(text)
    assert (found.kind, found.value) == (kind, Fraction(value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", "is nothing"),
        ("0%", "is nothing"),
        ("0GB", "is nothing"),
        ("120%", "is more than all rows"),
        ("1.5", "is more than all rows"),
        ("ten", "is no cache size"),
        ("-5", "is no cache size"),
        ("", "is no cache size"),
        ("10 apples", "has the unknown unit 'apples'"),
        ("0.0001k", "is no whole number of rows"),
        ("tables:500", "is no share"),
    ],
)
def test_what_is_no_size_is_refused_with_examples(text, sentence):
    with pytest.raises(UsageError, match=sentence) as error:
        parse_capacity(text)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "rows"), [("7", 7), ("10%", 30), ("0.001", 0), ("tables:0.2", 1000), ("1000B", 7), ("139B", 0)]
)
def test_a_unified_cache_charges_the_widest_row(text, rows):
    about = tables([100, 200], rows=[1000, 4000], row_bytes=[64, 140])
    if rows:
        assert unified_rows(parse_capacity(text), about) == rows
    else:
        with pytest.raises(UsageError):
            unified_rows(parse_capacity(text), about)


@pytest.mark.parametrize("text", ["1GB", "tables:10%"])
def test_what_the_schema_does_not_tell_is_asked_for(text):
    for find in (unified_rows, table_rows):
        with pytest.raises(UsageError, match="of table 't0' must be known") as error:
            find(parse_capacity(text), tables([5]))
        assert "--schema" in (error.value.hint or "")


def test_a_share_is_taken_of_every_table_and_is_at_least_a_row():
    about = tables([100, 3, 0], rows=[1000, 50, 7])
    assert table_rows(parse_capacity("10%"), about) == (10, 1, 0)
    assert table_rows(parse_capacity("tables:10%"), about) == (100, 5, 0)


def test_fewer_rows_than_tables_are_refused():
    with pytest.raises(UsageError, match="below one row for each of the 2 tables") as error:
        table_rows(parse_capacity("1"), tables([5, 0, 5]))
    assert "2 rows" in (error.value.hint or "")


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 300)), min_size=1, max_size=8).filter(
        lambda each: any(unique for unique, _ in each)
    ),
    st.integers(1, 100_000),
    st.booleans(),
)
def test_a_split_spends_all_it_can_and_no_more(facts, budget, in_bytes):
    unique = [each for each, _ in facts]
    costs = [cost if in_bytes else 1 for _, cost in facts]
    about = tables(unique, row_bytes=[cost for _, cost in facts])
    capacity = parse_capacity(f"{budget}B" if in_bytes else str(budget))
    used = [number for number, count in enumerate(unique) if count]
    if budget < sum(costs[number] for number in used):
        with pytest.raises(UsageError):
            table_rows(capacity, about)
        return
    found = table_rows(capacity, about)
    spent = sum(cost * rows for cost, rows in zip(costs, found, strict=True))
    assert spent <= budget
    assert all((rows > 0) == (count > 0) for rows, count in zip(found, unique, strict=True))
    if not in_bytes:
        assert spent == budget


def test_a_split_is_in_proportion():
    assert table_rows(parse_capacity("100"), tables([300, 100, 600])) == (30, 10, 60)
    assert table_rows(parse_capacity("10"), tables([10_000, 1, 1])) == (8, 1, 1)
    about = tables([100, 100], row_bytes=[64, 192])
    assert table_rows(parse_capacity("25600B"), about) == (100, 100)
    assert table_rows(parse_capacity("2560B"), about) == (10, 10)
