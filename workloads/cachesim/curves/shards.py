"""SHARDS: an LRU curve from a sample of the rows, with its error.

Waldspurger, Park, Garthwaite, Ahmad, "Efficient MRC Construction with SHARDS" (FAST 2015): all requests of the rows
whose hash is below a threshold; their stack distances are those of the whole trace times the rate. `rate` fixes the
threshold. `rows` fixes how many rows are sampled, as in the paper's fixed-size form; that one lowers its threshold as
rows appear, whereas here the rows are known, so the threshold is where it would end. `adjusted` is the paper's
SHARDS-adj: requests that are missing from the sample (or too many) are counted as the shortest distances, where hot
rows that the hash left out (or took in) would be.

Embedding traces are skewed, and a few hot rows decide over the error, whereas the exact curve costs a pass: SHARDS is
for traces where even that is too much. Its error is shown against the exact curve, or by the spread over hashes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.curves.curve import Curve
from workloads.cachesim.locality import FIRST, distance_counts
from workloads.common.counter import stream

HASH_VERSION = 1  # raised when the same seed samples other rows
MOST_WORD = (1 << 64) - 1

Ids = npt.NDArray[np.int32]
Ratios = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """An estimated curve (its hits rounded, its sizes those the sample tells apart), and what it is made from."""

    curve: Curve
    rate: float  # share of the rows that the threshold lets through
    sampled_rows: int
    sampled_requests: int
    adjusted: bool

    def hit_ratios_at(self, sizes: npt.NDArray[np.int64]) -> Ratios:
        """Estimates at any sizes: that of the largest size known that is not above."""
        places = np.searchsorted(self.curve.sizes, sizes, side="right") - 1
        return self.curve.hits[places] / self.curve.requests


@dataclass(frozen=True, slots=True)
class ShardsError:
    """Absolute errors of the hit ratio over all sizes from 1 row to all rows."""

    mean: float
    largest: float
    largest_at: int  # rows


def shards_curve(
    ids: Ids,
    unique: int,
    *,
    rate: float | None = None,
    rows: int | None = None,
    adjusted: bool = True,
    seed: int = 0,
    table: str | None = None,
) -> Shards:
    """The LRU curve of `ids` [N] (dense, 0 .. unique - 1) estimated at a `rate` in (0, 1] or from `rows` rows.

    Raises UsageError unless exactly one of both is given, for one out of range, and for a sample without a row.
    """
    if (rate is None) == (rows is None):
        raise UsageError("a SHARDS curve needs either a rate or a number of rows")
    if len(ids) == 0:
        raise UsageError("there is no request to sample")
    words = stream(seed, HASH_VERSION, "shards rows").words(0, unique)
    if rate is not None:
        if not 0 < rate <= 1:
            raise UsageError(f"a SHARDS rate must lie in (0, 1], not {rate}", hint="0.01 samples 1 % of the rows")
        keep = words <= np.uint64(min(int(rate * 2.0**64), MOST_WORD))
    else:
        assert rows is not None
        if rows < 1:
            raise UsageError(f"a SHARDS curve needs at least 1 row, not {rows}")
        limit = np.partition(words, rows)[rows] if rows < unique else np.uint64(MOST_WORD)
        keep = words < limit if rows < unique else np.ones(unique, np.bool_)
        rate = 1.0 if rows >= unique else float(limit) / 2.0**64
    sampled_rows = int(np.count_nonzero(keep))
    if sampled_rows == 0:
        raise UsageError(f"a rate of {rate} leaves none of the {unique:,} rows", hint="choose a higher rate")
    sample = (np.cumsum(keep, dtype=np.int64) - 1).astype(np.int32)[ids[keep[ids]]]
    counts = distance_counts(sample, sampled_rows).astype(np.float64)
    counts[FIRST] = 0
    expected = len(ids) * rate if adjusted else float(sample.size)
    if adjusted:
        counts[1] += expected - sample.size
    distances = np.arange(sampled_rows + 1)
    sizes = np.minimum(np.round(distances / rate).astype(np.int64), unique)
    kept = np.append(np.diff(sizes) > 0, True)  # of equal sizes the last
    ratios = np.clip(np.cumsum(counts)[kept] / expected, 0.0, 1.0)
    hits = np.round(ratios * len(ids)).astype(np.int64)
    curve = Curve("lru", table, len(ids), unique, sizes[kept], hits, estimated=True)
    return Shards(curve, rate, sampled_rows, int(sample.size), adjusted)


def shards_error(estimate: Shards, exact: Curve) -> ShardsError:
    """Against the complete exact curve of the same requests."""
    ratios = exact.hit_ratios
    if not exact.complete or ratios is None or exact.requests != estimate.curve.requests:
        raise UsageError("the error of a SHARDS curve is told against the complete exact curve of the same requests")
    sizes = exact.sizes[1:]
    errors = np.abs(estimate.hit_ratios_at(sizes) - ratios[1:])
    worst = int(np.argmax(errors))
    return ShardsError(float(errors.mean()), float(errors[worst]), int(sizes[worst]))


def shards_spread(estimates: list[Shards], sizes: npt.NDArray[np.int64]) -> tuple[Ratios, Ratios]:
    """Mean and standard deviation [K] of the hit ratio at `sizes` over estimates with other seeds.

    The uncertainty of a single estimate where the exact curve is not known. Raises UsageError for fewer than two.
    """
    if len(estimates) < 2:
        raise UsageError(f"a spread needs at least 2 estimates with other seeds, not {len(estimates)}")
    ratios = np.stack([each.hit_ratios_at(sizes) for each in estimates])
    return ratios.mean(axis=0), ratios.std(axis=0, ddof=1)
