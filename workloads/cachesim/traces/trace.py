"""The one form in which lookups are simulated: dense rows in the order of access, with what is known of their origin.

Rows are numbered from 0 without gaps, table after table, inside a table by first appearance; `row_base` says where each
table begins. A simulator therefore needs no hashing: its state is an array with one place for each row.

    N requests, R distinct rows, T tables, S samples
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.traces.schema import Schema

Order = Literal["batch, sample, table, position", "as in the source"]

# Lookups of a file that tells samples are put into this order, whatever the file's own is: in table-major order
# (as Meta's files lie on disk) all lookups of a table stand together, which inflates locality.
SAMPLE_ORDER: Order = "batch, sample, table, position"
SOURCE_ORDER: Order = "as in the source"


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """What the source calls each row: a signed 64-bit number, or a string in the tables that are `textual`."""

    integers: npt.NDArray[np.int64]  # [R]; 0 in textual tables
    textual: tuple[bool, ...]  # [T]
    text: npt.NDArray[np.uint8] | None = None  # the strings, one after another, in UTF-8
    text_offsets: npt.NDArray[np.int64] | None = None  # [R + 1] where each begins; empty in tables of numbers

    def take(self, rows: npt.NDArray[np.int64]) -> Keys:
        """The keys of `rows` [r], in their order; tables keep their kind."""
        if self.text is None or self.text_offsets is None:
            return Keys(self.integers[rows], self.textual)
        starts, lengths = self.text_offsets[rows], np.diff(self.text_offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Keys(self.integers[rows], self.textual, self.text[positions], offsets)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Lookups in order. Arrays may be mapped from a file; they are never written to."""

    ids: npt.NDArray[np.int32]  # [N] the row of each request
    row_base: npt.NDArray[np.int64]  # [T + 1] table t has rows row_base[t] to row_base[t + 1] - 1
    schema: Schema
    keys: Keys
    bag_offsets: npt.NDArray[np.int64] | None = None  # [S * T + 1] bag t of sample s begins at [s * T + t]
    batch_starts: npt.NDArray[np.int64] | None = None  # [batches + 1] the request each begins with, then N
    source: str = ""

    def __post_init__(self) -> None:
        tables = len(self.schema)
        if self.row_base.size != tables + 1 or self.row_base[0] != 0 or len(self.keys.textual) != tables:
            raise ValueError(f"row_base and keys do not fit {tables} tables")
        if self.keys.integers.size != self.row_base[-1]:
            raise ValueError(f"{self.keys.integers.size} keys for {self.row_base[-1]} rows")
        for name, ends in (("bag_offsets", self.bag_offsets), ("batch_starts", self.batch_starts)):
            if ends is not None and (ends.size < 1 or ends[0] != 0 or ends[-1] != self.ids.size):
                raise ValueError(f"{name} must go from 0 to the {self.ids.size} requests")
        if self.bag_offsets is not None and (self.bag_offsets.size - 1) % tables:
            raise ValueError(f"{self.bag_offsets.size - 1} bags are no multiple of {tables} tables")

    @property
    def requests(self) -> int:
        return int(self.ids.size)

    @property
    def unique(self) -> int:
        """Distinct rows."""
        return int(self.row_base[-1])

    @property
    def tables(self) -> int:
        return len(self.schema)

    @property
    def samples(self) -> int | None:
        """None where the source does not tell samples."""
        return None if self.bag_offsets is None else (self.bag_offsets.size - 1) // self.tables

    @property
    def batches(self) -> int | None:
        return None if self.batch_starts is None else self.batch_starts.size - 1

    @property
    def order(self) -> Order:
        return SOURCE_ORDER if self.bag_offsets is None else SAMPLE_ORDER

    @property
    def sample_starts(self) -> npt.NDArray[np.int64] | None:
        """[S + 1] the request each sample begins with, then N."""
        return None if self.bag_offsets is None else self.bag_offsets[:: self.tables]

    def table_unique(self) -> npt.NDArray[np.int64]:
        """[T] distinct rows of each table."""
        return np.diff(self.row_base)

    def table_of_row(self) -> npt.NDArray[np.int32]:
        """[R] the table of each row."""
        return np.repeat(np.arange(self.tables, dtype=np.int32), self.table_unique())

    def rows_in_table(self, table: int) -> slice:
        """The rows of one table."""
        return slice(int(self.row_base[table]), int(self.row_base[table + 1]))

    def row_counts(self) -> npt.NDArray[np.int64]:
        """[R] how often each row is looked up."""
        return np.bincount(self.ids, minlength=self.unique).astype(np.int64)

    def row_bytes(self) -> npt.NDArray[np.int64]:
        """[R] bytes of each row. Raises UsageError where the schema does not tell."""
        return np.repeat(np.array(self.schema.row_bytes(), np.int64), self.table_unique())

    def key(self, row: int) -> int | str:
        """What the source calls `row`."""
        table = int(np.searchsorted(self.row_base, row, side="right")) - 1
        if not self.keys.textual[table]:
            return int(self.keys.integers[row])
        text, offsets = self.keys.text, self.keys.text_offsets
        assert text is not None and offsets is not None
        return text[offsets[row] : offsets[row + 1]].tobytes().decode("utf-8", "surrogateescape")

    def source_ids(self) -> npt.NDArray[np.int64]:
        """[N] each request as the source has it. Raises UsageError where a table's ids are strings."""
        if any(self.keys.textual):
            name = self.schema.names[self.keys.textual.index(True)]
            raise UsageError(f"the ids of table {name!r} are strings, numbers were asked for")
        return self.keys.integers[self.ids]

    def in_batches_of(self, samples: int) -> Trace:
        """The same lookups, `samples` samples a batch (requests, where the source does not tell samples)."""
        if samples < 1:
            raise UsageError(f"a batch needs at least 1 sample, not {samples}")
        return replace(self, batch_starts=batch_starts(self.sample_starts, self.requests, samples))


def batch_starts(sample_starts: npt.NDArray[np.int64] | None, requests: int, samples: int) -> npt.NDArray[np.int64]:
    """[batches + 1] where batches of `samples` samples begin; without samples each request counts as one."""
    if sample_starts is None:
        return np.append(np.arange(0, requests, samples), requests).astype(np.int64)
    return np.append(sample_starts[:-1:samples], requests).astype(np.int64)
