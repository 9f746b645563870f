"""The built-in click log: seeded synthetic rows of Criteo's shape whose best possible AUC is known.

Why: real click data cannot be shipped and has no known optimum. Here a planted teacher gives each row its click
probability, so a run reports its `auc` beside `auc_bayes`, what no model can beat.

    logit = bias + dense_scale * sum_d w_d g(x_d) + categorical_scale * sum_j a_j h(j, id_j)
                 + pair_scale * sum_(j,k) u(j, id_j) u(k, id_k)

Ids are Zipf-distributed within each column, popular ids scattered over the column's range; dense features have a heavy
tail and missing values, and the columns are independent. g is the standardised logarithm of the value (missing and
negative values count as 0, as the reference preprocessing has it), h and u are bell-shaped hashes of (column, id),
standardised under the column's distribution, so the teacher needs no weight tables of its own.

Row i is a function of (spec, i) alone, in integers from counter-based random numbers: `generate(spec, a, b)` equals
rows a to b of any longer call on every machine. GENERATOR_VERSION is raised when a byte changes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from workloads.common.click_sources import (
    LOGIT_BITS,
    PAIR_BITS,
    PROBABILITY_BITS,
    CategoricalSource,
    DenseSource,
    Effect,
    categorical_source,
    dense_source,
    factor_of,
    id_effect,
    sigmoid,
    sigmoid_table,
)
from workloads.common.counter import Stream, stream
from workloads.common.metrics import expected_auc
from workloads.common.sampling import CellTable, heavy_tail_table

GENERATOR_VERSION = 1
MISSING = -(1 << 31)  # the dense value of a missing field, as in `criteo.MISSING`
WEIGHT_HALVING = 64.0  # ids of a column that halve the variance of its effects; see ClickLogSpec
BLOCK_ROWS = 8192  # rows made at a time: the columns of a block stay in the processor's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseColumn:
    """A count with a heavy tail: see `sampling.heavy_tail_table`."""

    median: int
    maximum: int
    missing: float
    minimum: int = 0
    shape_quarters: int = 4


# Medians and missing shares as in 7,200 real Criteo rows, rounded; the maxima give the tail's order of magnitude.
CRITEO_DENSE_COLUMNS = (
    DenseColumn(median=1, maximum=5_000, missing=0.45),
    DenseColumn(median=3, maximum=200_000, missing=0.0, minimum=-2),
    DenseColumn(median=7, maximum=65_535, missing=0.2),
    DenseColumn(median=4, maximum=1_000, missing=0.2, shape_quarters=6),
    DenseColumn(median=2_779, maximum=20_000_000, missing=0.05),
    DenseColumn(median=41, maximum=400_000, missing=0.25),
    DenseColumn(median=3, maximum=50_000, missing=0.05),
    DenseColumn(median=7, maximum=6_000, missing=0.001, shape_quarters=6),
    DenseColumn(median=42, maximum=30_000, missing=0.05),
    DenseColumn(median=0, maximum=11, missing=0.45, shape_quarters=8),
    DenseColumn(median=1, maximum=250, missing=0.05),
    DenseColumn(median=0, maximum=4_000, missing=0.77, shape_quarters=6),
    DenseColumn(median=5, maximum=7_000, missing=0.2, shape_quarters=6),
)

# The 26 table sizes of the Criteo Kaggle set (facebookresearch/dlrm, dlrm_s_criteo_kaggle.sh).
CRITEO_CARDINALITIES = (
    *(1_460, 583, 10_131_227, 2_202_608, 305, 24, 12_517, 633, 3, 93_145, 5_683, 8_351_593, 3_194),
    *(27, 14_992, 5_461_306, 10, 5_652, 2_173, 4, 7_046_547, 18, 15, 286_181, 105, 142_572),
)  # fmt: skip

DENSE_WEIGHTS = (1.0, -0.6, 0.5, -0.4, -0.8, -0.7, 0.7, 0.3, -0.5, 0.6, 0.8, 0.3, -0.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickLogSpec:
    """What the rows are, whatever their number. Scales and bias come from `calibration.calibrate` and are pinned.

    `categorical_weights` None weighs column j by (1 + cardinality / 64)^-1/2, because the effect of an id that is
    hardly ever seen can be learned by no model.
    """

    seed: int = 0
    cardinalities: tuple[int, ...] = CRITEO_CARDINALITIES
    zipf_exponent: float = 1.05
    scatter_ids: bool = True  # False: id 0 is the most popular of its column
    dense_columns: tuple[DenseColumn, ...] = CRITEO_DENSE_COLUMNS
    dense_weights: tuple[float, ...] = DENSE_WEIGHTS
    categorical_weights: tuple[float, ...] | None = None
    bias: float = -1.4694  # these three: click rate 0.25, Bayes AUC 0.80, dense AUC 0.66 at the default cardinalities
    dense_scale: float = 0.326
    categorical_scale: float = 0.4502
    pairs: tuple[tuple[int, int], ...] = ()  # columns, counted from 0, whose ids act together
    pair_scale: float = 0.0

    def __post_init__(self) -> None:
        if len(self.dense_weights) != len(self.dense_columns):
            raise ValueError(f"{len(self.dense_columns)} dense columns but {len(self.dense_weights)} weights")
        if self.categorical_weights is not None and len(self.categorical_weights) != len(self.cardinalities):
            raise ValueError(f"{len(self.cardinalities)} cardinalities but {len(self.categorical_weights)} weights")
        for size in self.cardinalities:
            if not 1 <= size < 1 << 31:
                raise ValueError(f"a cardinality must lie in [1, 2^31), not {size}")
        for pair in self.pairs:
            if not all(0 <= column < len(self.cardinalities) for column in pair) or pair[0] == pair[1]:
                raise ValueError(f"a pair names two columns below {len(self.cardinalities)}, not {pair}")

    def fingerprint(self) -> str:
        """SHA-256 over the spec and the generator version: the identity of the data, without the number of rows."""
        text = json.dumps({"click_log": GENERATOR_VERSION, **asdict(self)}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def demo_spec(seed: int = 0) -> ClickLogSpec:
    """Criteo's tables cut to 2,000 ids: Bayes AUC 0.80, dense features alone 0.66, click rate 0.25.

    One epoch over 150,000 rows brings a reference DLRM (Adagrad, rate 0.01, batch 256) to within 0.02 of the optimum.
    """
    return ClickLogSpec(
        seed=seed,
        cardinalities=tuple(min(size, 2_000) for size in CRITEO_CARDINALITIES),
        bias=-1.4689,
        dense_scale=0.3258,
        categorical_scale=0.4381,
    )


@dataclass(frozen=True, slots=True, eq=False)
class ClickBlock:
    """Rows of the log: n rows, D dense columns, C categorical columns."""

    dense: npt.NDArray[np.int32]  # [n, D], MISSING where there is none
    ids: npt.NDArray[np.int32]  # [n, C], 0 to cardinality - 1
    labels: npt.NDArray[np.int8]  # [n]
    probabilities: npt.NDArray[np.float64]  # [n] of a click, exact multiples of 2^-32
    logits: npt.NDArray[np.float64]  # [n] the teacher's, not yet cut off at ±16
    dense_logits: npt.NDArray[np.float64]  # [n] the dense features' share of them

    def bayes_auc(self) -> float | None:
        """The AUC of ranking these rows by their true probability."""
        return expected_auc(self.probabilities)

    def dense_auc(self) -> float | None:
        """The AUC that the dense features alone can reach.

        They are independent of the ids, so the probability given them rises with their share of the logit, and no
        ranking by them beats ranking by it.
        """
        return expected_auc(self.probabilities, self.dense_logits)


def generate(spec: ClickLogSpec, start: int, stop: int) -> ClickBlock:
    """Rows start to stop - 1 of the log."""
    if not 0 <= start <= stop:
        raise ValueError(f"rows {start} to {stop} are no range")
    plan = _plan(spec)
    rows = stop - start
    dense = np.empty((rows, len(plan.dense)), np.int32)
    ids = np.empty((rows, len(plan.categorical)), np.int32)
    labels = np.empty(rows, np.int8)
    chances = np.empty(rows, np.int64)
    dense_logits, all_logits = np.empty(rows, np.int64), np.empty(rows, np.int64)
    for begin in range(0, rows, BLOCK_ROWS):
        end = min(begin + BLOCK_ROWS, rows)
        first, last = start + begin, start + end
        logits = np.zeros(end - begin, np.int64)
        for column, source in enumerate(plan.dense):
            dense[begin:end, column], effect = source.draw(first, last)
            logits += effect
        dense_logits[begin:end] = logits
        for column, id_source in enumerate(plan.categorical):
            ids[begin:end, column], effect = id_source.draw(first, last)
            logits += effect
        for pair in plan.pairs:
            logits += pair.effect(ids[begin:end]) * plan.pair_factor
        logits += plan.bias
        all_logits[begin:end] = logits
        chances[begin:end] = sigmoid(logits, plan.sigmoid)
        coins = (plan.label_words.words(first, last) >> np.uint64(64 - PROBABILITY_BITS)).astype(np.int64)
        labels[begin:end] = coins < chances[begin:end]
    return ClickBlock(
        dense=dense,
        ids=ids,
        labels=labels,
        probabilities=_floats(chances, PROBABILITY_BITS),
        logits=_floats(all_logits, LOGIT_BITS),
        dense_logits=_floats(dense_logits, LOGIT_BITS),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two columns whose ids act together: the product of one effect of each."""

    columns: tuple[int, int]
    sides: tuple[Effect, Effect]

    def effect(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """The product [n] for rows of ids [n, C], in units of 2^-PAIR_BITS."""
        one, other = (side.of_ids(ids[:, column]) for side, column in zip(self.sides, self.columns, strict=True))
        return one * other >> PAIR_BITS


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """All tables of a spec."""

    bias: int
    sigmoid: npt.NDArray[np.int64]
    label_words: Stream
    dense: tuple[DenseSource, ...]
    categorical: tuple[CategoricalSource, ...]
    pairs: tuple[_Pair, ...]
    pair_factor: int


@functools.lru_cache(maxsize=4)
def _plan(spec: ClickLogSpec) -> _Plan:
    def words(name: str) -> Stream:
        return stream(spec.seed, GENERATOR_VERSION, f"click log {name}")

    dense = tuple(
        dense_source(words(f"I{number}"), _dense_table(column), spec.dense_scale * weight)
        for number, (column, weight) in enumerate(zip(spec.dense_columns, spec.dense_weights, strict=True), 1)
    )
    weights = spec.categorical_weights or _default_weights(spec.cardinalities)
    categorical = tuple(
        categorical_source(
            words(f"C{number}"),
            words(f"C{number} effect"),
            words(f"C{number} place") if spec.scatter_ids else None,
            cardinality=cardinality,
            exponent=spec.zipf_exponent,
            weight=spec.categorical_scale * weight,
        )
        for number, (cardinality, weight) in enumerate(zip(spec.cardinalities, weights, strict=True), 1)
    )

    def side(column: int) -> Effect:
        source = categorical[column]
        return id_effect(words(f"C{column + 1} pair"), source.table, source.scatter, 1.0, PAIR_BITS)

    return _Plan(
        bias=factor_of(spec.bias, 1),
        sigmoid=sigmoid_table(),
        label_words=words("label"),
        dense=dense,
        categorical=categorical,
        pairs=tuple(_Pair(pair, (side(pair[0]), side(pair[1]))) for pair in spec.pairs),
        pair_factor=factor_of(spec.pair_scale, 1, LOGIT_BITS - PAIR_BITS),
    )


def _floats(units: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.float64]:
    return np.ldexp(units.astype(np.float64), -bits)


def _dense_table(column: DenseColumn) -> CellTable:
    return heavy_tail_table(
        median=column.median,
        shape_quarters=column.shape_quarters,
        maximum=column.maximum,
        minimum=column.minimum,
        missing=column.missing,
        missing_value=MISSING,
    )


def _default_weights(cardinalities: tuple[int, ...]) -> tuple[float, ...]:
    """Square root and division only: a power of the C library need not have the same bits everywhere."""
    return tuple(1.0 / math.sqrt(1.0 + cardinality / WEIGHT_HALVING) for cardinality in cardinalities)
