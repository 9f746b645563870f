"""How TorchRec's planner shares a memory budget out among cached tables, as a baseline for the optimal split.

Its `EmbeddingOffloadScaleupProposer` (pytorch/torchrec, pull request 1558) starts with the cache that holds the rows of
one batch for each table, then scales the caches up: what is left of the budget goes to the tables in proportion to
cacheability times expected lookups; what a table cannot use, since all its rows are cached, goes to the others in the
same way. It looks at the area under a table's miss-ratio curve, not at the slope of it, so a table that caches badly at
any size gets memory that buys nothing. Written anew from that description; the planner also weighs buffers and how
tables fit the cards, which have no place in one budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workloads.cachesim.curves.offload_stats import OffloadStats


def working_set_bytes(stats: Sequence[OffloadStats], row_bytes: Sequence[int]) -> int:
    """What the caches that the proposer starts with take: the rows of one batch of each table."""
    return sum(_working_rows(each) * width for each, width in zip(stats, row_bytes, strict=True))


def proposed_rows(stats: Sequence[OffloadStats], row_bytes: Sequence[int], budget_bytes: int) -> list[int] | None:
    """Rows [T] that the proposer caches of each table; None where the budget does not hold the rows of one batch."""
    given = [float(_working_rows(each) * width) for each, width in zip(stats, row_bytes, strict=True)]
    whole = [float(each.height * width) for each, width in zip(stats, row_bytes, strict=True)]
    left = budget_bytes - sum(given)
    if left < 0:
        return None
    weights = [each.cacheability * each.expected_lookups for each in stats]
    growing = [table for table, weight in enumerate(weights) if weight > 0 and given[table] < whole[table]]
    while growing and left > 0:
        total = math.fsum(weights[table] for table in growing)
        parts = {table: left * weights[table] / total for table in growing}
        full = [table for table in growing if parts[table] >= whole[table] - given[table]]
        for table in full or growing:
            more = whole[table] - given[table] if full else parts[table]
            given[table] += more
            left -= more
        growing = [table for table in growing if table not in full] if full else []
    return [min(each.height, int(size // width)) for each, size, width in zip(stats, given, row_bytes, strict=True)]


def _working_rows(stats: OffloadStats) -> int:
    return min(stats.expected_lookups, stats.height)
