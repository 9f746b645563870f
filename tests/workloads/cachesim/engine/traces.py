"""Small traces by hand and at random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from workloads.cachesim.traces.schema import Schema, Table
from workloads.cachesim.traces.trace import Keys, Trace


def make_trace(batches, tables=1, row_bytes=None, rows=None, samples=None) -> Trace:
    """Batches are lists of (table, key). `samples`: lists of samples, each with a list of keys for every table."""
    bags = None
    if samples is not None:
        flat = [(table, key) for sample in samples for table, bag in enumerate(sample) for key in bag]
        bags = np.cumsum([0, *(len(bag) for sample in samples for bag in sample)])
        starts = None
    else:
        flat = [lookup for batch in batches for lookup in batch]
        starts = np.cumsum([0, *(len(batch) for batch in batches)]).astype(np.int64)
    seen = [dict.fromkeys(key for table, key in flat if table == t) for t in range(tables)]
    base = np.cumsum([0, *(len(each) for each in seen)]).astype(np.int64)
    number = {(t, key): int(base[t]) + place for t in range(tables) for place, key in enumerate(seen[t])}
    keys = Keys(np.array([key for each in seen for key in each], np.int64), (False,) * tables)
    schema = Schema(
        tuple(
            Table(
                f"t{t}",
                None if rows is None else rows[t],
                None if row_bytes is None else row_bytes[t] // 2,
                None if row_bytes is None else "fp16",
            )
            for t in range(tables)
        )
    )
    return Trace(
        ids=np.array([number[lookup] for lookup in flat], np.int32),
        row_base=base,
        schema=schema,
        keys=keys,
        bag_offsets=None if bags is None else bags.astype(np.int64),
        batch_starts=starts,
        source="a test",
    )


@st.composite
def batched_traces(draw, tables=st.integers(1, 3), most_rows=12, most_batches=12):
    """Batches of up to nine lookups, empty ones among them, at least one lookup in all."""
    count = draw(tables)
    lookup = st.tuples(st.integers(0, count - 1), st.integers(0, most_rows - 1))
    batches = draw(st.lists(st.lists(lookup, max_size=9), min_size=1, max_size=most_batches).filter(any))
    return make_trace(batches, count)
