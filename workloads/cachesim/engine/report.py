"""From counts to metrics: ratios, bytes and times of one simulation.

What a simulation cannot know is None: distinct rows where batches are unknown, bytes without a schema, and the bytes of
evicted rows where one cache holds rows of several widths and does not tell whose they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import Metric
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.engine import batch_cache
from workloads.cachesim.engine.cost import Memory, Traffic, estimate
from workloads.cachesim.engine.tally import HITS, REQUESTS, UNIQUE, UNIQUE_HITS, Tally
from workloads.cachesim.traces.trace import Trace

Series = dict[str, list[float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Rows that moved, behind the warm-up. By table where `by_table`, else one number for all of them.

    `fetched` None: one for each miss. `evictions`, `insertions` None: not counted. `counters` are FBGEMM's six, None
    where lookups came one by one.
    """

    by_table: bool
    insertions: list[int] | None
    evictions: list[int] | None
    fetched: list[int] | None = None
    write_backs: list[int] | None = None  # None: every eviction is one, in training
    flushed: list[int] | None = None
    passed_by: list[int] | None = None  # rows read past the cache; None: misses without insertion
    counters: dict[str, int] | None = None
    calls: int | None = None

    @classmethod
    def of_batches(cls, totals: npt.NDArray[np.int64], calls: int, *, counters: bool) -> Moves:
        def column(number: int) -> list[int]:
            return [int(each) for each in totals[:, number]]

        named = {
            "cache_calls": calls,
            "requested_indices": sum(column(batch_cache.REQUESTED)),
            "unique_indices": sum(column(batch_cache.UNIQUE)),
            "unique_misses": sum(column(batch_cache.UNIQUE_MISSES)),
            "conflict_unique_misses": sum(column(batch_cache.CONFLICT_UNIQUE)),
            "conflict_misses": sum(column(batch_cache.CONFLICTS)),
        }
        return cls(
            by_table=True,
            insertions=column(batch_cache.INSERTIONS),
            evictions=column(batch_cache.EVICTIONS),
            fetched=column(batch_cache.UNIQUE_MISSES),
            write_backs=column(batch_cache.WRITE_BACKS),
            flushed=column(batch_cache.FLUSHED),
            passed_by=column(batch_cache.CONFLICT_UNIQUE),
            counters=named if counters else None,
            calls=calls if counters else None,
        )

    @classmethod
    def of_requests(
        cls, insertions: Sequence[int | None], evictions: Sequence[int | None], tables: Sequence[int], unified: bool
    ) -> Moves:
        """`tables` are the numbers of the tables that have a cache, in its order."""
        spread: list[list[int] | None] = []
        for counts in (insertions, evictions):
            if any(each is None for each in counts):
                spread.append(None)
                continue
            whole = [0] * (1 if unified else max(tables) + 1)
            for number, count in zip([0] if unified else tables, counts, strict=True):
                whole[number] = count or 0
            spread.append(whole)
        return cls(by_table=not unified, insertions=spread[0], evictions=spread[1])


def measure(
    trace: Trace,
    config: CacheSimConfig,
    tally: Tally,
    moves: Moves,
    *,
    whole: tuple[int, int] | None,
    lines: Sequence[int],
    tables_shown: int,
) -> tuple[list[Metric], Series]:
    """The metrics of a simulation, and series over the windows. `lines` by cache; `whole`: samples, those that hit."""
    windows = _ratios(tally.by_window(HITS), tally.by_window(REQUESTS))
    series: Series = {"hit_ratio": windows}
    found = [
        Metric("hit_ratio", _ratio(tally.total(HITS), tally.total(REQUESTS))),
        Metric("requests_counted", tally.total(REQUESTS)),
        Metric("misses", tally.total(REQUESTS) - tally.total(HITS)),
        Metric("capacity_rows", sum(lines)),
    ]
    known = [each for each in windows if each is not None]
    found += [
        Metric("hit_ratio_lowest_window", min(known, default=None)),
        Metric("hit_ratio_highest_window", max(known, default=None)),
    ]
    if tally.unique:
        found.append(Metric("unique_hit_ratio", _ratio(tally.total(UNIQUE_HITS), tally.total(UNIQUE))))
        series["unique_hit_ratio"] = _ratios(tally.by_window(UNIQUE_HITS), tally.by_window(UNIQUE))
        if moves.counters is None:
            found.append(Metric("unique_indices", tally.total(UNIQUE)))
            found.append(Metric("unique_misses", tally.total(UNIQUE) - tally.total(UNIQUE_HITS)))
    if whole is not None:
        found.append(Metric("group_hit_ratio", _ratio(whole[1], whole[0])))
    for name, count in (moves.counters or {}).items():
        found.append(Metric(name, count))
    for name, counts in (("insertions", moves.insertions), ("evictions", moves.evictions)):
        if counts is not None:
            found.append(Metric(name, sum(counts)))
    found += _tables(trace, tally, tables_shown)
    found += _bytes_and_times(trace, config, tally, moves, lines)
    return found, series


