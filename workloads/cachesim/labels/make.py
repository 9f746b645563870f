"""Finds the labels of OPT, at one capacity, over a whole trace or over shards that each begin with an empty cache.

A request's label is 1 if its row is used again and OPT hits then: `keep[i] = hits[next_use[i]]`, else 0. It is not
whether request i itself hits, as RecMG's `optgen.py` writes: that says what was decided at the use before, and a cache
driven by it acts one reuse too late. With the labels made here a cache of two LRU lists, whose victims come from the
list of rows not to keep, has exactly OPT's hits: after any request OPT holds the rows labelled 1 and the one just used.

    N requests, R rows, S shards
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.policies.engine import Integers
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import simulate

Variant = Literal["belady", "belady-bypass"]
Bytes = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int32]

REQUEST_BYTES = 4 + 4.125  # next use, its set; the answer's own arrays are 2 more and 4 for each miss
ROW_BYTES = 8  # the next use of each row; its number within a shard


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What OPT does with each request. `capacities` and `unique` are those of each shard; a whole trace is one shard.

    `policy` is `belady`, which always admits, or `belady-bypass`, which may pass a row by.
    """

    keep: Bytes  # [N] 1: OPT keeps the row until its next use
    hits: Bytes  # [N] 1: this request hits
    misses: Ids  # the rows of the requests that do not, in order: what a prefetcher would fetch
    shard_starts: npt.NDArray[np.int64]  # [S + 1] the request each shard begins with, then N
    capacities: npt.NDArray[np.int64]  # [S] rows of the cache
    unique: npt.NDArray[np.int64]  # [S] distinct rows
    policy: Variant = "belady"
    trace_fingerprint: str | None = None  # as `bench run cachesim` records it
    source: str = ""

    @property
    def requests(self) -> int:
        return int(self.keep.size)

    @property
    def capacity_shares(self) -> npt.NDArray[np.float64]:
        """[S] of each shard's distinct rows."""
        return self.capacities / np.maximum(self.unique, 1)

    @property
    def hit_ratio(self) -> float | None:
        return int(np.count_nonzero(self.hits)) / self.requests if self.requests else None

    @property
    def keep_ratio(self) -> float | None:
        return int(np.count_nonzero(self.keep)) / self.requests if self.requests else None


def opt_labels(
    ids: Ids,
    unique: int,
    capacity: int,
    *,
    policy: Variant = "belady",
    progress: Callable[[int, int], None] | None = None,
) -> Labels:
    """Of one trace `ids` [N] (dense, 0 .. unique - 1) at `capacity` rows."""
    keep, hits = np.empty(ids.size, np.uint8), np.empty(ids.size, np.uint8)
    _label(ids, unique, capacity, policy, keep, hits, _whole(progress, ids.size))
    return Labels(
        keep,
        hits,
        ids[hits == 0],
        np.array([0, ids.size], np.int64),
        np.array([capacity], np.int64),
        np.array([unique], np.int64),
        policy,
    )


def shard_labels(
    ids: Ids,
    unique: int,
    bounds: Sequence[tuple[int, int]],
    capacity: Callable[[Ids], int],
    *,
    policy: Variant = "belady",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Labels:
    """Of consecutive shards `bounds` of one trace, each by itself, `jobs` of them at a time.

    `capacity` gives the rows of a shard's cache from its distinct rows, ascending. Rows keep their numbers. `progress`
    counts requests and is called by one thread at a time.
    """
    if jobs < 1:
        raise UsageError(f"jobs = {jobs} is below 1")
    edges = [start for start, _ in bounds] + [bounds[-1][1] if bounds else 0]
    if edges[0] != 0 or edges[-1] != ids.size or [stop for _, stop in bounds] != edges[1:]:
        raise ValueError(f"shards {bounds[:3]} do not cover the {ids.size} requests in order")
    keep, hits = np.empty(ids.size, np.uint8), np.empty(ids.size, np.uint8)
    done, counting = 0, threading.Lock()

    def run(bound: tuple[int, int]) -> tuple[int, int]:
        nonlocal done
        start, stop = bound
        own, rows = _dense(ids[start:stop], unique)
        rows.sort()
        size = capacity(rows)
        _label(own, rows.size, size, policy, keep[start:stop], hits[start:stop], None)
        with counting:
            done += stop - start
            if progress is not None:
                progress(done, ids.size)
        return size, rows.size

    with ThreadPoolExecutor(jobs) as pool:
        found = list(pool.map(run, bounds))
    return Labels(
        keep,
        hits,
        ids[hits == 0],
        np.array(edges, np.int64),
        np.array([size for size, _ in found], np.int64),
        np.array([count for _, count in found], np.int64),
        policy,
    )


def state_bytes(requests: int, unique: int, *, shard: int | None = None, jobs: int = 1) -> int:
    """An upper bound on the memory that labelling takes beside the trace, up to 2^31 - 1 requests."""
    at_once = requests if shard is None else min(requests, shard * jobs)
    rows = unique * (1 if shard is None else 2 * jobs)
    own_ids = 0 if shard is None else 4 * at_once
    return int(6 * requests + REQUEST_BYTES * at_once + own_ids + ROW_BYTES * rows) + (1 << 20)


def prepare() -> bool:
    """Compiles what labelling needs, or loads it; True where something had to be compiled."""
    from numba.core import event

    ids = np.tile(np.arange(3, dtype=np.int32), 4)
    with event.install_recorder("numba:compile") as compilations:
        opt_labels(ids, 3, 2)
        shard_labels(ids, 3, [(0, 6), (6, 12)], lambda rows: 2)
    return bool(compilations.buffer)


def _label(
    ids: Ids,
    unique: int,
    capacity: int,
    policy: Variant,
    keep: Bytes,
    hits: Bytes,
    progress: Callable[[int], None] | None,
) -> None:
    if ids.size == 0:
        return
    following = next_uses(ids, unique)
    simulate(policy, ids, unique, capacity, mask=hits, next_use=following, progress=progress)
    _look_ahead(following, hits, keep)


@compiled
def _look_ahead(following: Integers, hits: Bytes, keep: Bytes) -> None:
    requests = following.size
    for i in range(requests):
        keep[i] = hits[following[i]] if following[i] < requests else 0


def _dense(ids: Ids, unique: int) -> tuple[Ids, Ids]:
    """Rows numbered by first appearance, and the rows by that number."""
    own, rows = np.empty(ids.size, np.int32), np.empty(min(unique, ids.size), np.int32)
    count = _renumber(np.ascontiguousarray(ids), np.full(unique, -1, np.int32), own, rows)
    return own, rows[:count].copy()


@compiled
def _renumber(ids: Ids, number: Ids, own: Ids, rows: Ids) -> int:
    count = 0
    for i in range(ids.size):
        row = ids[i]
        if number[row] < 0:
            number[row] = count
            rows[count] = row
            count += 1
        own[i] = number[row]
    return count


def _whole(progress: Callable[[int, int], None] | None, requests: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(done, requests)
