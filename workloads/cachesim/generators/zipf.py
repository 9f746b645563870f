"""Independent references with a Zipf law: row of rank k is looked up with probability proportional to k^-s.

Two forms. `generate_zipf` is the project's own, of integers that every machine draws alike. `reference_zipf_ids` is
the trace that published hit counts of this project and others were made with (NumPy's PCG64, seed 42), which has to be
reproduced bit for bit. Neither has any order to learn from: what it shows of policies does not carry over to real
lookups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.generators.spec import (
    GENERATOR_VERSION,
    GeneratorSpec,
    Integers,
    Progress,
    check_share,
    trace_by_table,
)
from workloads.cachesim.traces.builder import Requests, TraceBuilder
from workloads.cachesim.traces.trace import Trace
from workloads.common.counter import stream
from workloads.common.sampling import Scatter, zipf_table

REFERENCE_SEED = 42
REFERENCE_ROWS = 1_000_000
REFERENCE_BYTES_PER_REQUEST = 32  # drawn at once: words, ranks, ids, rows
REFERENCE_REQUESTS = 10_000_000
REFERENCE_SHA256 = "0b263aee9a1f280d6dc2250517708799d1564a4d9dbdbe9fb290573a723703c5"  # of the ids, little-endian int64
LARGEST_EXPONENT = 4.0
MOST_ROWS = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipfSpec(GeneratorSpec):
    """`rows` of each table and the exponent s, from 0 (uniform) to 4, which is rounded to a multiple of 1/256."""

    rows: int = 1_000_000
    exponent: float = 1.0

    def __post_init__(self) -> None:
        GeneratorSpec.__post_init__(self)
        check_rows(self.rows)
        check_share("exponent", self.exponent, 0.0, LARGEST_EXPONENT)

    def distinct_rows(self) -> int:
        """As many as the law leads one to expect."""
        law, draws = zipf_table(self.rows, self.exponent), self.samples * self.pooling
        of_row = np.array(law.mass, np.float64) / sum(law.mass) / law.width
        return self.tables * math.ceil(float((law.width * -np.expm1(-draws * of_row)).sum()))


def generate_zipf(spec: ZipfSpec, progress: Progress | None = None) -> Trace:
    """The tables are drawn independently; popular rows are scattered over the row numbers."""
    law = zipf_table(spec.rows, spec.exponent)
    streams = [stream(spec.seed, GENERATOR_VERSION, f"zipf table {table}") for table in range(spec.tables)]
    scatters = [
        Scatter.of(stream(spec.seed, GENERATOR_VERSION, f"zipf rows {table}"), spec.rows)
        for table in range(spec.tables)
    ]

    def make(table: int, start: int, stop: int) -> Integers:
        words = streams[table].words(start, stop)
        return scatters[table](law.values(words, law.cells(words)))

    return trace_by_table(spec, make, progress)


def reference_zipf_ids(
    requests: int = REFERENCE_REQUESTS,
    rows: int = REFERENCE_ROWS,
    exponent: float = 1.0,
    seed: int = REFERENCE_SEED,
) -> npt.NDArray[np.int64]:
    """[requests] ids: ranks by inversion of the cumulated weights, then a permutation from the same PCG64.

    With the defaults their SHA-256 is `REFERENCE_SHA256`. Any exponent not below 0 is accepted.
    """
    check_rows(rows)
    if requests < 1 or exponent < 0:
        raise UsageError(f"the reference trace needs requests and an exponent from 0, not {requests} and {exponent}")
    random = np.random.Generator(np.random.PCG64(seed))
    law = np.cumsum(np.arange(1, rows + 1, dtype=np.float64) ** -exponent)
    law /= law[-1]
    ranks = np.searchsorted(law, random.random(requests), side="right")
    return random.permutation(rows)[ranks]


def reference_zipf(requests: int = REFERENCE_REQUESTS) -> Trace:
    """The reference trace; fewer requests are a trace of their own, not a beginning of it."""
    builder = TraceBuilder()
    builder.add(Requests(reference_zipf_ids(requests)), "the generator")
    return builder.finish(
        f"generated: reference zipf requests={requests} rows={REFERENCE_ROWS} PCG64({REFERENCE_SEED})"
    )


def check_rows(rows: int) -> None:
    """Raises UsageError where a table has no row or too many."""
    if not 1 <= rows <= MOST_ROWS:
        raise UsageError(f"a table needs 1 to {MOST_ROWS:,} rows, not {rows}")
