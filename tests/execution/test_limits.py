from __future__ import annotations

import time

from harness.execution.limits import Limits
from harness.spec import RunSettings


def limits(ranks: int = 1, **settings: str) -> tuple[Limits, float]:
    made = Limits()
    made.begin(ranks)
    made.run_begins(RunSettings(**settings))  # type: ignore[arg-type]
    return made, time.monotonic()


def look_until(made: Limits, begin: float, seconds: float, phase: str | None = "measure") -> str | None:
    """Looks twice a second, as the orchestrator does."""
    found = None
    for number in range(1, int(seconds * 2) + 1):
        found = found or made.passed(begin + number / 2, phase)
    return found


def test_a_silent_worker_passes_the_hang_limit_only() -> None:
    made, begin = limits(hang_limit="60s")
    assert look_until(made, begin, 59.0) is None
    assert look_until(made, begin + 59, 2.0) == "the worker said nothing for 60s in its measure phase (hang_limit)"


def test_a_silent_rank_is_named_and_so_is_the_start() -> None:
    made, begin = limits(ranks=2, hang_limit="60s")
    assert (
        look_until(made, begin, 61.0, None) == "rank 0 of the worker said nothing for 60s while it started (hang_limit)"
    )


def test_a_long_run_passes_its_time_limit_even_when_it_talks() -> None:
    made, begin = limits(time_limit="10m", hang_limit="2h")
    assert look_until(made, begin, 599.0) is None
    assert "longer than its time limit of 10m" in str(look_until(made, begin + 599, 2.0))


def test_our_own_absence_is_not_held_against_the_worker() -> None:
    made, begin = limits(time_limit="10m", hang_limit="60s")
    assert look_until(made, begin, 30.0) is None
    assert made.passed(begin + 30 + 3600, "measure") is None
    assert look_until(made, begin + 3630, 29.0) is None
