"""What all generated traces share: how many lookups, in which tables and bags, and how they become a trace.

Lookups are functions of (seed, generator version, position) through `workloads.common.counter`, so a generator gives
the same bytes on every machine and in pieces of any size; see `counter` for why NumPy's distributions are not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from harness.api import DataIdentity, UsageError
from workloads.cachesim.traces.builder import Column, Requests, Samples, TraceBuilder
from workloads.cachesim.traces.formats import memory_bytes as builder_bytes
from workloads.cachesim.traces.schema import Schema
from workloads.cachesim.traces.trace import Trace

GENERATOR_VERSION = 1  # raised when any generator's bytes change
PIECE_REQUESTS = 1 << 20
PIECE_BYTES_PER_REQUEST = 96  # random words, ranks, ids and rows of a piece being drawn
BATCH_BYTES = 24  # where a batch starts, and two copies on the way

Integers = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSpec:
    """Size and shape. With several tables, or bags of several lookups, the trace has samples; else it has none.

    A sample makes `pooling` lookups in each table; `requests` are rounded down to whole samples.
    """

    requests: int = 1_000_000
    tables: int = 1
    pooling: int = 1
    batch_size: int | None = None  # samples
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("requests", "tables", "pooling", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        if self.samples < 1:
            raise UsageError(
                f"{self.requests} requests do not make one sample of {self.tables} tables with {self.pooling} lookups"
            )

    @property
    def samples(self) -> int:
        return self.requests // (self.tables * self.pooling)

    @property
    def bagged(self) -> bool:
        return self.tables * self.pooling > 1

    @property
    def name(self) -> str:
        return type(self).__name__.removesuffix("Spec").lower()

    def distinct_rows(self) -> int:
        """About how many rows are looked up, and rather too many than too few; for memory."""
        return self.samples * self.tables * self.pooling

    def working_bytes(self) -> int:
        """What a generator holds of all requests at once beside the builder."""
        return 0


def memory_bytes(spec: GeneratorSpec) -> int:
    """Bytes that making the trace takes at most: what the builder holds, the generator's own, a piece being drawn."""
    of_sample = spec.tables * spec.pooling
    requests = spec.samples * of_sample
    bags = spec.samples * spec.tables if spec.bagged else 0
    held = builder_bytes(requests, spec.distinct_rows(), tables=spec.tables, bags=2 * bags)  # doubled when full
    batches = 0 if spec.batch_size is None else BATCH_BYTES * (spec.samples // spec.batch_size + 1)
    piece = PIECE_BYTES_PER_REQUEST * min(requests, max(PIECE_REQUESTS, of_sample))
    return held + spec.working_bytes() + batches + piece


def check_share(name: str, value: float, low: float, high: float) -> None:
    """Raises UsageError where a number lies outside [low, high]."""
    if not low <= value <= high:
        raise UsageError(f"{name} must lie in [{low:g}, {high:g}], not {value:g}")


def threshold(share: float) -> np.uint64:
    """A word is at most this with probability `share`, above 0."""
    return np.uint64(max(0, min(int(share * 2.0**64), 1 << 64) - 1))


def trace_by_table(
    spec: GeneratorSpec, make: Callable[[int, int, int], Integers], progress: Progress | None = None
) -> Trace:
    """A trace whose tables are drawn apart: `make(table, start, stop)` gives lookups start to stop - 1 of a table."""
    builder = TraceBuilder()
    piece = max(1, PIECE_REQUESTS // (spec.tables * spec.pooling))
    for start in range(0, spec.samples, piece):
        stop = min(start + piece, spec.samples)
        drawn = [make(table, start * spec.pooling, stop * spec.pooling) for table in range(spec.tables)]
        if spec.bagged:
            lengths = np.full(stop - start, spec.pooling, np.int64)
            columns = [Column(values, lengths) for values in drawn]
            builder.add(Samples(columns, stop - start, Schema.unnamed(spec.tables)), "the generator")
        else:
            builder.add(Requests(drawn[0]), "the generator")
        if progress is not None:
            progress(stop, spec.samples)
    return builder.finish(describe(spec), batch_size=spec.batch_size)


def trace_in_order(spec: GeneratorSpec, pieces: Iterator[Integers], progress: Progress | None = None) -> Trace:
    """A trace of one table from its lookups in order."""
    builder = TraceBuilder()
    left = np.empty(0, np.int64)
    wanted = spec.samples * spec.pooling
    for piece in pieces:
        whole = np.concatenate((left, piece))
        used = whole.size // spec.pooling * spec.pooling
        values, left = whole[:used], whole[used:]
        if spec.bagged and used:
            samples = used // spec.pooling
            column = Column(values, np.full(samples, spec.pooling, np.int64))
            builder.add(Samples([column], samples), "the generator")
        elif used:
            builder.add(Requests(values), "the generator")
        if progress is not None:
            progress(min(builder.requests, wanted), wanted)
    return builder.finish(describe(spec), batch_size=spec.batch_size)


def describe(spec: GeneratorSpec) -> str:
    """The generator and its settings, as text."""
    settings = " ".join(f"{key}={value}" for key, value in asdict(spec).items() if not isinstance(value, (dict, tuple)))
    return f"generated: {spec.name} {settings}"


def identity(spec: GeneratorSpec, requests: int) -> DataIdentity:
    """The identity of a generated trace: generator, version and every setting."""
    text = json.dumps([spec.name, GENERATOR_VERSION, asdict(spec)], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return DataIdentity(fingerprint=digest, kind="generated", rows=requests, description=describe(spec))
