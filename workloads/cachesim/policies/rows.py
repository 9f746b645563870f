"""Row ids at the edge: checked against the number of rows and brought to the one type that engines are compiled for."""

from __future__ import annotations

import numpy as np

from harness.api import DataError
from workloads.cachesim.policies.engine import Integers, RowIds

PIECE = 1 << 20  # requests converted at a time: a few MB beside the trace, and the step of progress
MOST_ROWS = (1 << 31) - 256  # list knots share the 32-bit numbering with the rows


def checked_rows(ids: Integers, n_rows: int, start: int = 0) -> RowIds:
    """`ids` as contiguous uint32, without a copy where they already are 32-bit integers.

    DataError for the first id that is not one of 0 .. n_rows - 1; `start` is the position of `ids[0]` in its trace.
    """
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise DataError(
            f"row ids are {ids.dtype} of shape {ids.shape}, expected one dimension of integers",
            hint="factorise ids that are not dense row numbers first",
        )
    if ids.dtype.itemsize < 4 or not ids.dtype.isnative:
        ids = ids.astype(np.int64)
    unsigned = ids.view(f"u{ids.dtype.itemsize}")  # a negative id becomes larger than any row
    if len(ids) and int(unsigned.max()) >= n_rows:
        at = int(np.flatnonzero(unsigned >= n_rows)[0])
        raise DataError(
            f"request {start + at} asks for row {int(ids[at])}, expected one of 0 to {n_rows - 1}",
            hint="factorise ids that are not dense row numbers first",
        )
    return np.require(unsigned, dtype=np.uint32, requirements=("C", "A", "W"))
