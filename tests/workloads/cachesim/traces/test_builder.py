from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError
from tests.workloads.cachesim.support import bags, check_numbering, lookups, refused, same_trace
from tests.workloads.cachesim.traces.test_factorize import texts_of
from workloads.cachesim.traces.builder import Column, Requests, Samples, TraceBuilder
from workloads.cachesim.traces.schema import Schema, SchemaFile, Table
from workloads.cachesim.traces.trace import SAMPLE_ORDER, SOURCE_ORDER

KEYS = st.integers(-5, 5)


@st.composite
def batches(draw):
    """Batches of samples, each a list of tables, each a list of keys; not all empty."""
    tables = draw(st.integers(1, 4))
    sample = st.lists(st.lists(KEYS, max_size=4), min_size=tables, max_size=tables)
    found = draw(st.lists(st.lists(sample, min_size=1, max_size=5), min_size=1, max_size=4))
    if not any(bag for batch in found for sample in batch for bag in sample):
        found[0][0][0].append(7)
    return found


def block(batch: list[list[list[int]]], *, ends_batch: bool = True) -> Samples:
    columns = []
    for table in range(len(batch[0])):
        values = np.array([key for sample in batch for key in sample[table]], np.int64)
        columns.append(Column(values, np.array([len(sample[table]) for sample in batch], np.int64)))
    return Samples(columns, len(batch), ends_batch=ends_batch)


@settings(deadline=None)
@given(batches())
def test_bags_come_in_sample_order_with_their_batches(found):
    builder = TraceBuilder()
    for batch in found:
        builder.add(block(batch), "a file")
    trace = builder.finish("a file")
    samples = [sample for batch in found for sample in batch]
    assert bags(trace) == samples
    assert lookups(trace) == [(table, key) for sample in samples for table, bag in enumerate(sample) for key in bag]
    assert trace.order == SAMPLE_ORDER
    check_numbering(trace)
    sizes = [sum(len(bag) for sample in batch for bag in sample) for batch in found]
    ends = np.cumsum([size for size in sizes if size]).tolist()
    assert trace.batch_starts is not None and trace.batch_starts.tolist() == [0, *ends]


@settings(deadline=None)
@given(batches(), st.integers(1, 30))
def test_a_limit_ends_with_the_last_sample_that_fits(found, limit):
    builder = TraceBuilder(limit=limit)
    for batch in found:
        builder.add(block(batch), "a file")
    samples = [sample for batch in found for sample in batch]
    sizes = np.cumsum([sum(len(bag) for bag in sample) for sample in samples])
    kept = max(1, int(np.searchsorted(sizes, limit, side="right")))
    if sizes[kept - 1] == 0:
        return
    trace = builder.finish("a file")
    found_samples = bags(trace)
    assert found_samples == samples[: len(found_samples)]
    assert trace.requests == sizes[kept - 1]


def test_a_folder_holds_the_same_trace(tmp_path):
    values = np.random.Generator(np.random.PCG64(2)).integers(0, 50, (40, 3))
    traces = []
    for folder in (None, tmp_path):
        builder = TraceBuilder(folder=folder)
        for start in range(0, 40, 7):
            part = values[start : start + 7]
            builder.add(Samples([Column(part[:, table]) for table in range(3)], len(part)), "a file")
        traces.append(builder.finish("a file", batch_size=8))
    same_trace(*traces)
    assert isinstance(traces[1].ids, np.memmap)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag_offsets.npy", "ids.npy"]
    assert traces[0].batches == 5


def test_requests_of_several_tables_keep_their_order():
    builder = TraceBuilder()
    builder.add(Requests(np.array([5, 5, 7, 5]), np.array([2, 0, 2, 2])), "a file")
    trace = builder.finish("a file")
    assert lookups(trace) == [(2, 5), (0, 5), (2, 7), (2, 5)]
    assert trace.table_unique().tolist() == [1, 0, 2]
    assert trace.order == SOURCE_ORDER and trace.samples is None
    check_numbering(trace)


def test_blocks_that_contradict_each_other_are_refused():
    builder = TraceBuilder()
    builder.add(Requests(np.array([1])), "a.txt")
    with pytest.raises(DataError) as error:
        builder.add(Samples([Column(np.array([1]))], 1), "b.txt")
    assert refused(error) == "b.txt tells samples, unlike what was read before it"
    with pytest.raises(DataError) as error:
        builder.add(Requests(texts_of([b"x"])), "b.txt")
    assert refused(error) == ("b.txt: the ids of table 0 are strings, in what was read before they were numbers")
    named = TraceBuilder()
    named.add(Samples([Column(np.array([1]))], 1, Schema((Table("user"),))), "a.parquet")
    with pytest.raises(DataError) as error:
        named.add(Samples([Column(np.array([1]))], 1, Schema((Table("item"),))), "b.parquet")
    assert refused(error) == "b.parquet has the tables item, the files before it user"
    with pytest.raises(DataError) as error:
        named.add(Samples([Column(np.array([1])), Column(np.array([1]))], 1), "b.parquet")
    assert refused(error) == "b.parquet has 2 tables, what was read before it 1"


def test_rows_beyond_the_schema_and_empty_traces_are_refused():
    builder = TraceBuilder()
    with pytest.raises(DataError) as error:
        builder.finish("nothing.txt")
    assert refused(error) == "nothing.txt holds no lookup"
    builder.add(Samples([Column(np.array([3, 10]))], 2, row_numbers=True), "a.pt")
    described = SchemaFile(Path("schema.csv"), (Table("t0", rows=10),), None)
    with pytest.raises(DataError) as error:
        builder.finish("a.pt", schema=described)
    assert refused(error) == "a.pt: table 't0' has 10 rows by its schema, but row 10 is looked up"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(KEYS, max_size=4)), min_size=1, max_size=8))
def test_requests_of_one_table_after_another_keep_their_tables(tmp_path_factory, found):
    """Tables are noted only from the first block on that is not of table 0."""
    if not any(keys for _, keys in found):
        found = [*found, (0, [1])]
    expected = [(table, key) for table, keys in found for key in keys]
    for folder in (None, tmp_path_factory.mktemp("parts")):
        builder = TraceBuilder(folder=folder)
        for table, keys in found:
            builder.add(Requests(np.array(keys, np.int64), table), "a file")
        assert lookups(builder.finish("a file")) == expected
