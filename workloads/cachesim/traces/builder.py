"""From blocks of a source to a `Trace`: rows are numbered as they appear, bags are put into sample order.

Readers yield blocks of bounded size; the builder holds 4 bytes a request (8 with several tables), 8 a bag and some
64 a distinct row. With a folder the requests go to files there and the trace is mapped from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import DataError
from workloads.cachesim.traces.factorize import MOST_ROWS, IntegerFactorizer, TextFactorizer, Texts
from workloads.cachesim.traces.schema import Schema, SchemaFile
from workloads.cachesim.traces.trace import Keys, Trace, batch_starts
from workloads.common.cache import ArrayWriter

Integers = npt.NDArray[np.int64]
Values = Integers | Texts
PASS_REQUESTS = 1 << 22  # requests renumbered at a time


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The lookups of one table by B samples: values [n], and how many each sample makes [B]; None: one each."""

    values: Values
    lengths: Integers | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """B samples, table by table."""

    columns: Sequence[Column]  # [T]
    samples: int
    schema: Schema | None = None  # the first block's counts
    ends_batch: bool = False
    row_numbers: bool = False  # values are row numbers of the table, and not just any ids
    batch: int | None = None  # samples of each batch, where the block holds several; the last may be smaller


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Lookups in order, of which no samples are known."""

    values: Values  # [n]
    table: int | Integers = 0  # of all, or of each [n]
    schema: Schema | None = None
    row_numbers: bool = False


Block = Samples | Requests


class TraceBuilder:
    """Takes blocks in order, then makes the trace.

    `limit` ends the trace after so many requests, where samples are known with the last sample that fits. Raises
    DataError where blocks contradict each other.
    """

    def __init__(self, *, folder: Path | None = None, limit: int | None = None) -> None:
        self._folder, self._limit = folder, limit
        self._factorizers: list[IntegerFactorizer | TextFactorizer | None] = []
        self._rows = _Buffer(np.int32, None if folder is None else folder / "rows.part")
        self._tables = _Buffer(np.int32, None if folder is None else folder / "tables.part")
        self._bags = _Buffer(np.int64, None if folder is None else folder / "bag_offsets.npy")
        self._schema: Schema | None = None
        self._bagged: bool | None = None
        self._row_numbers = False
        self._batch_ends: list[int] = []
        self.requests = 0

    @property
    def full(self) -> bool:
        """The limit is reached; what else is added is left out."""
        return self._limit is not None and self.requests >= self._limit

    def add(self, block: Block, place: str) -> None:
        """Takes a block; `place` (a file) is named in errors."""
        if self.full:
            return
        bagged = isinstance(block, Samples)
        if self._bagged is not None and self._bagged != bagged:
            raise DataError(f"{place} {'tells' if bagged else 'does not tell'} samples, unlike what was read before it")
        self._bagged = bagged
        self._row_numbers |= block.row_numbers
        self._agree(block.schema, place)
        if isinstance(block, Samples):
            self._add_samples(block, place)
        else:
            self._add_requests(block, place)

    def end_batch(self) -> None:
        """A batch ends with the last request added."""
        if self.requests and (not self._batch_ends or self._batch_ends[-1] < self.requests):
            self._batch_ends.append(self.requests)

    def finish(self, source: str, *, schema: SchemaFile | None = None, batch_size: int | None = None) -> Trace:
        """The trace. Raises DataError when it is empty or does not fit the schema."""
        if self.requests == 0:
            raise DataError(f"{source} holds no lookup")
        known = self._schema if self._schema is not None else Schema.unnamed(len(self._factorizers))
        if schema is not None:
            known = schema.apply(known)
        counts = [0 if each is None else each.count for each in self._factorizers]
        row_base = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        if row_base[-1] > MOST_ROWS:
            raise DataError(f"{source} has more than {MOST_ROWS:,} distinct rows", hint="sample it by id first")
        keys = self._keys(row_base)
        if self._row_numbers:
            _check_rows(known, keys, row_base, source)
        bags = self._bags.array() if self._bagged else None
        starts = None if bags is None else bags[:: len(known)]
        if batch_size is not None:
            batches = batch_starts(starts, self.requests, batch_size)
        elif self._batch_ends:
            self.end_batch()
            batches = np.array([0, *self._batch_ends], np.int64)
        else:
            batches = None
        return Trace(self._ids(row_base), row_base, known, keys, bags, batches, source)

    def _agree(self, schema: Schema | None, place: str) -> None:
        if schema is None:
            return
        if self._schema is None:
            self._schema = schema
        elif self._schema.names != schema.names:
            raise DataError(
                f"{place} has the tables {_some(schema.names)}, the files before it {_some(self._schema.names)}"
            )
        else:
            self._schema = self._schema.filled(schema)

    def _rows_of(self, table: int, values: Values, place: str) -> npt.NDArray[np.int32]:
        while len(self._factorizers) <= table:
            self._factorizers.append(None)
        known = self._factorizers[table]
        if isinstance(values, Texts):
            if known is None:
                known = self._factorizers[table] = TextFactorizer()
            if isinstance(known, TextFactorizer):
                return known.add(values)
        else:
            if known is None:
                known = self._factorizers[table] = IntegerFactorizer()
            if isinstance(known, IntegerFactorizer):
                return known.add(np.ascontiguousarray(values, np.int64))
        now, before = ("strings", "numbers") if isinstance(values, Texts) else ("numbers", "strings")
        raise DataError(
            f"{place}: the ids of table {table} are {now}, in what was read before they were {before}",
            hint="read all of them as text",
        )

    def _add_samples(self, block: Samples, place: str) -> None:
        tables, samples = len(block.columns), block.samples
        if self._factorizers and len(self._factorizers) != tables:
            raise DataError(f"{place} has {tables} tables, what was read before it {len(self._factorizers)}")
        lengths = np.ones((tables, samples), np.int64)
        for table, column in enumerate(block.columns):
            if column.lengths is not None:
                lengths[table] = column.lengths
        kept = self._samples_that_fit(lengths.sum(axis=0))
        parts = []
        for table, column in enumerate(block.columns):
            values = column.values[: int(lengths[table, :kept].sum())] if kept < samples else column.values
            parts.append(self._rows_of(table, values, place))
        local, lengths = np.concatenate(parts), np.ascontiguousarray(lengths[:, :kept])
        rows, of_table, bag_ends = np.empty_like(local), np.empty_like(local), np.empty(lengths.size, np.int64)
        _interleave(local, lengths, rows, of_table, bag_ends)
        if self._bags.size == 0:
            self._bags.append(np.zeros(1, np.int64))
        self._bags.append(bag_ends + self.requests)
        if block.batch is not None:
            ends = self.requests + bag_ends[tables - 1 :: tables][block.batch - 1 :: block.batch]
            self._batch_ends += [end for end in ends.tolist() if end > self.requests]
        self._append(rows, of_table if tables > 1 else None)
        if kept < samples:
            self._limit = self.requests
        elif block.ends_batch or block.batch is not None:
            self.end_batch()

    def _add_requests(self, block: Requests, place: str) -> None:
        values, tables = block.values, block.table
        if self._limit is not None and len(values) > self._limit - self.requests:
            kept = self._limit - self.requests
            values = values[:kept]
            tables = tables if isinstance(tables, int) else tables[:kept]
        if isinstance(tables, int):
            rows = self._rows_of(tables, values, place)
            alone = len(self._factorizers) == 1
            self._append(rows, None if alone else np.full(rows.size, tables, np.int32))
            return
        rows = np.empty(len(values), np.int32)
        order = np.argsort(tables, kind="stable")
        numbers, firsts = np.unique(tables[order], return_index=True)
        for number, chosen in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True):
            rows[chosen] = self._rows_of(number, values[chosen], place)
        self._append(rows, tables.astype(np.int32))

    def _samples_that_fit(self, sizes: Integers) -> int:
        """How many of the next samples stay inside the limit; the first of all always does."""
        if self._limit is None:
            return int(sizes.size)
        fitting = int(np.searchsorted(np.cumsum(sizes), self._limit - self.requests, side="right"))
        return max(fitting, 1) if self.requests == 0 else fitting

    def _append(self, rows: npt.NDArray[np.int32], tables: npt.NDArray[np.int32] | None) -> None:
        """`tables` [n] of the rows; None while there is only table 0, and then nothing is kept."""
        self._rows.append(rows)
        if tables is not None:
            while self._tables.size < self.requests:  # until now all were of table 0
                missing = min(self.requests - self._tables.size, PASS_REQUESTS)
                self._tables.append(np.zeros(missing, np.int32))
            self._tables.append(tables)
        self.requests += rows.size

    def _ids(self, row_base: Integers) -> npt.NDArray[np.int32]:
        """Row numbers over all tables, from those inside each table."""
        rows = self._rows.array()
        tables = self._tables.array() if len(self._factorizers) > 1 else None
        base = row_base.astype(np.int32)
        if self._folder is None:
            if tables is not None:
                for start in range(0, rows.size, PASS_REQUESTS):
                    rows[start : start + PASS_REQUESTS] += base[tables[start : start + PASS_REQUESTS]]
            return rows
        path = self._folder / "ids.npy"
        with ArrayWriter(path, np.int32) as writer:
            for start in range(0, rows.size, PASS_REQUESTS):
                part = rows[start : start + PASS_REQUESTS]
                writer.append(part if tables is None else part + base[tables[start : start + PASS_REQUESTS]])
        self._rows.discard()
        self._tables.discard()
        mapped: npt.NDArray[np.int32] = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped

    def _keys(self, row_base: Integers) -> Keys:
        integers = np.zeros(int(row_base[-1]), np.int64)
        textual = tuple(isinstance(each, TextFactorizer) for each in self._factorizers)
        blobs: list[npt.NDArray[np.uint8]] = []
        lengths = np.zeros(integers.size, np.int64)
        for table, factorizer in enumerate(self._factorizers):
            rows = slice(int(row_base[table]), int(row_base[table + 1]))
            if isinstance(factorizer, IntegerFactorizer):
                integers[rows] = factorizer.keys()
            elif isinstance(factorizer, TextFactorizer):
                blob, offsets = factorizer.texts()
                blobs.append(blob)
                lengths[rows] = np.diff(offsets)
        if not blobs:
            return Keys(integers, textual)
        return Keys(integers, textual, np.concatenate(blobs), np.concatenate(([0], np.cumsum(lengths))))


class _Buffer:
    """Appends to an array in memory that is doubled when full, or to an .npy file."""

    def __init__(self, dtype: npt.DTypeLike, path: Path | None) -> None:
        self._dtype, self._path = np.dtype(dtype), path
        self._writer: ArrayWriter | None = None
        self._array: npt.NDArray[Any] = np.empty(0, self._dtype)
        self.size = 0

    def append(self, part: npt.NDArray[Any]) -> None:
        if self._path is not None:
            if self._writer is None:
                self._writer = ArrayWriter(self._path, self._dtype)
            self._writer.append(part)
        else:
            if self.size + part.size > self._array.size:
                # NumPy asks for large pages when it makes an array, not when it resizes one: the copy costs less than
                # the faults of small pages, and what is not filled yet takes no memory.
                grown = np.empty(max(self.size + part.size, self._array.size * 2), self._dtype)
                grown[: self.size] = self._array[: self.size]
                self._array = grown
            self._array[self.size : self.size + part.size] = part
        self.size += part.size

    def array(self) -> npt.NDArray[Any]:
        if self._path is not None and self._writer is not None:
            self._writer.close()
            mapped: npt.NDArray[Any] = np.load(self._path, mmap_mode="r", allow_pickle=False)
            return mapped
        return self._array[: self.size]

    def discard(self) -> None:
        if self._path is not None:
            if self._writer is not None:
                self._writer.close()
            self._path.unlink(missing_ok=True)


def _check_rows(schema: Schema, keys: Keys, row_base: Integers, source: str) -> None:
    for number, table in enumerate(schema.tables):
        own = keys.integers[row_base[number] : row_base[number + 1]]
        if table.rows is not None and own.size and int(own.max()) >= table.rows:
            raise DataError(
                f"{source}: table {table.name!r} has {table.rows} rows by its schema, but row {int(own.max())} "
                "is looked up",
                hint="rows count from 0; check the schema",
            )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", … ({len(names)} in all)" if len(names) > 4 else "")


@njit(cache=True, nogil=True)
def _interleave(
    local: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int32],
    of_table: npt.NDArray[np.int32],
    bag_ends: npt.NDArray[np.int64],
) -> None:
    """From table, sample, position to sample, table, position. local [n], lengths [T, B]; the last three are filled."""
    tables, samples = lengths.shape
    source = np.zeros(tables, np.int64)
    for table in range(1, tables):
        source[table] = source[table - 1] + lengths[table - 1].sum()
    place = 0
    for sample in range(samples):
        for table in range(tables):
            start = source[table]
            for k in range(lengths[table, sample]):
                rows[place] = local[start + k]
                of_table[place] = table
                place += 1
            source[table] = start + lengths[table, sample]
            bag_ends[sample * tables + table] = place
