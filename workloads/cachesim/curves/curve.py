"""A curve: the hits of one policy at many cache sizes, and the questions that are asked of it.

Each hit is a whole number of requests, so curves are compared by equality; ratios are made when asked for. A curve
that is `complete` knows every size from no row to all rows, others the sizes they were made for and nothing between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import UsageError

Integers = npt.NDArray[np.int64]
Ratios = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Hits of `policy` over `requests` counted requests that touch `unique` rows.

    `table` is None for all tables in one cache. `estimated` curves come from a sample: their hits are scaled.
    """

    policy: str
    table: str | None
    requests: int
    unique: int  # rows of the whole trace (or table): no larger cache hits more
    sizes: Integers  # [K] rows, ascending
    hits: Integers  # [K]
    estimated: bool = False

    def __post_init__(self) -> None:
        if self.sizes.shape != self.hits.shape or self.sizes.ndim != 1 or np.any(np.diff(self.sizes) <= 0):
            raise ValueError("a curve needs ascending sizes, and hits for each")

    @property
    def complete(self) -> bool:
        """Every size from 0 to `unique` is there."""
        return self.sizes.size == self.unique + 1 and int(self.sizes[0]) == 0

    @property
    def hit_ratios(self) -> Ratios | None:
        """[K]; None without requests."""
        return self.hits / self.requests if self.requests else None

    @property
    def miss_ratios(self) -> Ratios | None:
        return None if self.hit_ratios is None else 1.0 - self.hit_ratios

    def hits_at(self, rows: int) -> int:
        """Hits of a cache of `rows` rows. Raises UsageError for a size that the curve does not know."""
        if self.complete:
            if rows < 0:
                raise UsageError(f"a cache of {rows} rows was asked for, expected 0 or more")
            return int(self.hits[min(rows, self.unique)])
        place = int(np.searchsorted(self.sizes, rows))
        if place == self.sizes.size or self.sizes[place] != rows:
            near = int(self.sizes[np.argmin(np.abs(self.sizes - rows))]) if self.sizes.size else None
            raise UsageError(
                f"the {self.policy} curve was not made for {rows:,} rows",
                hint=None if near is None else f"the nearest size it knows is {near:,} rows",
            )
        return int(self.hits[place])

    def smallest_for(self, hit_ratio: float) -> int | None:
        """The fewest rows that reach `hit_ratio`, of the sizes the curve knows; None where none of them does."""
        reached = np.flatnonzero(self.hits >= hit_ratio * self.requests - 1e-9 * max(self.requests, 1))
        return int(self.sizes[reached[0]]) if reached.size and self.requests else None

    def next_point(self, rows: int, points: float = 1.0) -> int | None:
        """The fewest rows whose hit ratio is `points` percentage points above that of `rows`; None where none is.

        Raises UsageError for `rows` the curve does not know and for points not above 0.
        """
        if not points > 0:
            raise UsageError(f"a gain of {points} points was asked for, expected more than 0")
        return self.smallest_for(self.hits_at(rows) / self.requests + points / 100) if self.requests else None

    def at(self, sizes: Sequence[int]) -> Curve:
        """The same curve with these sizes only, in ascending order."""
        chosen = np.unique(np.asarray(sizes, np.int64))
        hits = np.array([self.hits_at(int(rows)) for rows in chosen], np.int64)
        return Curve(self.policy, self.table, self.requests, self.unique, chosen, hits, self.estimated)


def complete_curve(policy: str, table: str | None, counts: Integers, *, estimated: bool = False) -> Curve:
    """From how many requests have each stack distance [R + 1], place 0 counting those that hit at no size."""
    hits = np.cumsum(counts) - counts[0]
    unique = counts.size - 1
    return Curve(policy, table, int(counts.sum()), unique, np.arange(unique + 1), hits, estimated)


def size_grid(unique: int, points: int = 64, *, smallest: int = 1) -> Integers:
    """At most `points` sizes from `smallest` to all `unique` rows, evenly spaced by ratio, each once."""
    if points < 1:
        raise UsageError(f"a curve needs at least 1 size, not {points}")
    if not 1 <= smallest <= max(unique, 1):
        raise UsageError(f"the smallest size of a curve is {smallest} rows, expected 1 to the {unique:,} of the trace")
    if unique == 0:
        return np.zeros(0, np.int64)
    grid = np.unique(np.round(np.geomspace(smallest, unique, points)).astype(np.int64)) if points > 1 else np.zeros(0)
    return np.unique(np.append(grid, unique)).astype(np.int64)
