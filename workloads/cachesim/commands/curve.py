"""What `bench cache curve` does: hits over cache sizes by policy and by table, and what a larger cache would buy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.api import Answer, Job, UsageError
from workloads.cachesim import source
from workloads.cachesim.capacity import Tables, parse_capacity, table_rows, unified_rows
from workloads.cachesim.commands.curve_report import RUN_POINTS, CacheCurves, Sampling, Size, figures, lines, to_json
from workloads.cachesim.commands.description import CurveConfig
from workloads.cachesim.commands.shared import (
    check_free,
    check_memory,
    chosen_policies,
    not_empty,
    read,
    warmup_requests,
)
from workloads.cachesim.curves.curve import Curve, size_grid
from workloads.cachesim.curves.files import curve_suffix, write_curves
from workloads.cachesim.curves.make import (
    Lookups,
    all_lookups,
    lookups_of_table,
    make_curve,
    makes_every_size,
    state_bytes,
    table_lookups,
)
from workloads.cachesim.curves.offload_stats import offload_stats, write_offload_stats
from workloads.cachesim.curves.shards import Shards, shards_curve, shards_error, shards_spread
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.traces.trace import Trace

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of the distinct rows, when no size is named
TABLE_SHARES = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
SHARDS_SEEDS = 8  # estimates that tell a spread
TABLE_REQUEST_BYTES = 16  # of `requests_by_table`: an order, a table, an id


def curve(config: CurveConfig, job: Job) -> Answer:
    """Exact at every size for LRU and OPT, at chosen sizes for the others."""
    policies = chosen_policies(config.policy, config.policy_file)
    for text in config.size:
        parse_capacity(text)
    _check_outputs(config)
    rate, rows = _sample_size(config)
    trace = not_empty(read(config, config.trace, job))
    warmup = warmup_requests(config.cache_warmup, trace)
    if (rate or rows) and warmup:
        raise UsageError("SHARDS estimates the whole trace, and a warm-up is left out", hint="leave one of both out")
    exact = [one for one in policies if not (one.name == "lru" and (rate or rows) and config.shards_error == "spread")]
    _check_memory(config, trace, exact)
    caches: list[CacheCurves] = []
    for number, lookups in enumerate(_caches(config, trace, warmup)):
        own = _tables_of(trace, lookups.table)
        sizes = _sizes(config, own, lookups)
        made = [
            _curve(config, lookups, policy, sizes, job, number * len(exact) + place, trace)
            for place, policy in enumerate(exact)
        ]
        sampling = None if not (rate or rows) else _sampling(config, lookups, rate, rows, made, sizes, job)
        caches.append(CacheCurves(lookups.table, lookups.unique, _width(own), sizes, made, sampling))
    _say_what_is_beyond(caches, job)
    files = _write(config, trace, caches, job)
    trace_facts = {"trace": trace.source, "requests": trace.requests, "unique": trace.unique, "warmup_requests": warmup}
    return Answer(
        lines=[*lines(caches, trace, warmup, job.width), *(f"written: {path}" for path in files)],
        value={**trace_facts, "caches": [to_json(cache) for cache in caches], "files": [str(path) for path in files]},
        figures=figures(caches),
    )


def _caches(config: CurveConfig, trace: Trace, warmup: int) -> Iterator[Lookups]:
    if config.table is not None:
        yield lookups_of_table(trace, config.table, warmup)
    elif config.per_table:
        yield from table_lookups(trace, warmup)
    else:
        yield all_lookups(trace, warmup)


def _curve(
    config: CurveConfig, lookups: Lookups, policy: Policy, sizes: Sequence[Size], job: Job, done: int, trace: Trace
) -> Curve:
    """One curve. `done` others are made, for the progress of several caches."""
    several = config.per_table and trace.tables > 1

    def progress(part: int, whole: int) -> None:
        if not several:
            job.progress(part, whole, f"of the {policy.name} curve")

    if several:
        job.progress(done, None, "curves")
    rows = [size.rows for size in sizes]
    points = config.points if config.points is not None else 0 if config.size else RUN_POINTS
    if points and lookups.unique:
        rows += size_grid(lookups.unique, points).tolist()
    made = make_curve(
        lookups,
        policy,
        np.unique(np.array(rows, np.int64)),
        opt_method=config.opt_method,
        seed=config.seed,
        jobs=config.jobs,
        progress=progress,
    )
    progress(1, 1)
    return made


def _sizes(config: CurveConfig, tables: Tables, lookups: Lookups) -> list[Size]:
    """The sizes that are shown of one cache, in ascending order, each once."""
    unique = lookups.unique
    if not config.size:
        shares = TABLE_SHARES if config.per_table else SHARES
        found = [Size(f"{share:.1%}", max(1, round(share * unique))) for share in shares] if unique else []
    else:
        found = []
        for text in config.size:
            capacity = parse_capacity(text)
            a_share = capacity.kind in ("unique", "tables")
            if lookups.table is not None and a_share:
                rows = table_rows(capacity, tables)[0]
            else:
                rows = unified_rows(capacity, tables)
            found.append(Size(text.strip(), rows))
    if config.per_table:  # columns of one table: each stays, and in the order given
        return found
    by_rows = {size.rows: size for size in reversed(found)}
    return [by_rows[rows] for rows in sorted(by_rows)]


def _tables_of(trace: Trace, table: str | None) -> Tables:
    """What sizes of one cache are measured against."""
    every = source.tables_of(trace)
    if table is None:
        return every
    place = trace.schema.index(table)
    return Tables(
        names=[table],
        unique=[every.unique[place]],
        rows=[every.rows[place]],
        row_bytes=[every.row_bytes[place]],
    )


def _width(tables: Tables) -> int | None:
    """Bytes that the cache charges for a row: the widest of its tables'."""
    known = [width for width in tables.row_bytes if width is not None]
    return max(known) if len(known) == len(tables.row_bytes) else None


