"""Lookups whose rows are reused as often as a published histogram says, in random order.

Meta's data sets come with the shares of rows and of requests by how often a row is looked up in one batch, in powers
of two (`locality_stats.txt` of github.com/facebookresearch/dlrm_datasets, MIT). A trace with those shares is the
honest synthetic stand-in for files of gigabytes; it has their skew, but no bursts and no order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.api import UsageError
from harness.errors import did_you_mean
from workloads.cachesim.generators.spec import (
    GENERATOR_VERSION,
    PIECE_REQUESTS,
    GeneratorSpec,
    Integers,
    Progress,
    trace_in_order,
)
from workloads.cachesim.traces.trace import Trace
from workloads.common.counter import stream


@dataclass(frozen=True, slots=True)
class ReuseHistogram:
    """Published shares by the number of lookups of a row; bin 0 is 1, bin b is (2^(b - 1), 2^b], the last is open."""

    requests: int
    unique: int
    row_shares: tuple[float, ...]
    request_shares: tuple[float, ...]
    source: str

    def mean_lookups(self) -> list[float]:
        """Lookups a row in each bin: from both shares where three digits tell them, else of a 1/x density."""
        means = []
        for bin_, (rows, requests) in enumerate(zip(self.row_shares, self.request_shares, strict=True)):
            low, high = (1 << bin_ >> 1), 1 << bin_
            if rows >= 0.02:
                mean = requests * self.requests / (rows * self.unique)
                means.append(min(max(mean, low + 1.0), float(high)))
            else:
                means.append(max(low * 1.4427, 1.0))  # (high - low) / ln(high / low)
        return means


HISTOGRAMS = {
    "meta-2021": ReuseHistogram(
        requests=468_084_223,
        unique=61_644_628,
        row_shares=(.423, .165, .167, .121, .073, .031, .011, .004, .002, .001, .001, 0, 0, 0, 0, 0, 0),
        request_shares=(
            *(.056, .043, .075, .099, .112, .091, .064, .052, .049),
            *(.050, .054, .058, .061, .052, .038, .026, .020),
        ),
        source="dlrm_datasets, embedding_bag/2021, fbgemm_t856_bs65536_0",
    ),
    "meta-2021-large": ReuseHistogram(
        requests=887_017_990,
        unique=128_435_723,
        row_shares=(.473, .152, .139, .112, .072, .032, .011, .005, .002, .001, 0, 0, 0, 0, 0, 0, 0),
        request_shares=(
            *(.069, .044, .068, .101, .121, .104, .073, .058, .052),
            *(.050, .049, .048, .048, .043, .031, .023, .019),
        ),
        source="dlrm_datasets, embedding_bag/2021, fbgemm_t856_bs65536",
    ),
    "meta-2022": ReuseHistogram(
        requests=1_405_163_864,
        unique=110_259_238,
        row_shares=(.342, .144, .149, .138, .112, .068, .029, .010, .004, .002, .001, .001, 0, 0, 0, 0, 0),
        request_shares=(
            *(.027, .023, .040, .068, .105, .120, .099, .070, .059),
            *(.054, .040, .072, .064, .047, .021, .017, .076),
        ),
        source="dlrm_datasets, embedding_bag/2022, fbgemm_t788_bs131072_0",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReuseSpec(GeneratorSpec):
    """`histogram` is one of `HISTOGRAMS`. One table: what is published is of all tables together."""

    histogram: str = "meta-2021"

    def __post_init__(self) -> None:
        GeneratorSpec.__post_init__(self)
        if self.histogram not in HISTOGRAMS:
            raise UsageError(
                f"unknown reuse histogram {self.histogram!r}", hint=did_you_mean(self.histogram, HISTOGRAMS)
            )
        if self.tables != 1:
            raise UsageError("a reuse histogram describes one table; tables must be 1")

    def distinct_rows(self) -> int:
        """The share of the source."""
        histogram = HISTOGRAMS[self.histogram]
        return math.ceil(self.samples * self.pooling * (histogram.unique / histogram.requests))

    def working_bytes(self) -> int:
        """The rows and their order, both of all requests, and how often each row comes."""
        return 20 * self.samples * self.pooling


def generate_reuse(spec: ReuseSpec, progress: Progress | None = None) -> Trace:
    """Rows are looked up as often as in the source, however few of them a short trace has room for.

    A trace of fewer requests than a row of the upper bins gets has one row in their place. Takes 24 bytes a request.
    """
    counts = row_counts(HISTOGRAMS[spec.histogram], spec.samples * spec.pooling)
    rows = np.repeat(np.arange(counts.size), counts)
    order = np.argsort(stream(spec.seed, GENERATOR_VERSION, "reuse order").words(0, rows.size), kind="stable")
    rows = rows[order]
    pieces = (rows[start : start + PIECE_REQUESTS] for start in range(0, rows.size, PIECE_REQUESTS))
    return trace_in_order(spec, pieces, progress)


def row_counts(histogram: ReuseHistogram, requests: int) -> Integers:
    """How often each row is looked up, so that they sum to `requests` and fall into the bins by its shares."""
    shares = np.array(histogram.request_shares)
    edges = np.rint(np.cumsum(shares) / shares.sum() * requests).astype(np.int64)
    counts = []
    for of_bin, mean in zip(np.diff(edges, prepend=0).tolist(), histogram.mean_lookups(), strict=True):
        if of_bin:
            rows = max(1, round(of_bin / mean))
            each, more = divmod(of_bin, rows)
            counts.append(np.full(rows, each, np.int64))
            counts[-1][:more] += 1
    return np.concatenate(counts)
