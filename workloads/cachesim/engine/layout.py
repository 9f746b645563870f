"""Which rows compete for which lines: one cache for all tables or one for each, as a whole or in sets of ways.

A group is what a victim is chosen from: a fully associative cache, or one set. Every row belongs to one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.traces.trace import Trace

# Finaliser of MurmurHash3 (Austin Appleby, public domain), 64 bits: every bit of the row decides its set.
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """`group_of_row` [R], `base` [G + 1] where each group's lines begin, `cache_lines` the lines of each cache."""

    group_of_row: npt.NDArray[np.int32]
    base: Integers
    cache_lines: tuple[int, ...]

    @property
    def groups(self) -> int:
        return self.base.size - 1

    @property
    def lines(self) -> int:
        return int(self.base[-1])


def make_layout(
    trace: Trace, capacities: Sequence[int], *, ways: int | None = None, whole_sets: bool = False
) -> Layout:
    """`capacities` in rows: one for a unified cache, or one for each table.

    With `ways` a cache has as many whole sets as fit, at least one; with `whole_sets` as many as are needed (FBGEMM
    rounds its load factor up). UsageError where a capacity is below one set.
    """
    per_table = len(capacities) > 1 or trace.tables == 1
    if per_table and len(capacities) != trace.tables:
        raise ValueError(f"{len(capacities)} capacities for {trace.tables} tables")
    cache_of_row = trace.table_of_row() if per_table else np.zeros(trace.unique, np.int32)
    if ways is None:
        present = np.bincount(cache_of_row, minlength=len(capacities))
        sizes = np.minimum(np.array(capacities, np.int64), present)
        return Layout(cache_of_row, _edges(sizes), tuple(int(each) for each in sizes))
    sets = []
    for capacity in capacities:
        number = -(-capacity // ways) if whole_sets else capacity // ways
        if number < 1 and capacity > 0:
            raise UsageError(
                f"a capacity of {capacity:,} rows is below one set of {ways} ways", hint="choose a larger capacity"
            )
        sets.append(number)
    counts = np.array(sets, np.int64)
    first = np.concatenate(([0], np.cumsum(counts)))
    of_row = np.maximum(counts, 1)[cache_of_row].astype(np.uint64)
    group = first[cache_of_row] + (hashed(linear_rows(trace)) % of_row).astype(np.int64)
    return Layout(
        group.astype(np.int32),
        np.arange(int(first[-1]) + 1, dtype=np.int64) * ways,
        tuple(int(each) * ways for each in sets),
    )


def linear_rows(trace: Trace) -> Integers:
    """[R] the number of each row over all tables as the model has it: rows of the tables before it, plus its own.

    Where ids are no row numbers (strings, negative, or beyond the table's rows) the trace's dense numbers stand in.
    """
    keys = trace.keys.integers
    rows = [table.rows for table in trace.schema.tables]
    largest = [int(keys[trace.rows_in_table(t)].max(initial=-1)) for t in range(trace.tables)]
    fits = all(known is None or most < known for known, most in zip(rows, largest, strict=True))
    sizes = [most + 1 if known is None else known for known, most in zip(rows, largest, strict=True)]
    if any(trace.keys.textual) or not fits or int(keys.min(initial=0)) < 0 or sum(sizes) >= 1 << 62:
        return np.arange(trace.unique, dtype=np.int64)
    found: Integers = keys + np.repeat(np.cumsum([0, *sizes[:-1]]), trace.table_unique())
    return found


def hashed(numbers: Integers) -> npt.NDArray[np.uint64]:
    """A bijection of 64-bit numbers."""
    word = numbers.view(np.uint64).copy()
    with np.errstate(over="ignore"):
        for factor in (_FIRST, _SECOND):
            word ^= word >> _SHIFT
            word *= factor
        word ^= word >> _SHIFT
    return word


def _edges(sizes: Integers) -> Integers:
    edges: Integers = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return edges
