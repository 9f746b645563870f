"""Skewed integers from random words by exact integer tables: the inverse of a distribution without logarithm or power.

A distribution is cut into cells: runs of neighbouring values that share their mass evenly. Frequent values have a cell
of their own, the tail is cut so finely that a cell is at most 1/64 of its distance from the start, and so a table of
40 million ids needs fewer than 2,048 cells. A cell is drawn by Walker's alias method in integers (Vose 1991), a
value inside it by multiplication. Masses are made with IEEE + - * / and square root only, which are rounded alike on
every machine, so the tables, and all bytes drawn from them, are too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workloads.common.counter import Stream, Words

Integers = npt.NDArray[np.int64]

HEAD_VALUES = 1024  # values with a cell of their own
CELL_SHIFT = 6  # a tail cell starting at value v is v / 2^6 wide
COIN_BITS = 26  # resolution of a column's coin: masses are multiples of 2^-26 of a column
MASS_BITS = 60  # masses are handed over as integers below about 2^60
EXPONENT_STEPS = 256  # Zipf exponents are multiples of 1/256, so that eight square roots make the power


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """Cells of values [K] and the alias columns [C], C a power of two, that draw them."""

    first: Integers  # [K] the first value of each cell
    width: Integers  # [K] how many values share it
    mass: tuple[int, ...]  # [K] as drawn: integers that sum to C * 2^COIN_BITS
    threshold: npt.NDArray[np.uint32]  # [C] below it the coin keeps column c's own cell
    alias: npt.NDArray[np.int32]  # [C] else this cell

    @property
    def single(self) -> bool:
        """Every cell holds one value."""
        return bool((self.width == 1).all())

    def cells(self, words: Words) -> npt.NDArray[np.int32]:
        """The cell that each word draws, from its upper bits."""
        column_bits = self.threshold.size.bit_length() - 1
        column = (words >> np.uint64(64 - column_bits)).astype(np.int32)
        coin = (words >> np.uint64(64 - column_bits - COIN_BITS)).astype(np.uint32)
        coin &= np.uint32((1 << COIN_BITS) - 1)
        return np.where(coin < self.threshold[column], column, self.alias[column])

    def values(self, words: Words, cells: npt.NDArray[np.int32]) -> Integers:
        """The value inside each drawn cell, from the lower bits of the same word."""
        first = self.first[cells]
        if self.single:
            return first
        low_bits = 64 - (self.threshold.size.bit_length() - 1) - COIN_BITS
        low = (words & np.uint64((1 << low_bits) - 1)).astype(np.int64)
        low *= self.width[cells]
        low >>= low_bits
        low += first
        return low

    def digest(self) -> str:
        """SHA-256 of the table, for goldens: it must be the same on every machine."""
        parts = (
            self.first.astype("<i8"),
            self.width.astype("<i8"),
            self.threshold.astype("<u4"),
            self.alias.astype("<i4"),
        )
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def cell_table(first: Sequence[int], width: Sequence[int], masses: Sequence[int]) -> CellTable:
    """The alias table of cells with integer `masses` (of any scale, not all zero)."""
    columns = 1 << max(1, (len(masses) - 1).bit_length())
    capacity = 1 << COIN_BITS
    scaled = _apportion(masses, columns * capacity)
    remaining = [*scaled, *([0] * (columns - len(scaled)))]
    threshold, alias = [capacity] * columns, list(range(columns))
    small = [column for column in range(columns) if remaining[column] < capacity]
    large = [column for column in range(columns) if remaining[column] >= capacity]
    while small and large:
        poor, rich = small.pop(), large.pop()
        threshold[poor], alias[poor] = remaining[poor], rich
        remaining[rich] -= capacity - remaining[poor]
        (small if remaining[rich] < capacity else large).append(rich)
    return CellTable(
        first=np.array(first, np.int64),
        width=np.array(width, np.int64),
        mass=tuple(scaled),
        threshold=np.array(threshold, np.uint32),
        alias=np.array(alias, np.int32),
    )


def zipf_table(cardinality: int, exponent: float) -> CellTable:
    """Ranks 0 to cardinality - 1 with mass (rank + 1)^-exponent; any exponent from 0 (uniform) to 4.

    The exponent is rounded to a multiple of 1/256. A tail cell has the mass of its middle rank times its width, which
    is within 0.1 % of the sum.
    """
    steps = round(exponent * EXPONENT_STEPS)
    if cardinality < 1 or not 0 <= steps <= 4 * EXPONENT_STEPS:
        raise ValueError(f"a Zipf table needs ids and an exponent in [0, 4], not {cardinality} and {exponent}")
    first, width = _cells(cardinality)
    middle = np.array(first, np.float64) + (np.array(width, np.float64) + 1.0) / 2.0
    weight = np.array(width, np.float64) / _power(middle, steps)
    largest = float(weight.max())
    return cell_table(first, width, [int(value / largest * (1 << MASS_BITS)) for value in weight.tolist()])


def heavy_tail_table(
    *, median: int, shape_quarters: int, maximum: int, minimum: int, missing: float, missing_value: int
) -> CellTable:
    """Integers from `minimum` to `maximum` whose survival is log-logistic, and a share of `missing_value`.

    P(X - minimum > v) = 1 / (1 + ((v + 1) / (median + 1 - minimum))^(shape_quarters / 4)), cut off at the maximum: the
    tail falls like v^-shape. Cell 0 is the missing value.
    """
    first, width = _cells(maximum - minimum + 1)
    edges = np.array([*first, maximum - minimum + 1], np.float64)
    ratio = edges / float(median + 1 - minimum)
    survival = 1.0 / (1.0 + _power(ratio, shape_quarters * (EXPONENT_STEPS // 4)))
    inside = (survival[:-1] - survival[1:]) / (1.0 - survival[-1])
    present = [int(value * (1.0 - missing) * (1 << MASS_BITS)) for value in inside.tolist()]
    absent = int(missing * (1 << MASS_BITS))
    return cell_table([missing_value, *(value + minimum for value in first)], [1, *width], [absent, *present])


@dataclass(frozen=True, slots=True)
class Scatter:
    """A fixed bijection of [0, size): spreads neighbouring ranks over the ids, so that hot rows share no pages.

    Two rounds of multiplication and xor-shift on the next power of two; a value that falls outside walks on along its
    cycle until it is inside (cycle walking, Black and Rogaway 2002).
    """

    size: int
    multipliers: tuple[int, int]  # odd
    offset: int

    @classmethod
    def of(cls, source: Stream, size: int) -> Scatter:
        first, second, third = source.words(0, 3).tolist()
        return cls(size, (first | 1, second | 1), third)

    def __call__(self, ranks: Integers) -> Integers:
        bits = max(1, (self.size - 1).bit_length())
        mask, shift = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2)
        walking = ranks.astype(np.uint64)
        outside: npt.NDArray[np.intp] | None = None
        moved = self._step(walking, mask, shift)
        while True:
            late = np.flatnonzero(moved >= self.size)
            if outside is None:
                walking = moved
                outside = late
            else:
                walking[outside] = moved
                outside = outside[late]
            if outside.size == 0:
                return walking.astype(np.int64)
            moved = self._step(walking[outside], mask, shift)

    def _step(self, words: Words, mask: np.uint64, shift: np.uint64) -> Words:
        words = words + np.uint64(self.offset & int(mask))
        for multiplier in self.multipliers:
            words = words * np.uint64(multiplier)
            words &= mask
            words ^= words >> shift
        return words


def moments(table: CellTable, numbers: Sequence[int], spread: Sequence[int] | None = None) -> tuple[int, int]:
    """Mean and standard deviation, rounded down to integers, of `numbers` [K], one for each cell, under its masses.

    `spread` [K] is the variance inside each cell, where the number is only its mean.
    """
    total = sum(table.mass)
    mean = sum(mass * number for mass, number in zip(table.mass, numbers, strict=True)) // total
    inside = spread if spread is not None else [0] * len(numbers)
    square = sum(
        mass * ((number - mean) ** 2 + own) for mass, number, own in zip(table.mass, numbers, inside, strict=True)
    )
    return mean, math.isqrt(square // total)


def _cells(count: int) -> tuple[list[int], list[int]]:
    """First values and widths of the cells of [0, count)."""
    head = min(count, HEAD_VALUES)
    first, width = list(range(head)), [1] * head
    start = head
    while start < count:
        size = min(start >> CELL_SHIFT, count - start)
        first.append(start)
        width.append(size)
        start += size
    return first, width


def _power(values: npt.NDArray[np.float64], steps: int) -> npt.NDArray[np.float64]:
    """values ^ (steps / 256) by products of repeated square roots: bit-identical wherever IEEE 754 holds."""
    whole, part = divmod(steps, EXPONENT_STEPS)
    result = np.ones_like(values)
    for _ in range(whole):
        result = result * values
    root = values
    bit = EXPONENT_STEPS >> 1
    while bit:
        root = np.sqrt(root)
        if part & bit:
            result = result * root
        bit >>= 1
    return result


def _apportion(masses: Sequence[int], total: int) -> list[int]:
    """Integers in proportion to `masses` that sum to `total`; what rounding leaves goes to the largest."""
    whole = sum(masses)
    if whole <= 0 or min(masses) < 0:
        raise ValueError("masses must not be negative, and not all zero")
    scaled = [mass * total // whole for mass in masses]
    scaled[max(range(len(scaled)), key=scaled.__getitem__)] += total - sum(scaled)
    return scaled
