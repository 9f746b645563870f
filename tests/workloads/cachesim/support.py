"""What tests of traces share: the lookups of a trace in words, the shared real files, and a check of refusals."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from harness.errors import BenchError
from workloads.cachesim.traces.trace import Trace

DATA = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the shared data; the test skips where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the shared data set {name} is not here")
    return path


def lookups(trace: Trace) -> list[tuple[int, int | str]]:
    """Table and key of each request, in order."""
    tables = trace.table_of_row()
    return [(int(tables[row]), trace.key(int(row))) for row in trace.ids]


def bags(trace: Trace) -> list[list[list[int | str]]]:
    """For each sample the keys that it looks up in each table."""
    assert trace.bag_offsets is not None and trace.samples is not None
    keys = [key for _, key in lookups(trace)]
    edges = trace.bag_offsets.tolist()
    cut = [keys[start:stop] for start, stop in itertools.pairwise(edges)]
    return [cut[sample * trace.tables : (sample + 1) * trace.tables] for sample in range(trace.samples)]


def check_numbering(trace: Trace) -> None:
    """Rows have no gap, no two the same key, and stand in order of first appearance inside their table."""
    assert trace.ids.dtype == np.int32
    for table in range(trace.tables):
        rows = trace.rows_in_table(table)
        own = trace.ids[(trace.ids >= rows.start) & (trace.ids < rows.stop)]
        seen = list(dict.fromkeys(own.tolist()))
        assert seen == list(range(rows.start, rows.stop))
        keys = [trace.key(row) for row in range(rows.start, rows.stop)]
        assert len(set(keys)) == len(keys)


def same_trace(first: Trace, second: Trace) -> None:
    """All that is known of two traces but their source is equal."""
    assert lookups(first) == lookups(second)
    assert np.array_equal(first.ids, second.ids)
    assert first.schema == second.schema
    for name in ("bag_offsets", "batch_starts"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one is None) == (other is None)
        assert one is None or one.tolist() == other.tolist()


def refused(error: pytest.ExceptionInfo[BenchError]) -> str:
    """The sentence of a refusal."""
    return error.value.message
