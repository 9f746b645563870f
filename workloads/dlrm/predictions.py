"""Predictions as a file, for rows whose labels nobody here knows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workloads.common.metrics import sigmoid

_WRITTEN_AT_ONCE = 1 << 16


def write_predictions(path: Path, first_row: int, logits: npt.NDArray[np.float32]) -> Path:
    """CSV with the columns `row` (from 0, in the order of the file) and `probability`; whole or not at all.

    Probabilities are computed in double precision, and their digits give them back exactly.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="ascii", newline="") as file:
        file.write("row,probability\n")
        for start in range(0, len(logits), _WRITTEN_AT_ONCE):
            values = sigmoid(logits[start : start + _WRITTEN_AT_ONCE]).tolist()
            file.writelines(f"{first_row + start + place},{value!r}\n" for place, value in enumerate(values))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    return path
