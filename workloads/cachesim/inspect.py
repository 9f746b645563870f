"""What a trace is like, in numbers: size, skew, reuse, pooling, and how far one lookup foretells the next.

All figures are exact and take a few passes over the trace; `inspect_report` writes them as text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.cachesim.locality import (
    FIRST,
    distance_counts,
    log2_histogram,
    reuse_time_histogram,
    reuse_time_quantile,
    successor_hits,
)
from workloads.cachesim.traces.trace import Trace

SUCCESSOR_WINDOW = 50
STEEPEST = 8.0  # the largest Zipf exponent that is told apart

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by powers of two: bin b holds the values in (2^(b - 1), 2^b], bin 0 the value 1."""

    counts: tuple[int, ...]  # up to the last bin that is not empty

    @classmethod
    def of(cls, counts: Integers) -> Histogram:
        return cls(tuple(np.trim_zeros(counts, "b").tolist()))

    @property
    def total(self) -> int:
        return sum(self.counts)

    def shares(self) -> tuple[float, ...]:
        return tuple(count / self.total for count in self.counts)

    @staticmethod
    def label(bin_: int) -> str:
        """The values of a bin, as text: 1, 2, 3-4, 5-8, …"""
        low, high = (1 << bin_ >> 1) + 1, 1 << bin_
        return f"{high:,}" if low >= high else f"{low:,}-{high:,}"


@dataclass(frozen=True, slots=True)
class Pooling:
    """Lookups a bag (a sample in one table)."""

    bags: int
    mean: float
    median: int
    largest: int
    empty_share: float


@dataclass(frozen=True, slots=True)
class Skew:
    """How unevenly requests fall on the rows of a table (or of the whole trace)."""

    hottest_share: float  # of requests that go to the hottest row
    hot_1_percent_share: float  # of requests that go to the hottest 1 % of the rows looked up, at least one
    hot_10_percent_share: float
    once_rows_share: float  # of rows looked up a single time
    once_requests_share: float  # of requests that go to those
    zipf_exponent: float | None  # most likely exponent of a Zipf law over the ranks; None for a single row


@dataclass(frozen=True, slots=True)
class TableReport:
    name: str
    rows: int | None  # of the table itself
    row_bytes: int | None
    requests: int
    unique: int
    skew: Skew | None  # None where the table is never looked up
    pooling: Pooling | None  # None where samples are not known


@dataclass(frozen=True, slots=True)
class Successors:
    """How often the row before foretells the next one.

    Of the requests behind another row that was looked up before: the share that are the row which immediately
    followed it the last time, and the share that came within `window` positions then. `chance` is what independent
    draws with the same frequencies would give.
    """

    eligible: int
    window: int
    next: float | None
    next_chance: float
    within: float | None
    within_chance: float


