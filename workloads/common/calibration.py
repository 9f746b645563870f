"""Finds the teacher's scales that give a click log its click rate and its best possible AUC.

Run once when a profile is made; the profile pins the three numbers, so the rows themselves depend on no search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from workloads.common.clicks import ClickLogSpec, generate
from workloads.common.metrics import expected_auc

CLICK_RATE = 0.25  # about Criteo's
BAYES_AUC = 0.80  # about what the best models reach on Criteo
DENSE_AUC = 0.66
LARGEST_SCALE = 4.0
ROUNDS = 8  # the two scales hardly influence each other's AUC, so alternating converges fast
HALVINGS = 16
DIGITS = 4  # pinned numbers are short

Floats = npt.NDArray[np.float64]


def calibrate(
    spec: ClickLogSpec,
    *,
    click_rate: float = CLICK_RATE,
    bayes_auc: float = BAYES_AUC,
    dense_auc: float = DENSE_AUC,
    rows: int = 50_000,
) -> ClickLogSpec:
    """`spec` with the bias and scales at which its first `rows` rows have these expected values.

    The AUC with all features, `bayes_auc`, must exceed that with the dense features alone. Raises ValueError where no
    scale up to 4 reaches the targets. `pair_scale` keeps its ratio to `categorical_scale`.
    """
    if not (0.0 < click_rate < 1.0 and 0.5 < dense_auc < bayes_auc < 1.0):
        raise ValueError(
            f"targets must satisfy 0 < click rate < 1 and 0.5 < dense AUC < Bayes AUC < 1, not {click_rate}, "
            f"{dense_auc} and {bayes_auc}"
        )
    pair_ratio = spec.pair_scale / spec.categorical_scale if spec.pairs else 0.0
    unit = dataclasses.replace(spec, bias=0.0, dense_scale=1.0, categorical_scale=1.0, pair_scale=pair_ratio)
    block = generate(unit, 0, rows)
    dense, other = block.dense_logits, block.logits - block.dense_logits
    dense_scale, categorical_scale = 0.3, 0.3

    def chances(dense_factor: float, categorical_factor: float) -> Floats:
        logits = dense_factor * dense + categorical_factor * other
        return _sigmoid(logits + _bias(logits, click_rate))

    def dense_reach(scale: float) -> float:
        return expected_auc(chances(scale, categorical_scale), dense) or 0.5

    def reach(scale: float) -> float:
        return expected_auc(chances(dense_scale, scale)) or 0.5

    for _ in range(ROUNDS):
        dense_scale = _bisect(dense_reach, dense_auc, "dense")
        categorical_scale = _bisect(reach, bayes_auc, "categorical")
    dense_scale, categorical_scale = round(dense_scale, DIGITS), round(categorical_scale, DIGITS)
    return dataclasses.replace(
        spec,
        dense_scale=dense_scale,
        categorical_scale=categorical_scale,
        pair_scale=round(pair_ratio * categorical_scale, DIGITS),
        bias=round(_bias(dense_scale * dense + categorical_scale * other, click_rate), DIGITS),
    )


def _bisect(value_of: Callable[[float], float], target: float, name: str) -> float:
    low, high = 0.0, LARGEST_SCALE
    if value_of(high) < target:
        raise ValueError(f"no {name} scale up to {LARGEST_SCALE:g} reaches an AUC of {target}")
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if value_of(middle) < target else (low, middle)
    return (low + high) / 2.0


def _bias(logits: Floats, click_rate: float) -> float:
    """The constant that makes the mean probability equal the click rate."""
    low, high = -30.0, 30.0
    for _ in range(30):
        middle = (low + high) / 2.0
        low, high = (middle, high) if float(np.mean(_sigmoid(logits + middle))) < click_rate else (low, middle)
    return (low + high) / 2.0


def _sigmoid(logits: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
