"""The split of a memory budget over tables that hits most: each byte goes where it buys the most hits.

With caches of their own, tables share nothing but the budget. On concave curves (OPT's are) buying by hits per byte is
optimal; LRU curves have cliffs, so the concave hull of each is bought instead, vertex by vertex (Stone, Turek, Wolf,
"Optimal Partitioning of Cache Memory", IEEE Trans. Computers 1992; on hulls: Beckmann, Sanchez, "Talus", HPCA 2015).
What is left when the next piece of a hull does not fit is bought again, on the hulls of what still fits, until nothing
does. The hull also bounds what any split can hit, so the result says how far from optimal it can be at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.curves.curve import Curve
from workloads.cachesim.policies.jit import compiled

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """What one table gets."""

    table: str
    rows: int
    bytes: int
    hits: int
    requests: int


@dataclass(frozen=True, slots=True)
class Split:
    """A budget over tables. No split of it hits more than `most_hits`."""

    shares: tuple[Share, ...]
    budget_bytes: int
    most_hits: float
    hits_per_byte: float | None  # of the last piece bought; None where all rows fit, or none was worth a byte

    @property
    def bytes(self) -> int:
        return sum(share.bytes for share in self.shares)

    @property
    def hits(self) -> int:
        return sum(share.hits for share in self.shares)

    @property
    def requests(self) -> int:
        return sum(share.requests for share in self.shares)

    @property
    def hit_ratio(self) -> float | None:
        return self.hits / self.requests if self.requests else None


def split_budget(curves: Sequence[Curve], row_bytes: Sequence[int], budget_bytes: int) -> Split:
    """Rows for each table so that their hits are the most for `budget_bytes`; `row_bytes` [T] as in the schema.

    Curves may be complete or made for some sizes; only sizes they know are given. Raises UsageError for a budget that
    holds no row.
    """
    _check(curves, row_bytes, budget_bytes)
    # with no cache there is no hit, whether or not the curve says so
    sizes = [_with_nothing(curve.sizes, curve.sizes) for curve in curves]
    hits = [_with_nothing(curve.hits, curve.sizes) for curve in curves]
    bought = np.zeros(len(curves), np.int64)  # the place on each curve
    left, price, most_hits = budget_bytes, None, None
    while True:
        pieces = _pieces(sizes, hits, row_bytes, bought, left)
        if most_hits is None:
            most_hits = _bound(pieces, left)
        if not pieces:
            break
        for table, place, cost, gain in pieces:
            if cost > left:
                break
            bought[table] = place
            left -= cost
            price = gain / cost
    shares = tuple(
        _share(curve, int(size[place]), int(hit[place]), width)
        for curve, size, hit, place, width in zip(curves, sizes, hits, bought, row_bytes, strict=True)
    )
    everything = all(place == size.size - 1 for place, size in zip(bought, sizes, strict=True))
    return Split(shares, budget_bytes, most_hits, None if everything else price)


def given_split(
    curves: Sequence[Curve], row_bytes: Sequence[int], budget_bytes: int, rows: Sequence[int], most_hits: float
) -> Split:
    """What `rows` [T] hit, however they were chosen. `most_hits` is that of the optimal split of the same budget.

    Rows beyond those that are looked up hit no more. Raises UsageError for a size that a curve does not know.
    """
    shares = [
        _share(curve, size, _hits_at(curve, size), width)
        for curve, width, size in zip(curves, row_bytes, rows, strict=True)
    ]
    return Split(tuple(shares), budget_bytes, most_hits, None)


def even_rows(heights: Sequence[int], row_bytes: Sequence[int], budget_bytes: int) -> list[int]:
    """Rows [T] of the same share of each table's `heights` (one cache load factor for all), the largest that fits."""
    parts = 1 << 40

    def cost(numerator: int) -> int:
        return sum(rows * numerator // parts * width for rows, width in zip(heights, row_bytes, strict=True))

    low, high = 0, parts
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(middle) <= budget_bytes else (low, middle - 1)
    return [rows * low // parts for rows in heights]


def _hits_at(curve: Curve, rows: int) -> int:
    return curve.hits_at(min(rows, curve.unique)) if rows else 0


def _pieces(
    sizes: list[Integers], hits: list[Integers], row_bytes: Sequence[int], bought: Integers, left: int
) -> list[tuple[int, int, int, int]]:
    """(table, place, bytes, hits) of each hull's edges, from what is bought to what `left` can pay; best first."""
    tables, places, costs, gains = [], [], [], []
    for table, (size, hit, width) in enumerate(zip(sizes, hits, row_bytes, strict=True)):
        start = int(bought[table])
        stop = int(np.searchsorted(size, size[start] + left // width, side="right"))
        corners = start + _hull(size[start:stop], hit[start:stop])
        tables.append(np.full(corners.size - 1, table))
        places.append(corners[1:])
        costs.append(np.diff(size[corners]) * width)
        gains.append(np.diff(hit[corners]))
    cost, gain = np.concatenate(costs), np.concatenate(gains)
    order = np.argsort(-(gain / cost), kind="stable")  # stable: equal slopes of a table stay in order
    columns = (np.concatenate(tables), np.concatenate(places), cost, gain)
    return list(zip(*(column[order].tolist() for column in columns), strict=True))


def _bound(pieces: list[tuple[int, int, int, int]], budget: int) -> float:
    """Hits if a part of an edge could be bought: no split has more."""
    left, total = budget, 0.0
    for _, _, cost, gain in pieces:
        if cost > left:
            return total + gain * left / cost
        left -= cost
        total += gain
    return total


@compiled
def _hull(sizes: Integers, hits: Integers) -> Integers:
    """Places of the corners of the upper concave hull, from the first point to the first of the highest ones."""
    corners = np.empty(sizes.size, np.int64)
    corners[0] = 0
    count = 1
    for place in range(1, sizes.size):
        if hits[place] <= hits[corners[count - 1]]:
            continue
        while count > 1:
            before, last = corners[count - 2], corners[count - 1]
            rise, run = hits[last] - hits[before], sizes[last] - sizes[before]
            # whole numbers below 2^63 up to 3 G requests over 3 G rows
            if rise * (sizes[place] - sizes[last]) > (hits[place] - hits[last]) * run:
                break
            count -= 1
        corners[count] = place
        count += 1
    return corners[:count].copy()


def _with_nothing(values: Integers, sizes: Integers) -> Integers:
    return values if sizes.size and sizes[0] == 0 else np.concatenate((np.zeros(1, np.int64), values))


def _share(curve: Curve, rows: int, hits: int, width: int) -> Share:
    return Share(curve.table or "all tables", rows, rows * width, hits, curve.requests)


def _check(curves: Sequence[Curve], row_bytes: Sequence[int], budget_bytes: int) -> None:
    if not curves or len(curves) != len(row_bytes):
        raise UsageError(f"a split needs a row size for each curve, not {len(row_bytes)} for {len(curves)}")
    if min(row_bytes) < 1:
        raise UsageError(f"a row has {min(row_bytes)} bytes, expected at least 1")
    if budget_bytes < min(row_bytes):
        raise UsageError(f"a budget of {budget_bytes:,} bytes holds no row: the narrowest has {min(row_bytes):,} bytes")
