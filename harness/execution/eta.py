"""How long it will still take: from the progress of the phase and from earlier repeats, and None until known.

Nothing is guessed: the first repeat of a cell says no more than what is left of its own phase, and a phase that has
not told how far it is says nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from harness.execution.events import PHASES

_SHORTEST_OBSERVED_S = 1.0  # a rate from less is noise
_FEWEST_CELLS_SEEN = 0.5  # cells that have not run take as long as the others, once half of them have been seen


@dataclass(slots=True)
class Progress:
    """How far a phase is. Times are monotonic; `told_s` is the worker's own estimate, where it makes one."""

    begun: float
    first_done: float
    done: float
    total: float | None
    at: float
    told_s: float | None = None

    def left_s(self, now: float) -> float | None:
        """Seconds until `total` at the rate so far; None until a rate is known."""
        if self.told_s is not None:
            return max(0.0, self.told_s - (now - self.at))
        observed = self.at - self.begun
        if self.total is None or observed < _SHORTEST_OBSERVED_S or self.done <= self.first_done:
            return None
        rate = (self.done - self.first_done) / observed
        return max(0.0, (self.total - self.done) / rate - (now - self.at))


@dataclass(frozen=True, slots=True)
class Going:
    """A run that goes on; `left_s` is None until it is known."""

    cell_id: str
    elapsed_s: float
    left_s: float | None


@dataclass(slots=True)
class _Finished:
    wall_s: float
    phases: Mapping[str, float]


@dataclass(slots=True)
class Estimator:
    """Remembers how long the finished repeats of each cell took."""

    _finished: dict[str, list[_Finished]] = field(default_factory=dict)

    def finished(self, cell_id: str, wall_s: float, phases: Mapping[str, float]) -> None:
        """A repeat ended as planned; `phases` are wall seconds by outermost phase."""
        self._finished.setdefault(cell_id, []).append(_Finished(wall_s, dict(phases)))

    def run_left_s(
        self, cell_id: str, phase: str | None, elapsed_s: float, in_phase_s: float, phase_left_s: float | None
    ) -> float | None:
        """What is left of a run in `phase` (None: its process is starting)."""
        earlier = self._finished.get(cell_id)
        if not earlier:
            return phase_left_s if phase in ("measure", "evaluate", "teardown") else None
        if phase is None:
            return max(0.0, fmean(run.wall_s for run in earlier) - elapsed_s)
        here = phase_left_s
        if here is None:
            here = max(0.0, _mean_phase(earlier, phase) - in_phase_s)
        later = PHASES[PHASES.index(phase) + 1 :] if phase in PHASES else ()
        return here + sum(_mean_phase(earlier, name) for name in later)

    def experiment_left_s(self, going: Sequence[Going], waiting: Iterable[str], lanes: int = 1) -> float | None:
        """The runs that are going, and one typical run for each cell id in `waiting`, begun as lanes become free."""
        walls = {cell: fmean(run.wall_s for run in runs) for cell, runs in self._finished.items()}
        for run in going:
            if run.left_s is not None:
                walls.setdefault(run.cell_id, run.elapsed_s + run.left_s)
        ahead = list(waiting)
        cells = {*ahead, *walls, *(run.cell_id for run in going)}
        unseen = cells - set(walls)
        if unseen and len(walls) < _FEWEST_CELLS_SEEN * len(cells):
            return None
        typical = fmean(walls.values()) if walls else None
        free = [0.0] * lanes
        for run in going:
            left = run.left_s
            if left is None:
                wall = walls.get(run.cell_id, typical)
                if wall is None:
                    return None
                left = max(0.0, wall - run.elapsed_s)
            heapq.heapreplace(free, free[0] + left)
        for cell in ahead:
            wall = walls.get(cell, typical)
            if wall is None:
                return None
            heapq.heapreplace(free, free[0] + wall)
        return max(free)


def _mean_phase(runs: Sequence[_Finished], phase: str) -> float:
    return fmean(run.phases.get(phase, 0.0) for run in runs)
