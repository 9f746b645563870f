"""How good predictions are, beside what is possible on the same rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.api import Metric
from workloads.common.metrics import click_quality, expected_auc, grouped_auc
from workloads.din.samples import Samples

MEASURED = ("auc", "auc_standard_error", "log_loss", "accuracy")


def quality(samples: Samples, logits: npt.NDArray[np.float32], weights: str | None = None) -> list[Metric]:
    """AUC, GAUC by user, log loss and accuracy over exactly these rows; labelled with the `weights` they are of."""
    labels = {} if weights is None else {"weights": weights}
    measured = click_quality(samples.labels, logits=logits)
    return [
        *(Metric(name, measured[name], labels) for name in MEASURED),
        Metric("gauc", grouped_auc(samples.labels, logits, samples.groups), labels),
    ]


def facts_of(samples: Samples) -> list[Metric]:
    """What holds for these rows whatever predicts them."""
    found = [Metric("rows_evaluated", float(len(samples)))]
    if samples.probabilities is not None:
        found.append(Metric("auc_bayes", expected_auc(samples.probabilities)))
    return found
