"""The requests of each table by themselves: what a cache of its own would see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from workloads.cachesim.traces.trace import Trace

Ids = npt.NDArray[np.int32]


def requests_by_table(trace: Trace, warmup: int = 0) -> Iterator[tuple[int, Ids, int]]:
    """For each table its number, its requests in order as rows 0 to its own last one, and how many are warm-up."""
    if trace.tables == 1:
        yield 0, trace.ids, warmup
        return
    of_row = trace.table_of_row()
    # numpy sorts 16-bit keys by radix: one pass instead of N log N
    tables = of_row.astype(np.uint16 if trace.tables <= 1 << 16 else np.int32)[trace.ids]
    order = np.argsort(tables, kind="stable")
    ends = np.cumsum(np.bincount(tables, minlength=trace.tables))
    start = 0
    for table in range(trace.tables):
        places = order[start : ends[table]]
        ids = trace.ids[places] - np.int32(trace.row_base[table])
        yield table, ids, int(np.searchsorted(places, warmup))
        start = int(ends[table])
