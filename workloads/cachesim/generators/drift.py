"""Zipf lookups whose popular rows change: at every window a share of the ranks is taken over by rows never seen before.

The law over ranks stays, so the skew inside a window is that of plain Zipf; what a cache or a model learned of old
rows wears off. Which ranks change when is spread evenly: with a turnover of 0.1 every rank changes hands once in ten
windows, each at its own time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.api import UsageError
from workloads.cachesim.generators.spec import (
    GENERATOR_VERSION,
    GeneratorSpec,
    Integers,
    Progress,
    check_share,
    trace_by_table,
)
from workloads.cachesim.generators.zipf import LARGEST_EXPONENT, check_rows
from workloads.cachesim.traces.trace import Trace
from workloads.common.counter import stream
from workloads.common.sampling import Scatter, zipf_table

PHASE_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSpec(GeneratorSpec):
    """`rows` are popular at a time in each table; `window` is counted in lookups of a table."""

    rows: int = 100_000
    exponent: float = 1.0
    window: int = 100_000
    turnover: float = 0.1

    def __post_init__(self) -> None:
        GeneratorSpec.__post_init__(self)
        check_rows(self.rows)
        check_share("exponent", self.exponent, 0.0, LARGEST_EXPONENT)
        check_share("turnover", self.turnover, 0.0, 1.0)
        if self.window < 1:
            raise UsageError(f"window must be at least 1, not {self.window}")

    def distinct_rows(self) -> int:
        """All popular rows, and those that take their places window after window."""
        draws = self.samples * self.pooling
        return self.tables * min(draws, math.ceil(self.rows * (1 + self.turnover * (draws / self.window))))


def generate_drift(spec: DriftSpec, progress: Progress | None = None) -> Trace:
    """The row of a rank in its g-th generation has the id g * rows + rank's place."""
    law = zipf_table(spec.rows, spec.exponent)
    draws = [stream(spec.seed, GENERATOR_VERSION, f"drift table {table}") for table in range(spec.tables)]
    phases = [stream(spec.seed, GENERATOR_VERSION, f"drift phases {table}") for table in range(spec.tables)]
    scatters = [
        Scatter.of(stream(spec.seed, GENERATOR_VERSION, f"drift rows {table}"), spec.rows)
        for table in range(spec.tables)
    ]
    turnover = round(spec.turnover * (1 << PHASE_BITS))

    def make(table: int, start: int, stop: int) -> Integers:
        words = draws[table].words(start, stop)
        ranks = law.values(words, law.cells(words))
        phase = (phases[table].at(ranks) >> np.uint64(64 - PHASE_BITS)).astype(np.int64)
        window = np.arange(start, stop) // spec.window
        generation = (window * turnover + phase) >> PHASE_BITS
        return generation * spec.rows + scatters[table](ranks)

    return trace_by_table(spec, make, progress)