def _sample_size(config: CurveConfig) -> tuple[float | None, int | None]:
    """The rate or the rows of `--shards`."""
    if config.shards is None:
        return None, None
    if config.per_table:
        raise UsageError("SHARDS is told for one cache, not for each table", hint="name one: --table NAME")
    capacity = parse_capacity(config.shards)
    if capacity.kind == "unique":
        return float(capacity.value), None
    if capacity.kind == "rows":
        return None, int(capacity.value)
    raise UsageError(
        f"shards = {config.shards!r} is neither a rate nor a number of rows", hint="like --shards 0.01 or --shards 8000"
    )


def _sampling(
    config: CurveConfig,
    lookups: Lookups,
    rate: float | None,
    rows: int | None,
    made: Sequence[Curve],
    sizes: Sequence[Size],
    job: Job,
) -> Sampling:
    """SHARDS beside the exact LRU curve, or over several hashes where that is not made."""

    def estimate(seed: int) -> Shards:
        return shards_curve(lookups.ids, lookups.unique, rate=rate, rows=rows, seed=seed, table=lookups.table)

    shown = np.array([size.rows for size in sizes], np.int64)
    first = estimate(config.seed)
    exact = next((curve for curve in made if curve.policy == "lru"), None)
    if config.shards_error == "exact":
        if exact is None:
            raise UsageError(
                "the error of SHARDS is told against the exact LRU curve, and lru is not among the policies",
                hint="add lru to --policy, or --shards-error spread",
            )
        return Sampling(first, first.hit_ratios_at(shown).tolist(), None, shards_error(first, exact))
    estimates = [first]
    for number in range(1, SHARDS_SEEDS):
        job.progress(number, SHARDS_SEEDS, "of the estimates")
        estimates.append(estimate(config.seed + number))
    mean, spread = shards_spread(estimates, shown)
    return Sampling(first, mean.tolist(), spread.tolist(), None)


def _check_outputs(config: CurveConfig) -> None:
    if config.table is not None and config.per_table:
        raise UsageError("--table names one table, --per-table asks for all", hint="give one of both")
    if config.output is not None:
        curve_suffix(config.output)
        check_free(config.output, config.force)
    if config.torchrec is not None:
        check_free(config.torchrec, config.force, "torchrec")
        if config.torchrec.suffix.lower() != ".json":
            raise UsageError(f"torchrec = {config.torchrec} does not end in .json, the form of the statistics")


def _check_memory(config: CurveConfig, trace: Trace, policies: Sequence[Policy]) -> None:
    needed = [
        state_bytes(policy, trace.requests, trace.unique, trace.unique, config.opt_method, config.jobs)
        for policy in policies
    ]
    kept = 16 * trace.unique * sum(makes_every_size(policy, config.opt_method) for policy in policies)
    split = TABLE_REQUEST_BYTES * trace.requests if config.per_table or config.table is not None else 0
    check_memory(
        max(needed, default=0) + kept + split, "the curve", "curves of a part (--limit), or of a sample of the rows"
    )


def _say_what_is_beyond(caches: Sequence[CacheCurves], job: Job) -> None:
    for cache in caches:
        beyond = [size.rows for size in cache.sizes if size.rows > cache.unique]
        if beyond and cache.unique:
            where = "the trace" if cache.table is None else f"table {cache.table!r}"
            job.log(
                f"a cache of {max(beyond):,} rows is beyond the {cache.unique:,} rows of {where}: "
                f"{max(beyond) - cache.unique:,} of its lines stay empty",
                "warning",
            )
            return


def _write(config: CurveConfig, trace: Trace, caches: Sequence[CacheCurves], job: Job) -> list[Path]:
    files = []
    if config.torchrec is not None:
        known = [table.rows for table in trace.schema.tables]
        heights = None
        if None in known:
            unique = trace.table_unique().tolist()
            heights = [max(1, own) if rows is None else rows for rows, own in zip(known, unique, strict=True)]
            job.log(
                "how many rows the tables have is not known (--schema): for TorchRec's statistics those looked up "
                "stand for all",
                "warning",
            )
        write_offload_stats(offload_stats(trace, heights=heights), config.torchrec)
        files.append(config.torchrec)
    if config.output is not None:
        curves = [curve for cache in caches for curve in cache.curves]
        curves += [
            replace(cache.sampling.shards.curve, policy="lru-shards") for cache in caches if cache.sampling is not None
        ]
        write_curves(curves, config.output)
        files.append(config.output)
    return files
