"""The limits of a run: how long it may take, and how long a worker may say nothing.

The orchestrator's own silence (a stopped process group, a machine without a moment for it) is not held against a
worker: where two looks lie far apart, the time between them does not count.
"""

from __future__ import annotations

import time

from harness.spec import RunSettings, parse_duration

_LONGEST_LOOK_S = 5.0  # looks come four times a second


class Limits:
    """The clocks of the worker of the moment."""

    def __init__(self) -> None:
        self._heard: list[float] = []
        self._began = self._looked = time.monotonic()
        self._settings = RunSettings()

    def begin(self, ranks: int) -> None:
        """A worker starts."""
        now = time.monotonic()
        self._heard = [now] * ranks
        self._looked = now

    def run_begins(self, settings: RunSettings) -> None:
        """A run starts in it."""
        self._began = time.monotonic()
        self._settings = settings

    def heard(self, rank: int) -> None:
        """It said something."""
        self._heard[rank] = time.monotonic()

    def passed(self, now: float, phase: str | None) -> str | None:
        """Which limit is passed, in a sentence; None where none is."""
        gap, self._looked = now - self._looked, now
        if gap > _LONGEST_LOOK_S:
            self._began += gap
            self._heard = [heard + gap for heard in self._heard]
        settings = self._settings
        if settings.time_limit is not None and now - self._began > parse_duration(settings.time_limit):
            return f"it took longer than its time limit of {settings.time_limit} (time_limit)"
        for rank, heard in enumerate(self._heard):
            if now - heard > parse_duration(settings.hang_limit):
                who = "the worker" if len(self._heard) == 1 else f"rank {rank} of the worker"
                where = "while it started" if phase is None else f"in its {phase} phase"
                return f"{who} said nothing for {settings.hang_limit} {where} (hang_limit)"
        return None