def _tables(trace: Trace, tally: Tally, shown: int) -> list[Metric]:
    if trace.tables == 1:
        return []
    requests, hits = tally.by_table(REQUESTS), tally.by_table(HITS)
    unique, unique_hits = tally.by_table(UNIQUE), tally.by_table(UNIQUE_HITS)
    chosen = sorted(sorted(range(trace.tables), key=lambda table: -requests[table])[:shown])
    found = []
    for table in chosen:
        label = {"table": trace.schema.names[table]}
        found.append(Metric("table_hit_ratio", _ratio(hits[table], requests[table]), label))
        if tally.unique:
            found.append(Metric("table_unique_hit_ratio", _ratio(unique_hits[table], unique[table]), label))
    return found


def _bytes_and_times(
    trace: Trace, config: CacheSimConfig, tally: Tally, moves: Moves, lines: Sequence[int]
) -> list[Metric]:
    misses = [all_ - hit for all_, hit in zip(tally.by_table(REQUESTS), tally.by_table(HITS), strict=True)]
    fetched = misses if moves.fetched is None else _padded(moves.fetched, trace.tables)
    written = _written(config, moves, misses, trace.tables)
    found = []
    if config.training and written is not None:
        found.append(Metric("write_backs", sum(written[0]) + sum(written[1])))
    tables = trace.schema.tables
    if any(table.dim is None or table.dtype is None for table in tables):
        return found
    widths = [table.row_bytes() for table in tables]
    cached = [max(widths)] if len(lines) == 1 else widths
    found.append(Metric("capacity_bytes", sum(rows * width for rows, width in zip(lines, cached, strict=True))))
    fetched_bytes = _weighed(fetched, widths)
    found.append(Metric("bytes_fetched", fetched_bytes))
    all_written = (
        [0] if not config.training else None if written is None else [sum(each) for each in zip(*written, strict=True)]
    )
    written_bytes = None if all_written is None else _weighed(all_written, widths)
    found.append(Metric("bytes_written", written_bytes))
    if config.fast_bandwidth is None or config.slow_bandwidth is None or fetched_bytes is None:
        return found
    if written_bytes is None or all_written is None:
        return [*found, Metric("estimated_s", None)]
    requests = tally.by_table(REQUESTS)
    traffic = Traffic(
        lookups=sum(requests),
        lookup_bytes=sum(count * width for count, width in zip(requests, widths, strict=True)),
        fetched_rows=sum(fetched),
        fetched_bytes=fetched_bytes,
        written_rows=sum(all_written),
        written_bytes=written_bytes,
        calls=moves.calls,
    )
    result = estimate(
        traffic,
        Memory(bandwidth=config.fast_bandwidth, latency_s=config.fast_latency_s, outstanding=config.outstanding),
        Memory(bandwidth=config.slow_bandwidth, latency_s=config.slow_latency_s, outstanding=config.outstanding),
        overlap=config.look_ahead > 0,
        training=config.training,
    )
    return [
        *found,
        Metric("estimated_s", result.total_s),
        Metric("estimated_fast_s", result.fast_s),
        Metric("estimated_slow_s", result.slow_s),
        Metric("estimated_speedup", result.speedup),
    ]


def _written(
    config: CacheSimConfig, moves: Moves, misses: list[int], tables: int
) -> tuple[list[int], list[int], list[int]] | None:
    """In training: changed rows written back at their eviction, by flushes, and past the cache. None: not known.

    One number for all tables where the cache does not tell them apart.
    """
    if not config.training or moves.evictions is None or moves.insertions is None:
        return None
    evicted = moves.evictions if moves.write_backs is None else moves.write_backs
    if moves.passed_by is not None:
        flushed = moves.flushed or [0]
        return (_padded(evicted, tables), _padded(flushed, tables), _padded(moves.passed_by, tables))
    if not moves.by_table:
        return (evicted, [0], [sum(misses) - sum(moves.insertions)])
    inserted = _padded(moves.insertions, tables)
    return (
        _padded(evicted, tables),
        [0] * tables,
        [missed - kept for missed, kept in zip(misses, inserted, strict=True)],
    )


def _weighed(rows: list[int], widths: list[int]) -> int | None:
    """Bytes of rows by table; of rows of all tables together only where these are equally wide."""
    if len(rows) == len(widths):
        return sum(count * width for count, width in zip(rows, widths, strict=True))
    return rows[0] * widths[0] if len(set(widths)) == 1 or rows[0] == 0 else None


def _padded(counts: list[int], tables: int) -> list[int]:
    return counts + [0] * (tables - len(counts))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _ratios(parts: list[int], wholes: list[int]) -> list[float | None]:
    return [_ratio(part, whole) for part, whole in zip(parts, wholes, strict=True)]
