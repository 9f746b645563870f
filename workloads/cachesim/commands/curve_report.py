"""Curves as a terminal, `--json` and a picture show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.api import Figure, Line
from workloads.cachesim.commands.text import byte_text, percent, share_text, shortened, table_lines, wrapped
from workloads.cachesim.curves.curve import Curve, size_grid
from workloads.cachesim.curves.shards import Shards, ShardsError
from workloads.cachesim.traces.trace import Trace

TABLES_SHOWN = 30
LINES_DRAWN = 8  # of a figure: more cannot be told apart
FIGURE_POINTS = 240  # of a line
RUN_POINTS = 24  # sizes of a policy that is run, when neither sizes nor their number are named


@dataclass(frozen=True, slots=True)
class Size:
    """A cache size as it was asked for, and its rows."""

    text: str
    rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """SHARDS at the sizes shown: a single estimate and its error, or the mean of several and their spread."""

    shards: Shards
    hit_ratios: list[float]
    spread: list[float] | None
    error: ShardsError | None

    @property
    def name(self) -> str:
        return f"SHARDS {share_text(self.shards.rate)}"


@dataclass(frozen=True, slots=True, eq=False)
class CacheCurves:
    """The curves of one cache: of all tables (`table` None) or of one. `row_bytes` None without a schema."""

    table: str | None
    unique: int
    row_bytes: int | None  # of the widest row, as a cache that tables share charges
    sizes: list[Size]
    curves: list[Curve]
    sampling: Sampling | None = None


def lines(caches: Sequence[CacheCurves], trace: Trace, warmup: int, width: int) -> list[str]:
    """All caches; several by table, one table of figures for each policy."""
    width = max(width, 60)
    head = f"{trace.requests:,} requests, {trace.unique:,} rows"
    if trace.tables > 1:
        head += f", {trace.tables:,} tables"
    if warmup:
        head += f"; the first {warmup:,} requests fill the cache and are not counted"
    if len(caches) == 1:
        where = "" if caches[0].table is not None or trace.tables == 1 else ", all tables in one cache"
        return [*wrapped(head, width), "", *_one_cache(caches[0], where, width)]
    return [*wrapped(head, width), *_tables(caches, width)]


def _one_cache(cache: CacheCurves, where: str, width: int) -> Iterator[str]:
    yield f"hit ratio by cache size{where if cache.table is None else f', table {cache.table} by itself'}"
    heads = ["rows", "share"] + (["bytes"] if cache.row_bytes is not None else [])
    fixed = len(heads)
    columns: list[list[str]] = []
    for curve in cache.curves:
        heads.append(curve.policy)
        columns.append([percent(hit_ratio(curve, size.rows)) for size in cache.sizes])
    if cache.sampling is not None:
        heads.append(cache.sampling.name)
        spread: Sequence[float | None] = cache.sampling.spread or [None] * len(cache.sizes)
        columns.append(
            [
                percent(ratio) if error is None else f"{percent(ratio)} ± {100 * error:.2f}"
                for ratio, error in zip(cache.sampling.hit_ratios, spread, strict=True)
            ]
        )
    rows = []
    for number, size in enumerate(cache.sizes):
        cells = [f"{size.rows:,}", share_text(size.rows / cache.unique) if cache.unique else "–"]
        if cache.row_bytes is not None:
            cells.append(byte_text(size.rows * cache.row_bytes))
        rows.append([*cells, *(column[number] for column in columns)])
    yield from table_lines(heads, rows, width, fixed=fixed)
    if cache.table is None and cache.row_bytes is not None and where:
        yield f"bytes: every row takes the {cache.row_bytes:,} of the widest, as in FBGEMM"
    if cache.sampling is not None:
        yield ""
        for sentence in _sampling_lines(cache.sampling):
            yield from wrapped(sentence, width)
    yield from _next_points(cache, width)


def _sampling_lines(sampling: Sampling) -> Iterator[str]:
    shards = sampling.shards
    yield (
        f"SHARDS: {shards.sampled_rows:,} rows at a rate of {shards.rate:.4g}, {shards.sampled_requests:,} requests of "
        "theirs"
    )
    if sampling.error is not None:
        yield (
            f"its error against the exact curve, over all sizes: {100 * sampling.error.mean:.2f} points in the mean, "
            f"{100 * sampling.error.largest:.2f} at most (at {sampling.error.largest_at:,} rows)"
        )
    else:
        yield "± is the standard deviation over estimates with other hashes, of each by itself"


def _next_points(cache: CacheCurves, width: int) -> Iterator[str]:
    """Rows to add for one more point of hit ratio; `≤` where a curve knows some sizes only."""
    shown = {size.rows for size in cache.sizes}
    curves = [curve for curve in cache.curves if curve.requests]
    coarse = [curve for curve in curves if not curve.complete and set(curve.sizes.tolist()) <= shown]
    curves = [curve for curve in curves if curve not in coarse]
    if coarse and cache.sizes:
        yield ""
        names = ", ".join(curve.policy for curve in coarse)
        sentence = (
            f"runs at these sizes alone do not tell what one more point costs: add --points {RUN_POINTS} ({names})"
        )
        yield from wrapped(sentence, width)
    if not curves or not cache.sizes:
        return
    rows = []
    for size in cache.sizes:
        cells = [f"{size.rows:,}"]
        for curve in curves:
            wanted = next_point(curve, size.rows)
            more = "–" if wanted is None else f"{wanted - size.rows:+,}"
            cells.append(more if wanted is None or curve.complete else f"≤ {more}")
        rows.append(cells)
    if all(cell == "–" for row in rows for cell in row[1:]):
        return
    yield ""
    yield "rows to add for one more point of hit ratio (– where no size has it)"
    yield from table_lines(["from", *(curve.policy for curve in curves)], rows, width)


def _tables(caches: Sequence[CacheCurves], width: int) -> Iterator[str]:
    shown = sorted(caches, key=lambda cache: -max((curve.requests for curve in cache.curves), default=0))
    names = max(5, min(24, max(len(cache.table or "") for cache in caches)))
    sizes = max((cache.sizes for cache in caches), key=len)
    for place, example in enumerate(caches[0].curves):
        yield ""
        yield f"{example.policy}: hit ratio of each table in a cache of its own, by size"
        heads = ["table", "requests", "rows", *(_size_head(size) for size in sizes)]
        rows = []
        for cache in shown[:TABLES_SHOWN]:
            curve = cache.curves[place]
            cells = [shortened(cache.table or "", names), f"{curve.requests:,}", f"{cache.unique:,}"]
            ratios = [percent(hit_ratio(curve, size.rows), 1) for size in cache.sizes]
            rows.append([*cells, *(ratios or ["–"] * len(sizes))])
        yield from table_lines(heads, rows, width, fixed=3, left=1)
        if len(caches) > TABLES_SHOWN:
            yield f"… and {len(caches) - TABLES_SHOWN:,} more tables with fewer requests (--output, --json)"


def _size_head(size: Size) -> str:
    text = size.text.removesuffix(".0%") + "%" if size.text.endswith(".0%") else size.text
    return f"{text[:-1]} %" if text.endswith("%") else text


def to_json(cache: CacheCurves) -> dict[str, Any]:
    """The sizes shown; `--output` has the whole curves."""
    return {
        "table": cache.table,
        "unique": cache.unique,
        "curves": [
            {
                "policy": curve.policy,
                "requests": curve.requests,
                "complete": curve.complete,
                "points": [_point(cache, curve, size) for size in cache.sizes],
            }
            for curve in cache.curves
        ],
        "shards": None if cache.sampling is None else _sampling_json(cache.sampling, cache.sizes),
    }


def _point(cache: CacheCurves, curve: Curve, size: Size) -> dict[str, Any]:
    return {
        "size": size.text,
        "rows": size.rows,
        "bytes": None if cache.row_bytes is None else size.rows * cache.row_bytes,
        "hits": hits_at(curve, size.rows),
        "hit_ratio": hit_ratio(curve, size.rows),
        "rows_for_one_more_point": next_point(curve, size.rows) if curve.requests else None,
    }


def _sampling_json(sampling: Sampling, sizes: Sequence[Size]) -> dict[str, Any]:
    error = sampling.error
    return {
        "rate": sampling.shards.rate,
        "rows": sampling.shards.sampled_rows,
        "requests": sampling.shards.sampled_requests,
        "points": [
            {"rows": size.rows, "hit_ratio": ratio, "spread": None if sampling.spread is None else sampling.spread[at]}
            for at, (size, ratio) in enumerate(zip(sizes, sampling.hit_ratios, strict=True))
        ],
        "mean_error": None if error is None else error.mean,
        "largest_error": None if error is None else error.largest,
        "largest_error_at_rows": None if error is None else error.largest_at,
    }


def figures(caches: Sequence[CacheCurves]) -> list[Figure]:
    """Miss ratio over size: a line for each policy of one cache, or of each policy for the tables asked most."""
    if len(caches) == 1:
        cache = caches[0]
        drawn = [_line(curve.policy, curve) for curve in cache.curves if curve.requests][:LINES_DRAWN]
        if cache.sampling is not None:
            drawn.append(_line(cache.sampling.name, cache.sampling.shards.curve))
        where = "" if cache.table is None else f" of table {cache.table}"
        return [_figure(f"miss ratio{where} by cache size", drawn)] if drawn else []
    found = []
    for place, example in enumerate(caches[0].curves):
        chosen = sorted((cache.curves[place] for cache in caches), key=lambda curve: -curve.requests)[:LINES_DRAWN]
        drawn = [_line(curve.table or "", curve) for curve in chosen if curve.requests]
        if drawn:
            found.append(_figure(f"{example.policy}: miss ratio by the size of a table's own cache", drawn))
    return found


def _figure(title: str, drawn: list[Line]) -> Figure:
    return Figure(title=title, x_label="cache size, rows", y_label="miss ratio", lines=drawn, log_x=True)


def _line(name: str, curve: Curve) -> Line:
    known = curve.sizes[curve.sizes > 0]
    if known.size > FIGURE_POINTS:
        grid = size_grid(int(known[-1]), FIGURE_POINTS, smallest=int(known[0]))
        known = known[np.unique(np.minimum(np.searchsorted(known, grid), known.size - 1))]
    places = np.searchsorted(curve.sizes, known)
    misses = 1.0 - curve.hits[places] / max(curve.requests, 1)
    return Line(name=name, x=known.astype(float).tolist(), y=misses.tolist())


def hits_at(curve: Curve, rows: int) -> int | None:
    return curve.hits_at(rows) if curve.requests else None


def hit_ratio(curve: Curve, rows: int) -> float | None:
    return curve.hits_at(rows) / curve.requests if curve.requests else None


def next_point(curve: Curve, rows: int) -> int | None:
    """The rows that hit one point more; never fewer than `rows`, which a policy without order might offer."""
    wanted = curve.next_point(rows)
    if wanted is None or wanted > rows:
        return wanted
    later = curve.sizes > rows
    target = curve.hits_at(rows) + curve.requests / 100
    reached = np.flatnonzero(later & (curve.hits >= target - 1e-9 * curve.requests))
    return int(curve.sizes[reached[0]]) if reached.size else None
