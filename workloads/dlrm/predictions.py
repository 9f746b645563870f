"""Predictions as a file, for rows whose labels nobody here knows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

_WRITTEN_AT_ONCE = 1 << 16


def write_predictions(path: Path, first_row: int, probabilities: npt.NDArray[np.float32]) -> Path:
    """CSV with the columns `row` (from 0, in the order of the file) and `probability`; whole or not at all.

    Nine significant digits give every float32 back exactly.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="ascii", newline="") as file:
        file.write("row,probability\n")
        for start in range(0, len(probabilities), _WRITTEN_AT_ONCE):
            values = probabilities[start : start + _WRITTEN_AT_ONCE].tolist()
            file.writelines(f"{first_row + start + place},{value:.9g}\n" for place, value in enumerate(values))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    return path