@dataclass(frozen=True, slots=True)
class TraceReport:
    source: str
    order: str
    requests: int
    unique: int
    samples: int | None
    batches: int | None
    unique_bytes: int | None  # bytes of all rows looked up, None without a schema
    requests_per_row: float
    skew: Skew
    pooling: Pooling | None
    row_requests: Histogram  # rows by how often they are looked up
    reuse_time: Histogram  # requests by the requests since the last of the same row
    reuse_time_median: int | None
    reuse_distance: Histogram  # requests by the distinct rows since then, the row itself included
    reuse_distance_median: int | None
    successors: Successors
    tables: tuple[TableReport, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def inspect_trace(
    trace: Trace,
    *,
    window: int = SUCCESSOR_WINDOW,
    progress: Callable[[int, int], None] | None = None,
) -> TraceReport:
    """The report of a trace. Takes 8 bytes a row and some passes; `progress(done, all)` counts the passes."""
    step = _steps(progress, 5)
    counts = trace.row_counts()
    step()
    times = reuse_time_histogram(trace.ids, trace.unique)
    median = reuse_time_quantile(trace.ids, trace.unique, times, 0.5)
    step()
    distances = distance_counts(trace.ids, trace.unique)
    distances[FIRST] = 0
    step()
    successors = measure_successors(trace, counts, window)
    step()
    known = all(table.dim is not None and table.dtype is not None for table in trace.schema.tables)
    report = TraceReport(
        source=trace.source,
        order=trace.order,
        requests=trace.requests,
        unique=trace.unique,
        samples=trace.samples,
        batches=trace.batches,
        unique_bytes=int(trace.row_bytes().sum()) if known else None,
        requests_per_row=trace.requests / trace.unique,
        skew=measure_skew(counts),
        pooling=_pooling(trace, None),
        row_requests=Histogram.of(log2_histogram(np.bincount(counts))),
        reuse_time=Histogram.of(times),
        reuse_time_median=median,
        reuse_distance=Histogram.of(log2_histogram(distances)),
        reuse_distance_median=_median(distances),
        successors=successors,
        tables=tuple(_table(trace, table, counts) for table in range(trace.tables)),
    )
    step()
    return report


def measure_skew(counts: Integers) -> Skew:
    """Of requests by row (each at least 1)."""
    total, rows = int(counts.sum()), counts.size
    ordered = np.sort(counts)[::-1]
    once = int(np.count_nonzero(counts == 1))
    return Skew(
        hottest_share=int(ordered[0]) / total,
        hot_1_percent_share=int(ordered[: max(1, rows // 100)].sum()) / total,
        hot_10_percent_share=int(ordered[: max(1, rows // 10)].sum()) / total,
        once_rows_share=once / rows,
        once_requests_share=once / total,
        zipf_exponent=_zipf_exponent(ordered),
    )


def measure_successors(trace: Trace, counts: Integers, window: int = SUCCESSOR_WINDOW) -> Successors:
    """See `Successors`."""
    eligible, first, within = successor_hits(trace.ids, trace.unique, window)
    shares = counts / trace.requests
    return Successors(
        eligible=eligible,
        window=window,
        next=first / eligible if eligible else None,
        next_chance=float((shares * shares).sum()),
        within=within / eligible if eligible else None,
        within_chance=float((shares * -np.expm1(window * np.log1p(-np.minimum(shares, 1 - 1e-12)))).sum()),
    )


def _table(trace: Trace, number: int, counts: Integers) -> TableReport:
    table, own = trace.schema.tables[number], counts[trace.rows_in_table(number)]
    return TableReport(
        name=table.name,
        rows=table.rows,
        row_bytes=None if table.dim is None or table.dtype is None else table.row_bytes(),
        requests=int(own.sum()),
        unique=own.size,
        skew=measure_skew(own) if own.size else None,
        pooling=_pooling(trace, number),
    )


def _pooling(trace: Trace, table: int | None) -> Pooling | None:
    if trace.bag_offsets is None or trace.bag_offsets.size < 2:
        return None
    if table is None:
        lengths = np.diff(trace.bag_offsets)
    else:
        lengths = trace.bag_offsets[table + 1 :: trace.tables] - trace.bag_offsets[table : -1 : trace.tables]
    return Pooling(
        bags=lengths.size,
        mean=float(lengths.mean()),
        median=int(np.sort(lengths)[(lengths.size - 1) // 2]),
        largest=int(lengths.max()),
        empty_share=float(np.mean(lengths == 0)),
    )


def _median(counts: Integers) -> int | None:
    """The lower middle of values given by their counts."""
    cumulated = np.cumsum(counts)
    total = int(cumulated[-1])
    return int(np.searchsorted(cumulated, (total + 1) // 2)) if total else None


def _zipf_exponent(ordered: Integers) -> float | None:
    """The exponent s for which ranks 1 to R with mass k^-s are most likely, from counts in descending order.

    At the maximum the mean logarithm of the rank is that of the law, which falls as s grows: found by bisection over
    cells of ranks, at most 1/64 of their distance from the start wide.
    """
    rows = ordered.size
    if rows < 2:
        return None
    head = np.arange(1, min(rows, 1024) + 1)
    edges = [head]
    if rows > 1024:
        edges.append(
            np.unique(np.geomspace(1025, rows + 1, 64 * math.ceil(math.log(rows / 1024) + 1)).astype(np.int64))
        )
    starts = np.concatenate(edges)
    starts = starts[starts <= rows]
    widths = np.diff(np.append(starts, rows + 1))
    logs = np.log(starts + (widths - 1) / 2)
    seen = float((np.add.reduceat(ordered, starts - 1) * logs).sum() / ordered.sum())
    low, high = 0.0, STEEPEST
    for _ in range(40):
        middle = (low + high) / 2
        masses = widths * np.exp(-middle * logs)
        low, high = (middle, high) if float((masses * logs).sum() / masses.sum()) > seen else (low, middle)
    return (low + high) / 2


def _steps(progress: Callable[[int, int], None] | None, steps: int) -> Callable[[], None]:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    return step
