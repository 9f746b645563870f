"""Resident rows in order of (count, time of their latest request), kept exactly only where a victim can come from.

Rows with a count below `levels` lie in one FIFO list for each count, so the victim is the oldest row of the first list
that is not empty. Rows at or above it carry only their count and a stamp: hot rows, most of the requests, cost two
stores and no list. When every list has run empty, `raise_levels` sorts the rows that come next and builds their lists;
`levels` at least doubles each time, so this happens a few times in a simulation.

The two numbers beside a row's count are its links while it is in a list, and its stamp while it is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies import engine
from workloads.cachesim.policies.engine import Bytes, Integers
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.linked import OLDER, Links, empty_lists, push

FIRST_LEVELS = 16
STAMP = OLDER


def raise_levels(links: Links, frequency: Integers, resident: Bytes | Integers, levels: int) -> tuple[Links, int, int]:
    """Lists for the lowest counts, when no resident row has a count below `levels` (at least one row is resident).

    Returns links with the knots of the new levels, the number of levels, and the lowest count.
    """
    n_rows = len(frequency)
    rows = np.flatnonzero(resident)
    lowest = int(frequency[rows].min())
    raised = 2 * max(lowest, levels)
    grown = empty_lists(n_rows, raised)
    grown[:n_rows] = links[:n_rows]
    rows = rows[frequency[rows] < raised]
    order = np.lexsort((grown[rows, STAMP], frequency[rows]))
    _build(grown, frequency, rows[order])
    return grown, raised, lowest


@compiled
def _build(links: Links, frequency: Integers, rows: npt.NDArray[np.int64]) -> None:
    for row in rows:
        push(links, frequency.size + frequency[row], row)


def renumber_stamps(
    links: Links, frequency: Integers, resident: Bytes | Integers, levels: int, clock: int, limit: int = 0
) -> int:
    """Replaces the stamps of rows outside the lists by their ranks, once `clock` is large. Returns the new clock."""
    if clock <= (limit or engine.RENUMBER_AT):
        return clock
    rows = np.flatnonzero((resident != 0) & (frequency >= levels))
    order = np.argsort(links[rows, STAMP], kind="stable")
    links[rows[order], STAMP] = np.arange(len(rows), dtype=np.uint32)
    return len(rows)
