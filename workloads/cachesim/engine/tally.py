"""From a hit mask to what is reported: requests and hits by window and table, distinct rows by batch, whole samples.

N requests, T tables, W windows, S samples
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba.core import event

from workloads.cachesim.policies.engine import Bytes, Integers, RowIds
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.rows import checked_rows
from workloads.cachesim.traces.trace import Trace

REQUESTS, HITS, UNIQUE, UNIQUE_HITS = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """`counts` [W, T, 4]: requests, hits, distinct rows by batch, and those of them that hit.

    A distinct row of a batch hits where its first request of the batch does. `unique` says whether batches are known.
    """

    edges: npt.NDArray[np.int64]  # [W + 1] the requests at which windows begin
    counts: npt.NDArray[np.int64]
    unique: bool

    def total(self, column: int) -> int:
        return int(self.counts[:, :, column].sum())

    def by_table(self, column: int) -> list[int]:
        return [int(each) for each in self.counts[:, :, column].sum(axis=0)]

    def by_window(self, column: int) -> list[int]:
        return [int(each) for each in self.counts[:, :, column].sum(axis=1)]


def tally(trace: Trace, mask: Bytes, *, skip: int = 0, windows: int = 1, rows: RowIds | None = None) -> Tally:
    """Counts over the requests from `skip` on, in `windows` parts of equal length (at most one a request).

    `rows` [N]: the trace's ids as `checked_rows` gives them, where they are at hand.
    """
    counted = trace.requests - skip
    parts = max(1, min(windows, counted))
    edges = skip + np.arange(parts + 1, dtype=np.int64) * counted // parts
    counts = np.zeros((parts, trace.tables, 4), np.int64)
    starts = trace.batch_starts
    _tally(
        checked_rows(trace.ids, trace.unique) if rows is None else rows,
        mask,
        trace.table_of_row(),
        np.zeros(0, np.int64) if starts is None else np.require(starts, np.int64, ("C", "A", "W")),
        edges,
        np.full(trace.unique if starts is not None else 0, -1, np.int32),
        counts,
    )
    return Tally(edges, counts, starts is not None)


def whole_samples(trace: Trace, mask: Bytes, skip: int = 0) -> tuple[int, int] | None:
    """Samples that begin at request `skip` or later and look something up, and those of them whose rows all hit.

    None where the source does not tell samples.
    """
    if trace.sample_starts is None:
        return None
    samples, whole = _whole_samples(np.require(trace.sample_starts, np.int64, ("C", "A", "W")), mask, skip)
    return int(samples), int(whole)


def prepare() -> bool:
    """Compiles the counting, or loads it; True where something had to be compiled."""
    ids, mask = np.zeros(1, np.uint32), np.zeros(1, np.uint8)
    edges = np.array([0, 1], np.int64)
    with event.install_recorder("numba:compile") as compilations:
        _tally(ids, mask, np.zeros(1, np.int32), edges, edges, np.zeros(1, np.int32), np.zeros((1, 1, 4), np.int64))
        _whole_samples(edges, mask, 0)
    return bool(compilations.buffer)


@compiled
def _tally(
    ids: RowIds,
    mask: Bytes,
    table_of_row: Integers,
    starts: Integers,
    edges: Integers,
    seen: Integers,
    counts: Integers,
) -> None:
    batch = 0
    batched = starts.size > 0
    for window in range(edges.size - 1):
        for i in range(edges[window], edges[window + 1]):
            row = ids[i]
            hit = mask[i]
            table = table_of_row[row]
            counts[window, table, REQUESTS] += 1
            counts[window, table, HITS] += hit
            if batched:
                while starts[batch + 1] <= i:
                    batch += 1
                if seen[row] != batch:
                    seen[row] = batch
                    counts[window, table, UNIQUE] += 1
                    counts[window, table, UNIQUE_HITS] += hit


@compiled
def _whole_samples(starts: Integers, mask: Bytes, skip: int) -> tuple[int, int]:
    samples = whole = 0
    for sample in range(starts.size - 1):
        begin, end = starts[sample], starts[sample + 1]
        if begin < skip or begin == end:
            continue
        samples += 1
        hit = True
        for i in range(begin, end):
            if mask[i] == 0:
                hit = False
                break
        whole += hit
    return samples, whole
