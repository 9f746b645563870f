"""How good predictions are, beside what is possible on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.api import Metric
from workloads.common.metrics import click_quality, expected_auc
from workloads.dlrm.data import Rows


def quality(rows: Rows, logits: npt.NDArray[np.float32], possible: Sequence[Metric]) -> list[Metric]:
    """Every quality metric over exactly these rows; `possible` are the rows' own optima (`optima`)."""
    assert rows.labels is not None
    measured = click_quality(rows.labels, logits=logits)
    return [
        *(Metric(name, value) for name, value in measured.items()),
        *possible,
        Metric("rows_evaluated", float(len(rows))),
    ]


def optima(rows: Rows) -> list[Metric]:
    """What no model can beat on these rows, where the truth behind them is known; else nothing."""
    if rows.probabilities is None or rows.dense_logits is None:
        return []
    return [
        Metric("auc_bayes", expected_auc(rows.probabilities)),
        Metric("auc_dense_bayes", expected_auc(rows.probabilities, rows.dense_logits)),
    ]
