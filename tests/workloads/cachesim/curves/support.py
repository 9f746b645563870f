"""What tests of curves share: small traces, and traces of several tables."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from workloads.cachesim.traces.schema import Schema, Table
from workloads.cachesim.traces.trace import Keys, Trace, batch_starts

ROWS = st.lists(st.integers(0, 12), min_size=1, max_size=120)
SEVERAL = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=1, max_size=120)


def dense(rows):
    known = {}
    return np.array([known.setdefault(row, len(known)) for row in rows], np.int32), len(known)


def trace_of(lookups, *, tables=3, rows=None, dim=4, batch=None):
    """A trace of (table, row) pairs, each table's rows numbered by first appearance."""
    known = [{} for _ in range(tables)]
    for table, row in lookups:
        known[table].setdefault(row, len(known[table]))
    base = np.concatenate(([0], np.cumsum([len(each) for each in known]))).astype(np.int64)
    ids = np.array([base[table] + known[table][row] for table, row in lookups], np.int32)
    keys = np.array([row for each in known for row in each], np.int64)
    schema = Schema(tuple(Table(f"t{number}", rows, dim, "fp32") for number in range(tables)))
    starts = None if batch is None else batch_starts(None, ids.size, batch)
    return Trace(ids, base, schema, Keys(keys, (False,) * tables), batch_starts=starts, source="a test")
