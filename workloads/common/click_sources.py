"""The columns of the click log: how one column's values are drawn, and what each value does to the logit.

Everything here is integer arithmetic on counter-based words. Logits are integers in units of 2^-40, probabilities
in units of 2^-32; weights become integers once, when a column's tables are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workloads.common.counter import GAUSSIAN_UNIT, Stream, gaussian_like
from workloads.common.sampling import CellTable, Scatter, moments, zipf_table

LOGIT_BITS = 40
PROBABILITY_BITS = 32
LOGIT_LIMIT = 16  # logits are cut off at ±16, where the probability is 1e-7
SIGMOID_STEP_BITS = 7  # the sigmoid is linear between multiples of 1/128, and within 1e-6 of the true one
PAIR_BITS = 26  # units of one side of a pair: two such sides multiply within 64 bits
LISTED_IDS = 1 << 16  # up to so many ids, the id and the effect of each rank are listed; beyond, they are computed
LARGEST_WEIGHT = 8.0  # keeps (hash - mean) * factor within 64 bits

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class DenseSource:
    """Draws one dense column; cell k of its table adds effect[k] to the logit."""

    words: Stream
    table: CellTable
    effect: Integers  # [K]

    def draw(self, start: int, stop: int) -> tuple[Integers, Integers]:
        """Values [n] and their share of the logit [n] for rows start to stop - 1."""
        words = self.words.words(start, stop)
        cells = self.table.cells(words)
        return self.table.values(words, cells), self.effect[cells]


@dataclass(frozen=True, slots=True)
class Effect:
    """A number for each id: a bell-shaped hash, standardised under the column's distribution, times a weight."""

    source: Stream
    mean: int
    factor: int

    def of_ids(self, ids: npt.NDArray[np.integer]) -> Integers:
        return (gaussian_like(self.source.at(ids)) - self.mean) * self.factor


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalSource:
    """Draws one categorical column."""

    words: Stream
    table: CellTable  # over popularity ranks
    scatter: Scatter | None
    effect: Effect
    listed: tuple[Ids, Integers] | None  # id and effect of each rank, of a table that is not too large

    def draw(self, start: int, stop: int) -> tuple[npt.NDArray[np.integer], Integers]:
        """Ids [n] and their share of the logit [n] for rows start to stop - 1."""
        words = self.words.words(start, stop)
        cells = self.table.cells(words)
        if self.listed is None:
            ids = _scattered(self.scatter, self.table.values(words, cells))
            return ids, self.effect.of_ids(ids)
        ranks = cells if self.table.single else self.table.values(words, cells)
        id_of_rank, effect_of_rank = self.listed
        return id_of_rank[ranks], effect_of_rank[ranks]


def dense_source(words: Stream, table: CellTable, weight: float) -> DenseSource:
    """A dense column whose effect is `weight` times the standardised logarithm of the cell's first value."""
    logarithms = [_logarithm(value) for value in table.first.tolist()]
    mean, deviation = moments(table, logarithms)
    factor = factor_of(weight, deviation)
    return DenseSource(words, table, np.array([factor * (each - mean) for each in logarithms], np.int64))


def categorical_source(
    words: Stream, hashes: Stream, placing: Stream | None, *, cardinality: int, exponent: float, weight: float
) -> CategoricalSource:
    """A Zipf column of `cardinality` ids, scattered by `placing`, whose effects have standard deviation `weight`."""
    table = zipf_table(cardinality, exponent)
    scatter = None if placing is None else Scatter.of(placing, cardinality)
    effect = id_effect(hashes, table, scatter, weight, LOGIT_BITS)
    listed: tuple[Ids, Integers] | None = None
    if cardinality <= LISTED_IDS:
        ids = _scattered(scatter, np.arange(cardinality, dtype=np.int64))
        listed = ids.astype(np.int32), effect.of_ids(ids)
    return CategoricalSource(words, table, scatter, effect, listed)


def id_effect(hashes: Stream, table: CellTable, scatter: Scatter | None, weight: float, bits: int) -> Effect:
    """Effects of standard deviation `weight`, in units of 2^-bits, under the column's distribution.

    The ids that have a cell of their own are standardised exactly; those of the tail count with the hash's moments.
    """
    alone = table.width == 1
    numbers = np.where(alone, gaussian_like(hashes.at(_scattered(scatter, table.first))), 0)
    spread = np.where(alone, 0, GAUSSIAN_UNIT * GAUSSIAN_UNIT)
    mean, deviation = moments(table, numbers.tolist(), spread.tolist())
    return Effect(hashes, mean, factor_of(weight, deviation, bits))


def factor_of(weight: float, deviation: int, bits: int = LOGIT_BITS) -> int:
    """The integer that turns numbers of this standard deviation into effects of `weight`; 0 for a constant column."""
    if not -LARGEST_WEIGHT <= weight <= LARGEST_WEIGHT:
        raise ValueError(f"a weight of the teacher must lie in ±{LARGEST_WEIGHT:g}, not {weight}")
    return round(weight * (1 << bits) / deviation) if deviation else 0


def sigmoid_table() -> Integers:
    """2^32 / (1 + e^-x) at the multiples of 1/128 from -16 to 16, by integers of 192 fractional bits."""
    precision = 192
    step, term, order = 0, 1 << precision, 0
    while term:  # the series of e^(1/128)
        step += term
        order += 1
        term = (term >> SIGMOID_STEP_BITS) // order
    half = LOGIT_LIMIT << SIGMOID_STEP_BITS
    power, positive = 1 << precision, []
    for _ in range(half + 1):
        whole = power + (1 << precision)
        positive.append(((power << PROBABILITY_BITS) + whole // 2) // whole)
        power = power * step >> precision
    return np.array([(1 << PROBABILITY_BITS) - value for value in positive[:0:-1]] + positive, np.int64)


def sigmoid(logits: Integers, table: Integers) -> Integers:
    """Probabilities in units of 2^-32 of logits in units of 2^-40, linear between the table's points."""
    place = np.clip(logits, -(LOGIT_LIMIT << LOGIT_BITS), (LOGIT_LIMIT << LOGIT_BITS) - 1)
    place += LOGIT_LIMIT << LOGIT_BITS
    inside_bits = LOGIT_BITS - SIGMOID_STEP_BITS
    cell = place >> inside_bits
    inside = (place & ((1 << inside_bits) - 1)) >> (inside_bits - 24)
    low: Integers = table[cell]
    low += (table[cell + 1] - low) * inside >> 24
    return low


def _logarithm(value: int) -> int:
    """log2(1 + max(value, 0)) in units of 2^-16, linear between powers of two."""
    number = max(value, 0) + 1
    whole = number.bit_length() - 1
    return (whole << 16) + ((number << 16) >> whole) - (1 << 16)


def _scattered(scatter: Scatter | None, ranks: Integers) -> Integers:
    return ranks if scatter is None else scatter(ranks)
