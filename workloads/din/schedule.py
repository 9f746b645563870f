"""The learning rate over time: constant, halved by epochs as DIEN's authors do, or from a schedule file.

A file holds pairs `10:0.5`, by lines or spaces: from that place on, the rate. Places are epochs or updates, as
`--learning-rate-unit` says; the original's file says epochs and its program counts updates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.api import DataError, Schedule


def make_schedule(
    *,
    rate: float,
    file: Path | None,
    unit: Literal["epochs", "updates"],
    epoch_updates: int,
    epoch_factor: float,
    loss_factor: float,
) -> Schedule:
    """Rates by update. `loss_factor` scales them as it would scale the gradient of plain SGD."""
    pieces: tuple[tuple[int, float], ...] = ()
    if file is not None:
        each = epoch_updates if unit == "epochs" else 1
        pieces = tuple((place * each, value * loss_factor) for place, value in read_schedule(file))
        rate = pieces[0][1] / loss_factor
    return Schedule(
        learning_rate=rate * loss_factor,
        pieces=pieces,
        factor=epoch_factor,
        factor_updates=epoch_updates if epoch_factor != 1.0 else 0,
    )


def read_schedule(path: Path) -> list[tuple[int, float]]:
    """(place, rate) in ascending order from place 0. DataError naming the entry that is wrong."""
    try:
        words = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"schedule {path} cannot be read: {problem}") from problem
    found: list[tuple[int, float]] = []
    for word in words:
        place, colon, value = word.partition(":")
        try:
            entry = int(place), float(value)
        except ValueError:
            entry = -1, 0.0
        if not colon or entry[0] < 0 or not 0.0 < entry[1] < float("inf"):
            raise DataError(f"schedule {path} has the entry {word!r}, expected a place and a rate like 10:0.5")
        if found and entry[0] <= found[-1][0]:
            raise DataError(f"schedule {path} has {word!r} behind place {found[-1][0]}, expected ascending places")
        found.append(entry)
    if not found or found[0][0] != 0:
        raise DataError(f"schedule {path} does not begin at place 0", hint="the first entry is like 0:0.6")
    return found
