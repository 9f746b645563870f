"""Bags of users that belong to clusters, in which one lookup foretells the next as strongly as asked for.

Each cluster has its own Zipf law over the rows of every table, and each row a fixed successor in its cluster (the next
one on a cycle). Inside a bag a lookup is the successor of the one before it with a probability q, else a draw from the
cluster's law; so learned prefetching has something to find, and how much is a setting. A row is followed by its
successor both now and the last time with probability (q (P - 1) / P)^2 for bags of P lookups, which begin with a draw;
that is what `predictability` sets, and what `inspect` measures but for chance and the first look at a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import UsageError
from workloads.cachesim.generators.spec import (
    GENERATOR_VERSION,
    GeneratorSpec,
    Integers,
    Progress,
    check_share,
    threshold,
    trace_by_table,
)
from workloads.cachesim.generators.zipf import LARGEST_EXPONENT, check_rows
from workloads.cachesim.traces.trace import Trace
from workloads.common.counter import below, stream
from workloads.common.sampling import Scatter, zipf_table

STRONGEST = 0.5
MOST_CLUSTERS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelatedSpec(GeneratorSpec):
    """`rows` of each table are shared evenly among the clusters; `predictability` lies in [0, 0.5]."""

    pooling: int = 10
    rows: int = 100_000
    clusters: int = 64
    exponent: float = 0.8
    predictability: float = 0.3

    def __post_init__(self) -> None:
        GeneratorSpec.__post_init__(self)
        check_rows(self.rows)
        check_share("exponent", self.exponent, 0.0, LARGEST_EXPONENT)
        check_share("predictability", self.predictability, 0.0, STRONGEST)
        if not 1 <= self.clusters <= min(self.rows, MOST_CLUSTERS):
            raise UsageError(
                f"clusters must lie in [1, {min(self.rows, MOST_CLUSTERS):,}] for {self.rows:,} rows, "
                f"not {self.clusters}"
            )
        if self.successor_share > 1:
            raise UsageError(
                f"bags of {self.pooling} lookups allow a predictability of at most "
                f"{((self.pooling - 1) / self.pooling) ** 2:.3g}, not {self.predictability:g}",
                hint="raise pooling: the first lookup of a bag follows nothing",
            )

    def distinct_rows(self) -> int:
        """All of them, where there are lookups enough."""
        return self.tables * min(self.samples * self.pooling, self.rows)

    @property
    def successor_share(self) -> float:
        """The probability q with which a lookup inside a bag is the successor of the one before it."""
        if self.predictability == 0:
            return 0.0
        return math.sqrt(self.predictability) * self.pooling / max(self.pooling - 1, 1e-9)


def generate_correlated(spec: CorrelatedSpec, progress: Progress | None = None) -> Trace:
    """A sample's user, and so its cluster, is the same in all tables."""
    size = spec.rows // spec.clusters  # of a cluster; what is left of the rows is not looked up
    law = zipf_table(size, spec.exponent)
    users = stream(spec.seed, GENERATOR_VERSION, "correlated users")
    draws = [stream(spec.seed, GENERATOR_VERSION, f"correlated table {table}") for table in range(spec.tables)]
    turns = [stream(spec.seed, GENERATOR_VERSION, f"correlated turns {table}") for table in range(spec.tables)]
    ranks = [
        Scatter.of(stream(spec.seed, GENERATOR_VERSION, f"correlated ranks {table}"), size)
        for table in range(spec.tables)
    ]
    rows = [
        Scatter.of(stream(spec.seed, GENERATOR_VERSION, f"correlated rows {table}"), spec.rows)
        for table in range(spec.tables)
    ]
    turning = spec.successor_share > 0
    limit = threshold(spec.successor_share)

    def make(table: int, start: int, stop: int) -> Integers:
        words = draws[table].words(start, stop)
        places = ranks[table](law.values(words, law.cells(words)))
        cluster = below(users.words(start // spec.pooling, stop // spec.pooling), spec.clusters)
        if turning:
            _follow(places, turns[table].words(start, stop) <= limit, spec.pooling, size)
        return rows[table](places + np.repeat(cluster, spec.pooling) * size)

    return trace_by_table(spec, make, progress)


@njit(cache=True, nogil=True)
def _follow(places: Integers, turns: npt.NDArray[np.bool_], pooling: int, size: int) -> None:
    """Replaces a place by the one behind the place before it, where the turn says so; bags begin with a draw."""
    for i in range(places.size):
        if i % pooling and turns[i]:
            following = places[i - 1] + 1
            places[i] = following if following < size else 0
