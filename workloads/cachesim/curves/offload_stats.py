"""What TorchRec's planner wants to know of a cached table: its `EmbeddingOffloadStats`, made from a trace.

`torchrec.distributed.planner` sizes the caches of embedding tables (UVM caching) by a summary of each table's LRU
miss-ratio curve, and leaves it to the user to make one. Its cache serves the distinct rows of a global batch, each
once, so the distances here are those of the batches without duplicates. Its curve goes from no row (all miss) to all
rows of the table (none misses): first lookups, which miss at any size, are not in it.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import DataError, UnavailableError, UsageError
from workloads.cachesim.curves.tables import requests_by_table
from workloads.cachesim.locality import FIRST, distance_counts
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.traces.trace import Trace
from workloads.cachesim.traces.writers import whole_file

BINS = 100  # one for each hundredth of the table
FORMAT = 1

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class OffloadStats:
    """The arguments of `EmbeddingOffloadStats`, and the table they are for."""

    table: str
    cacheability: float  # area under the miss-ratio curve over load factors 0 to 1: 0 caches well, 1 badly
    expected_lookups: int  # distinct rows a global batch
    mrc_hist_counts: tuple[int, ...]  # bin b of n: lookups that need more than b/n of the rows cached, up to (b+1)/n
    height: int  # rows of the table

    def expected_miss_rate(self, load_factor: float) -> float:
        """What TorchRec reads off: the share of repeated lookups that miss; 0 for a table without any."""
        total, bins = sum(self.mrc_hist_counts), len(self.mrc_hist_counts)
        rows = load_factor * self.height
        if total == 0 or rows > self.height:
            return 0.0
        if rows < 1:
            return 1.0
        bin_ = min(math.floor((rows - 1) * bins / self.height), bins - 1)
        return 1.0 - sum(self.mrc_hist_counts[: bin_ + 1]) / total

    def to_torchrec(self) -> Any:
        """The real object. Raises UnavailableError where torchrec cannot be imported."""
        try:
            import torch

            estimators = importlib.import_module("torchrec.distributed.planner.shard_estimators")
        except ImportError as error:
            raise UnavailableError(
                f"torchrec is needed for its EmbeddingOffloadStats: {error}", hint="pip install torchrec"
            ) from error
        return estimators.EmbeddingOffloadStats(
            cacheability=self.cacheability,
            expected_lookups=self.expected_lookups,
            mrc_hist_counts=torch.tensor(self.mrc_hist_counts, dtype=torch.int64),
            height=self.height,
        )


def offload_stats(
    trace: Trace, *, bins: int = BINS, heights: Sequence[int] | None = None, batch: int | None = None
) -> tuple[OffloadStats, ...]:
    """For each table of the trace. `heights` [T] are the rows of the tables where the schema does not tell.

    `batch`: samples of a global batch (requests, where the trace tells no samples) instead of the trace's batches.
    Raises UsageError where rows or batches are not known.
    """
    if bins < 1:
        raise UsageError(f"a miss-ratio histogram needs at least 1 bin, not {bins}")
    if batch is not None:
        trace = trace.in_batches_of(batch)
    if trace.batch_starts is None:
        raise UsageError(
            f"{trace.source} does not tell batches, and TorchRec counts the distinct rows of each",
            hint="say how many samples make a global batch",
        )
    known = _heights(trace, heights)
    batches = max(1, int(np.count_nonzero(np.diff(trace.batch_starts))))
    distinct = dataclasses.replace(
        trace, ids=distinct_in_batches(trace.ids, trace.unique, trace.batch_starts), bag_offsets=None, batch_starts=None
    )
    unique = trace.table_unique()
    found = []
    for table, ids, _ in requests_by_table(distinct):
        counts = distance_counts(ids, int(unique[table]))
        counts[FIRST] = 0
        found.append(_stats(trace.schema.names[table], counts, ids.size, batches, bins, known[table]))
    return tuple(found)


def distinct_in_batches(ids: Ids, unique: int, batch_starts: Integers) -> Ids:
    """The first request of each row in each batch, in order."""
    kept = np.empty(ids.size, np.int32)
    count = _distinct(np.ascontiguousarray(ids), np.asarray(batch_starts), np.full(unique, -1, np.int64), kept)
    return kept[:count].copy()


def write_offload_stats(stats: Sequence[OffloadStats], path: Path) -> None:
    """As JSON, complete or not at all."""
    text = json.dumps({"format": FORMAT, "tables": [dataclasses.asdict(each) for each in stats]}, indent=1)
    with whole_file(path) as file:
        file.write(text.encode() + b"\n")


def read_offload_stats(path: Path) -> tuple[OffloadStats, ...]:
    """What `write_offload_stats` wrote. Raises DataError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(f"{path} has format {content['format']!r}, expected {FORMAT}")
        return tuple(
            OffloadStats(
                str(entry["table"]),
                float(entry["cacheability"]),
                int(entry["expected_lookups"]),
                tuple(int(count) for count in entry["mrc_hist_counts"]),
                int(entry["height"]),
            )
            for entry in content["tables"]
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no offload statistics: {error}") from error


def _stats(table: str, counts: Integers, lookups: int, batches: int, bins: int, height: int) -> OffloadStats:
    """`counts` [R + 1] lookups by stack distance, first ones not counted."""
    distances = np.flatnonzero(counts)
    repeated = counts[distances]
    # a distance D hits from D rows on, and the planner looks for size - 1 in the bins
    histogram = np.zeros(bins, np.int64)
    np.add.at(histogram, np.minimum((distances - 1) * bins // height, bins - 1), repeated)
    total = int(repeated.sum())
    # without repeats no size turns a lookup into a hit; without lookups no size is needed
    cacheability = float(lookups > 0)
    if total:
        cacheability = float((distances * (repeated / total)).sum() / height)
    return OffloadStats(table, cacheability, round(lookups / batches), tuple(histogram.tolist()), height)


def _heights(trace: Trace, heights: Sequence[int] | None) -> list[int]:
    if heights is not None and len(heights) != trace.tables:
        raise UsageError(f"{len(heights)} numbers of rows are given for the {trace.tables} tables of {trace.source}")
    found = []
    for number, (table, unique) in enumerate(zip(trace.schema.tables, trace.table_unique().tolist(), strict=True)):
        rows = table.rows if heights is None else heights[number]
        if rows is None:
            raise UsageError(
                f"the number of rows of table {table.name!r} is not known, and load factors are shares of it",
                hint="give a schema with the rows of each table",
            )
        if rows < max(unique, 1):
            raise UsageError(f"table {table.name!r} is said to have {rows:,} rows, but {unique:,} are looked up")
        found.append(int(rows))
    return found


@compiled
def _distinct(ids: Ids, batch_starts: Integers, seen_in: Integers, kept: Ids) -> int:
    """seen_in [R]: the last batch each row was seen in, -1 before the first."""
    count = 0
    for batch in range(batch_starts.size - 1):
        for i in range(batch_starts[batch], batch_starts[batch + 1]):
            row = ids[i]
            if seen_in[row] != batch:
                seen_in[row] = batch
                kept[count] = row
                count += 1
    return count
