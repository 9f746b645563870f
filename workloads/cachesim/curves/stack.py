"""The exact curves of the two policies that are stack algorithms, LRU and OPT, for every size in one go.

A stack distance depends on earlier requests alone, so the distances after a warm-up are those of the whole trace less
those of the warm-up: the cache starts warm, and the curve still is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from harness.errors import did_you_mean
from workloads.cachesim.curves.curve import Curve, complete_curve
from workloads.cachesim.curves.opt import opt_distance_counts
from workloads.cachesim.curves.tables import requests_by_table
from workloads.cachesim.locality import distance_counts
from workloads.cachesim.traces.trace import Trace

Ids = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

_COUNTS: dict[str, Callable[[Ids, int], Integers]] = {
    "lru": distance_counts,
    "belady": opt_distance_counts,
    "belady-bypass": lambda ids, unique: opt_distance_counts(ids, unique, bypass=True),
}
STACK_POLICIES = tuple(_COUNTS)


def stack_curve(trace: Trace, policy: str = "lru", *, warmup: int = 0) -> Curve:
    """The complete curve of `lru`, `belady` or `belady-bypass` with all tables in one cache."""
    _check(policy, warmup, trace.requests)
    return complete_curve(policy, None, _counts(policy, trace.ids, trace.unique, warmup))


def stack_curves(trace: Trace, policy: str = "lru", *, warmup: int = 0) -> Iterator[Curve]:
    """For each table the complete curve of a cache of its own, in the order of the tables; made one by one.

    `warmup` counts requests of the whole trace.
    """
    _check(policy, warmup, trace.requests)
    unique = trace.table_unique()
    for table, ids, before in requests_by_table(trace, warmup):
        yield complete_curve(policy, trace.schema.names[table], _counts(policy, ids, int(unique[table]), before))


def _counts(policy: str, ids: Ids, unique: int, warmup: int) -> Integers:
    counts = _COUNTS[policy](ids, unique)
    return counts - _COUNTS[policy](ids[:warmup], unique) if warmup else counts


def _check(policy: str, warmup: int, requests: int) -> None:
    if policy not in _COUNTS:
        raise UsageError(
            f"{policy!r} is no stack algorithm, so its curve is made by runs over sizes",
            hint=did_you_mean(policy, STACK_POLICIES),
        )
    if not 0 <= warmup < max(requests, 1):
        raise UsageError(f"warmup = {warmup} requests must be at least 0 and below the trace's {requests}")
