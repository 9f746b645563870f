"""What every sampler shares: how it says that it cannot measure, and how its samples become series.

A sampler that cannot work is a value (`NoTelemetry`), never an exception: a run without telemetry is still a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoTelemetry:
    """Why a source cannot be read, in one sentence, and what would make it readable."""

    reason: str
    hint: str | None = None


def series_values(sample: object, units: Mapping[str, str]) -> dict[str, float | None]:
    """The numbers of `sample` that `units` names, ready to be stored as one point of each series.

    `units` is the sampler's own table (`HOST_UNITS`, `NVIDIA_UNITS`): field name to unit.
    """
    values: dict[str, float | None] = {}
    for name in units:
        value = getattr(sample, name)
        values[name] = None if value is None else float(value)
    return values
