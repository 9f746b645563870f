"""What a policy's engine is given, what it counts, and what comes out.

An engine holds the state of one cache and is fed pieces of the trace in order; after any piece its counts are exact,
so warm-up, windows and progress need nothing more from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

RowIds = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[Any]  # any integer width

HITS, INSERTIONS, EVICTIONS = 0, 1, 2
NO_MASK: Bytes = np.empty(0, dtype=np.uint8)
RENUMBER_AT = 1 << 30  # stamps are renumbered between pieces long before 32 bits overflow
WIDE_AT = 1 << 29  # stamps that must tell more apart take 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One cache over one trace. `requests` is the length of the whole trace, warm-up included.

    `lines` is how many rows can ever be resident: the capacity, or all rows where there are fewer. Parts of a cache
    (windows, segments, ghosts) are shares of the capacity itself.
    `train` is the number of leading requests that a trained policy looks at. `next_use` is needed by policies that
    look ahead (`next_use.next_uses`).
    """

    n_rows: int
    capacity: int
    requests: int
    train: int = 0
    seed: int = 0
    next_use: Integers | None = None

    @property
    def lines(self) -> int:
        return min(self.capacity, self.n_rows)


class Engine(Protocol):
    """The state of one cache. Made from a `Setup`; `counts` is int64 [3]: hits, insertions, evictions."""

    counts: npt.NDArray[np.int64]

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        """Replays the next requests. Writes 1 (hit) or 0 into `mask`, unless that is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """Exact counts over the counted requests.

    A miss is inserted or, by a policy that may refuse, bypassed. `insertions` and `evictions` are None where a
    plug-in does not count them.
    """

    requests: int
    hits: int
    insertions: int | None
    evictions: int | None

    @property
    def misses(self) -> int:
        return self.requests - self.hits

    @property
    def bypassed(self) -> int | None:
        return None if self.insertions is None else self.misses - self.insertions

    @property
    def hit_ratio(self) -> float | None:
        return self.hits / self.requests if self.requests else None


def new_counts() -> npt.NDArray[np.int64]:
    return np.zeros(3, dtype=np.int64)


def new_stamps(n_rows: int, span: int) -> Integers:
    """One stamp a row, 0 for never, of which the last `span` must be told apart."""
    width: Any = np.int32 if span <= WIDE_AT else np.int64
    return np.zeros(n_rows, dtype=width)


def renumber(stamps: Integers, expired: int) -> None:
    """Lowers stamps by `expired`; those not above it become 0, which means never."""
    np.subtract(stamps, expired, out=stamps)
    np.maximum(stamps, 0, out=stamps)
