"""What every sampler shares: how it says that it cannot measure, and how its samples become series.

A sampler that cannot work is a value (`NoTelemetry`), never an exception: a run without telemetry is still a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NoTelemetry:
    """Why a source cannot be read, in one sentence, and what would make it readable."""

    reason: str
    hint: str | None = None


class CardSample(Protocol):
    """What a run's verdict needs of an accelerator at one moment, whoever made it."""

    @property
    def utilisation(self) -> float | None:
        """Share of its sampling period in which it worked."""

    @property
    def slowed_by(self) -> tuple[str, ...]:
        """Why it runs slower than it could."""

    @property
    def other_pids(self) -> tuple[int, ...] | None:
        """Processes on it that are not the run's."""


def series_values(sample: object, units: Mapping[str, str]) -> dict[str, float | None]:
    """The numbers of `sample` that `units` names, ready to be stored as one point of each series.

    `units` is the sampler's own table (`HOST_UNITS`, `NVIDIA_UNITS`): field name to unit.
    """
    values: dict[str, float | None] = {}
    for name in units:
        value = getattr(sample, name)
        values[name] = None if value is None else float(value)
    return values
