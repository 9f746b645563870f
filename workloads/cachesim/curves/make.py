"""The curve of any policy over the lookups of one cache: every size at once where that is known how, else by runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from workloads.cachesim.curves import opt
from workloads.cachesim.curves.curve import Curve, complete_curve
from workloads.cachesim.curves.runs import run_curve
from workloads.cachesim.curves.tables import requests_by_table
from workloads.cachesim.locality import distance_counts
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.traces.trace import Trace

OptMethod = Literal["all", "sizes", "runs"]
Ids = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

OPT_POLICIES = ("belady", "belady-bypass")
LRU_ROW_BYTES = 48  # of `distance_counts`: the last slot, two slots, and counts; then the curve itself


@dataclass(frozen=True, slots=True, eq=False)
class Lookups:
    """What one cache sees: requests for rows 0 to unique - 1, of which the first `warmup` are not counted."""

    table: str | None  # None: all tables
    ids: Ids  # [N]
    unique: int
    warmup: int = 0


def all_lookups(trace: Trace, warmup: int = 0) -> Lookups:
    """One cache for all tables."""
    return Lookups(None, trace.ids, trace.unique, warmup)


def table_lookups(trace: Trace, warmup: int = 0) -> Iterator[Lookups]:
    """A cache for each table, in the order of the tables. `warmup` counts requests of the whole trace."""
    unique = trace.table_unique()
    for table, ids, before in requests_by_table(trace, warmup):
        yield Lookups(trace.schema.names[table], ids, int(unique[table]), before)


def lookups_of_table(trace: Trace, name: str, warmup: int = 0) -> Lookups:
    """The cache of one table. Raises UsageError for an unknown name, with the nearest."""
    rows = trace.rows_in_table(trace.schema.index(name))
    places = np.flatnonzero((trace.ids >= rows.start) & (trace.ids < rows.stop))
    ids = trace.ids[places] - np.int32(rows.start)
    return Lookups(name, ids, rows.stop - rows.start, int(np.searchsorted(places, warmup)))


def makes_every_size(policy: Policy, opt_method: OptMethod = "all") -> bool:
    """Whether the curve of `policy` knows every size, or only those it is asked for."""
    return policy.name == "lru" or (policy.name in OPT_POLICIES and opt_method == "all")


def make_curve(
    lookups: Lookups,
    policy: Policy,
    sizes: Integers,
    *,
    opt_method: OptMethod = "all",
    seed: int = 0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Curve:
    """Exact hits behind the warm-up: at every size, or at `sizes` [K] where `makes_every_size` says no.

    `opt_method`: OPT at every size at once; at `sizes` by bisection; or by a run for each. `jobs` runs at a time.
    """
    ids, unique, table, warmup = lookups.ids, lookups.unique, lookups.table, lookups.warmup
    if ids.size == warmup:
        sizes = np.arange(unique + 1) if makes_every_size(policy, opt_method) else np.unique(sizes)
        return Curve(policy.name, table, 0, unique, sizes, np.zeros(sizes.size, np.int64))
    if policy.name == "lru":
        counts = distance_counts(ids, unique)
        if warmup:
            counts -= distance_counts(ids[:warmup], unique)
        return complete_curve("lru", table, counts)
    if policy.name in OPT_POLICIES and opt_method != "runs":
        bypass = policy.name == "belady-bypass"
        if opt_method == "all":
            counts = opt.opt_distance_counts(ids, unique, bypass=bypass, progress=progress)
            if warmup:
                counts -= opt.opt_distance_counts(ids[:warmup], unique, bypass=bypass)
            return complete_curve(policy.name, table, counts)
        sizes = np.unique(sizes)
        hits = opt.opt_hits(ids, unique, sizes, bypass=bypass, progress=progress)
        if warmup:
            hits -= opt.opt_hits(ids[:warmup], unique, sizes, bypass=bypass)
        return Curve(policy.name, table, ids.size - warmup, unique, sizes, hits)
    return run_curve(policy, ids, unique, sizes, table=table, warmup=warmup, seed=seed, jobs=jobs, progress=progress)


def state_bytes(policy: Policy, requests: int, unique: int, largest: int, opt_method: OptMethod, jobs: int) -> int:
    """An upper bound on the memory that a curve takes beside the trace, its own arrays counted."""
    kept = 16 * (unique + 1)
    if policy.name == "lru":
        return LRU_ROW_BYTES * unique + kept + (8 << 20)
    if policy.name in OPT_POLICIES and opt_method != "runs":
        return opt.state_bytes(requests, unique) + kept
    return jobs * registry.state_bytes(policy, unique, largest, requests) + (4 * requests if policy.looks_ahead else 0)
