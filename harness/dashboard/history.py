"""What a face remembers of readings that only come as the newest value: telemetry, and bytes made by a generator."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from harness.analysis.contention import ContentionReading, judge
from harness.execution.snapshot import RunView, Snapshot

KEPT = 120  # readings, a minute of them
_LAMP_READINGS = 6  # three seconds: a shorter look is fooled by processor ticks


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source said at one time (`elapsed_s` of the experiment)."""

    at_s: float
    values: Mapping[str, Any]


@dataclass
class History:
    """Belongs to one followed experiment; `take` is told every snapshot that is drawn."""

    sources: dict[str, deque[Reading]] = field(default_factory=dict)
    progress: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)  # by run: (elapsed, done)

    def take(self, snapshot: Snapshot) -> None:
        for source, values in snapshot.telemetry.items():
            kept = self.sources.setdefault(source, deque(maxlen=KEPT))
            if not kept or kept[-1].values != values:
                kept.append(Reading(snapshot.elapsed_s, values))
        for run in snapshot.going:
            self._take_progress(run)

    def _take_progress(self, run: RunView) -> None:
        if run.progress_done is None or run.elapsed_s is None or run.phase not in ("measure", "warmup"):
            return
        points = self.progress.setdefault(run.id, deque(maxlen=2 * KEPT))
        if not points or points[-1][1] != run.progress_done:
            points.append((run.elapsed_s, run.progress_done))

    def numbers(self, source: str, name: str) -> list[float | None]:
        """The readings of one value, the oldest first."""
        return [_number(reading.values.get(name)) for reading in self.sources.get(source, ())]

    def rate(self, source: str, name: str) -> float | None:
        """By how much a counter grows in a second, over the last readings."""
        known = [
            (reading.at_s, value)
            for reading in self.sources.get(source, ())
            if (value := _number(reading.values.get(name))) is not None
        ][-_LAMP_READINGS:]
        if len(known) < 2 or known[-1][0] <= known[0][0] or known[-1][1] < known[0][1]:
            return None
        return (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0])

    def rates(self, run_id: str) -> list[tuple[float, float]]:
        """(elapsed, per second) between the progress reports of a run."""
        points = list(self.progress.get(run_id, ()))
        return [
            (late[0], (late[1] - early[1]) / (late[0] - early[0]))
            for early, late in pairwise(points)
            if late[0] > early[0] and late[1] >= early[1]
        ]

    def contention(self, threads: int | None) -> tuple[bool | None, str | None]:
        """Whether other processes disturb the run now, by the last readings and the rules of the verdict itself."""
        recent = list(self.sources.get("host", ()))[-_LAMP_READINGS:]
        foreign: list[float] = []
        cores = 0
        for reading in recent:
            by_core, worker = reading.values.get("cpu_by_core"), _number(reading.values.get("worker_cpu_per_wall"))
            if not isinstance(by_core, list | tuple) or not by_core or worker is None:
                continue
            cores = len(by_core)
            foreign.append(max(0.0, sum(map(float, by_core)) - worker))
        if len(foreign) < 2:
            return None, None
        mean = sum(foreign) / len(foreign)
        reading_now = ContentionReading(
            wall_s=len(foreign) * 0.5, cores=cores, foreign_cores=mean, foreign_cpu_share=mean / cores
        )
        return judge(reading_now, threads)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
