"""When each request's row is requested next: what policies that look ahead, and the labels of OPT, are made from."""

from __future__ import annotations

from typing import Any

import numpy as np

from workloads.cachesim.policies.engine import Integers, RowIds
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.rows import PIECE, checked_rows


def next_uses(ids: Integers, n_rows: int) -> Integers:
    """The position [N] of the next request of the same row; N, past the end, where there is none.

    `ids` [N] are dense, 0 .. n_rows - 1 (DataError otherwise). int32 up to 2^31 - 1 requests, else int64.
    """
    width: Any = np.int32 if len(ids) <= np.iinfo(np.int32).max else np.int64
    found = np.empty(len(ids), dtype=width)
    following = np.full(n_rows, len(ids), dtype=width)
    for start in reversed(range(0, len(ids), PIECE)):
        stop = min(len(ids), start + PIECE)
        _fill(checked_rows(ids[start:stop], n_rows, start), found, following, start)
    return found


@compiled
def _fill(rows: RowIds, found: Integers, following: Integers, start: int) -> None:
    for i in range(rows.size - 1, -1, -1):
        prefetch(following, rows[max(i - AHEAD, 0)])
        row = rows[i]
        found[start + i] = following[row]
        following[row] = start + i
