"""How often the dashboard draws: at most four times a second, and seldomer where drawing is dear.

The dashboard runs beside the measurement, so it may use `BUDGET` seconds of processor time a second. What a picture
costs is measured as it happens, over everything that this process does, and the next one waits accordingly.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SHORTEST_S = 0.25
LONGEST_S = 2.0
UNSEEN_S = 5.0  # while another window has the focus; this one may still be in sight
BUDGET = 0.012  # seconds of processor time a second: the orchestrator has the rest of the 20 ms that both may take
_MEMORY = 0.7  # the weight of what pictures cost until now


class Pacer:
    """Says how long to wait for the next picture. `unseen`: nobody looks at this terminal now."""

    def __init__(
        self,
        *,
        cpu: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cpu, self._clock = cpu, clock
        self._cpu_then: float | None = None
        self._cost_s: float | None = None
        self._drawn_at = float("-inf")
        self.unseen = False

    @property
    def period_s(self) -> float:
        """Seconds between two pictures now."""
        if self.unseen:
            return UNSEEN_S
        if self._cost_s is None:
            return SHORTEST_S
        return min(LONGEST_S, max(SHORTEST_S, self._cost_s / BUDGET))

    def due_in(self) -> float:
        """Seconds until the next picture may be drawn; 0 when it is due."""
        return max(0.0, self._drawn_at + self.period_s - self._clock())

    def drawn(self) -> None:
        """A picture goes out now. What was used since the last one is what one costs."""
        now_cpu, now = self._cpu(), self._clock()
        if self._cpu_then is not None:
            used = now_cpu - self._cpu_then
            self._cost_s = used if self._cost_s is None else _MEMORY * self._cost_s + (1 - _MEMORY) * used
        self._cpu_then, self._drawn_at = now_cpu, now

    def forget(self) -> None:
        """What came until now was no drawing (the start, a screen that was built): do not count it."""
        self._cpu_then = None
