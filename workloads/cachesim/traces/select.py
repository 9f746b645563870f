"""Parts of traces and traces put together, with rows numbered anew so that none is left without a request."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import DataError, UsageError
from workloads.cachesim.traces.factorize import IntegerFactorizer, TextFactorizer, Texts
from workloads.cachesim.traces.schema import Schema
from workloads.cachesim.traces.trace import Keys, Trace

Integers = npt.NDArray[np.int64]


def select_requests(trace: Trace, keep: npt.NDArray[np.bool_], source: str | None = None) -> Trace:
    """The requests where `keep` [N]; bags and batches stay, shorter or empty."""
    before = np.concatenate(([0], np.cumsum(keep, dtype=np.int64)))
    bags = None if trace.bag_offsets is None else before[trace.bag_offsets]
    batches = None if trace.batch_starts is None else before[trace.batch_starts]
    return _numbered_anew(trace, trace.ids[keep], bags, batches, source)


def select_samples(
    trace: Trace, chosen: Integers, batch_starts: Integers | None = None, source: str | None = None
) -> Trace:
    """The samples `chosen` [s] in this order. `batch_starts` [b + 1]: with which of them a batch begins, then s."""
    if trace.bag_offsets is None:
        raise UsageError(f"{trace.source} does not tell samples, so none can be chosen")
    tables = trace.tables
    bags = (chosen[:, None] * tables + np.arange(tables)).ravel()
    starts, lengths = trace.bag_offsets[bags], np.diff(trace.bag_offsets)[bags]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ids = np.empty(int(offsets[-1]), np.int32)
    _gather(trace.ids, starts, offsets, ids)
    batches = None if batch_starts is None else offsets[batch_starts * tables]
    return _numbered_anew(trace, ids, offsets, batches, source)


def first_requests(trace: Trace, limit: int) -> Trace:
    """The first `limit` requests, where samples are known the samples that lie within (at least one)."""
    if limit >= trace.requests:
        return trace
    if trace.sample_starts is None:
        return slice_requests(trace, 0, limit)
    kept = max(1, int(np.searchsorted(trace.sample_starts, limit, side="right")) - 1)
    return slice_requests(trace, 0, int(trace.sample_starts[kept]), samples=(0, kept))


def slice_requests(trace: Trace, start: int, stop: int, *, samples: tuple[int, int] | None = None) -> Trace:
    """Requests start to stop - 1. `samples` are those they make up; without them bags are forgotten."""
    bags = None
    if samples is not None and trace.bag_offsets is not None:
        bags = trace.bag_offsets[samples[0] * trace.tables : samples[1] * trace.tables + 1] - start
    batches = None
    if trace.batch_starts is not None:
        inside = trace.batch_starts[(trace.batch_starts > start) & (trace.batch_starts < stop)] - start
        batches = np.concatenate(([0], inside, [stop - start])).astype(np.int64)
    return _numbered_anew(trace, trace.ids[start:stop], bags, batches, None)


def concatenate(traces: Sequence[Trace], source: str) -> Trace:
    """One trace after another, equal keys of a table being one row. Raises DataError where the tables differ."""
    if len(traces) == 1:
        return dataclasses.replace(traces[0], source=source)
    first = traces[0]
    for other in traces[1:]:
        if other.schema.names != first.schema.names or other.keys.textual != first.keys.textual:
            raise DataError(
                f"{other.source} has other tables than {first.source}: {', '.join(other.schema.names[:4])} "
                f"and {', '.join(first.schema.names[:4])}"
            )
        if (other.bag_offsets is None) != (first.bag_offsets is None):
            raise DataError(f"one of {first.source} and {other.source} tells samples, the other does not")
    tables = [_merged_table(traces, table) for table in range(first.tables)]
    row_base = np.concatenate(([0], np.cumsum([count for _, _, count in tables]))).astype(np.int64)
    ids = []
    for number, trace in enumerate(traces):
        rows = np.concatenate([merged[number] + row_base[table] for table, (merged, _, _) in enumerate(tables)])
        ids.append(rows.astype(np.int32)[trace.ids])
    keys = _joined([keys for _, keys, _ in tables], first.keys.textual)
    starts = np.concatenate(([0], np.cumsum([trace.requests for trace in traces]))).tolist()
    schema = first.schema
    for other in traces[1:]:
        schema = schema.filled(other.schema)
    return Trace(
        ids=np.concatenate(ids),
        row_base=row_base,
        schema=Schema(schema.tables),
        keys=keys,
        bag_offsets=_chained([trace.bag_offsets for trace in traces], starts),
        batch_starts=_chained([trace.batch_starts for trace in traces], starts),
        source=source,
    )


def _merged_table(traces: Sequence[Trace], table: int) -> tuple[list[npt.NDArray[np.int32]], Keys, int]:
    """For each trace the new number of each of its rows, and the keys of all."""
    numbers = []
    if traces[0].keys.textual[table]:
        texts = TextFactorizer()
        for trace in traces:
            own, offsets = trace.keys.text, trace.keys.text_offsets
            assert own is not None and offsets is not None
            rows = trace.rows_in_table(table)
            numbers.append(
                texts.add(Texts(np.ascontiguousarray(own), offsets[:-1][rows].copy(), offsets[1:][rows].copy()))
            )
        blob, ends = texts.texts()
        return numbers, Keys(np.zeros(texts.count, np.int64), (True,), blob, ends), texts.count
    integers = IntegerFactorizer()
    numbers = [integers.add(np.ascontiguousarray(trace.keys.integers[trace.rows_in_table(table)])) for trace in traces]
    return numbers, Keys(integers.keys(), (False,)), integers.count


def _joined(parts: Sequence[Keys], textual: tuple[bool, ...]) -> Keys:
    integers = np.concatenate([part.integers for part in parts])
    if not any(textual):
        return Keys(integers, textual)
    lengths = [
        np.zeros(part.integers.size, np.int64) if part.text_offsets is None else np.diff(part.text_offsets)
        for part in parts
    ]
    offsets = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
    return Keys(integers, textual, np.concatenate([part.text for part in parts if part.text is not None]), offsets)


def _chained(parts: Sequence[Integers | None], starts: Sequence[int]) -> Integers | None:
    """Boundaries behind one another; traces without any count as one stretch where others have some."""
    if all(part is None for part in parts):
        return None
    chained = [np.zeros(1, np.int64)]
    for part, start, stop in zip(parts, starts, starts[1:], strict=False):
        chained.append(np.array([stop], np.int64) if part is None else part[1:] + start)
    return np.concatenate(chained)


def _numbered_anew(
    trace: Trace, ids: npt.NDArray[np.int32], bags: Integers | None, batches: Integers | None, source: str | None
) -> Trace:
    """A trace of these ids of `trace`, whose rows are numbered by first appearance; batches that got empty vanish."""
    rows = np.empty(ids.size, np.int32)
    number = np.full(trace.unique, -1, np.int32)
    counts = np.zeros(trace.tables, np.int64)
    of_row = trace.table_of_row()
    _count_first(ids, of_row, number, counts)
    base = np.concatenate(([0], np.cumsum(counts)))
    _renumber(ids, of_row, number, base, rows)
    used = np.flatnonzero(number >= 0)
    old = np.empty(used.size, np.int64)
    old[number[used] + base[of_row[used]]] = used
    if batches is not None:
        batches = np.unique(batches)
        if batches.size == 1:
            batches = np.array([0, ids.size], np.int64)
    return Trace(rows, base, trace.schema, trace.keys.take(old), bags, batches, source or trace.source)


@njit(cache=True, nogil=True)
def _count_first(
    ids: npt.NDArray[np.int32], of_row: npt.NDArray[np.int32], number: npt.NDArray[np.int32], counts: Integers
) -> None:
    for i in range(ids.size):
        row = ids[i]
        if number[row] < 0:
            table = of_row[row]
            number[row] = counts[table]
            counts[table] += 1


@njit(cache=True, nogil=True)
def _renumber(
    ids: npt.NDArray[np.int32],
    of_row: npt.NDArray[np.int32],
    number: npt.NDArray[np.int32],
    base: Integers,
    rows: npt.NDArray[np.int32],
) -> None:
    for i in range(ids.size):
        rows[i] = base[of_row[ids[i]]] + number[ids[i]]


@njit(cache=True, nogil=True)
def _gather(ids: npt.NDArray[np.int32], starts: Integers, offsets: Integers, chosen: npt.NDArray[np.int32]) -> None:
    for bag in range(starts.size):
        for k in range(offsets[bag + 1] - offsets[bag]):
            chosen[offsets[bag] + k] = ids[starts[bag] + k]
