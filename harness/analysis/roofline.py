"""How far a run is from the machine's limit (the roofline model: Williams, Waterman and Patterson, CACM 52(4), 2009).

A step's least work (`harness.api.Work`) divided by each measured ceiling gives the least time each resource could take;
with perfect overlap the step takes the longest of them, and that resource is the binding one. The bound is what this
machine was measured to do, not physics: a share above 1 says that the ceiling was measured too low.

Ceilings, by name: `matrix_flops{precision=P}` in 1/s, `stream_bytes_per_s`, `gather_rows_per_s` (rows of 64 bytes, one
cache line, from a table larger than the caches), `disk_bytes_per_s`. None, or absence, leaves that term out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.api import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The least seconds of a step, and the ceiling that makes it so. `terms`: seconds by ceiling."""

    seconds_per_step: float
    binding: str
    terms: Mapping[str, float] = field(default_factory=dict)


def matrix_ceiling(precision: str) -> str:
    """The name of the matrix rate of a precision."""
    return f"matrix_flops{{precision={precision}}}"


def bound(work: Work | None, ceilings: Mapping[str, float | None], precision: str) -> Bound | None:
    """The bound of `work` under `ceilings`; None where no ceiling applies to any of it.

    A gathered row takes at least what a row of one cache line takes, and at least its bytes at the stream rate.
    """
    if work is None:
        return None
    terms: dict[str, float] = {}

    def add(name: str, amount: float, rate: float | None) -> None:
        if amount > 0.0 and rate is not None and rate > 0.0:
            terms[name] = amount / rate

    stream_rate = ceilings.get("stream_bytes_per_s")
    gather_rate = ceilings.get("gather_rows_per_s")
    add(matrix_ceiling(precision), work.flops, ceilings.get(matrix_ceiling(precision)))
    add("stream_bytes_per_s", work.stream_bytes, stream_rate)
    if gather_rate and stream_rate and work.row_bytes > 0.0:
        gather_rate = min(gather_rate, stream_rate / work.row_bytes)
    add("gather_rows_per_s", work.gathered_rows, gather_rate)
    add("disk_bytes_per_s", work.disk_bytes, ceilings.get("disk_bytes_per_s"))
    if not terms:
        return None
    binding = max(terms, key=lambda name: terms[name])
    return Bound(seconds_per_step=terms[binding], binding=binding, terms=terms)


def share(measured_seconds_per_step: float | None, limit: Bound | None) -> float | None:
    """The bound's time over the measured time: 1 is as fast as the machine allows. None where one is missing."""
    if measured_seconds_per_step is None or measured_seconds_per_step <= 0.0 or limit is None:
        return None
    return limit.seconds_per_step / measured_seconds_per_step
