"""How often the dashboard draws: at most four times a second, and seldomer where drawing is dear.

The dashboard runs beside the measurement, so it may use `BUDGET` seconds of processor time a second. What a picture
costs is measured as it happens, over everything that this process does, and the next one waits accordingly.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

SHORTEST_S = 0.25
LONGEST_S = 2.0
UNSEEN_S = 5.0  # while another window has the focus; this one may still be in sight
BUDGET = 0.012  # seconds of processor time a second: the orchestrator has the rest of the 20 ms that both may take
_KEPT = 5  # pictures, whose cost counts


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
        self._costs_s: deque[float] = deque(maxlen=_KEPT)
        self._drawn_at = float("-inf")
        self.unseen = False

    @property
    def period_s(self) -> float:
        """Seconds between two pictures now."""
        if self.unseen:
            return UNSEEN_S
        cost_s = self._cost_s
        return SHORTEST_S if cost_s is None else min(LONGEST_S, max(SHORTEST_S, cost_s / BUDGET))

    @property
    def _cost_s(self) -> float | None:
        """The mean of the newest, without the dearest of them: the first picture of a screen costs as ten others."""
        costs_s = sorted(self._costs_s)
        if not costs_s:
            return None
        counted = costs_s[:-1] if len(costs_s) > 2 else costs_s
        return sum(counted) / len(counted)

    def due_in(self) -> float:
        """Seconds until the next picture may be drawn; 0 when it is due."""
        return max(0.0, self._drawn_at + self.period_s - self._clock())

    def drawn(self) -> None:
        """A picture goes out now. What was used since the last one is what one costs."""
        now_cpu, now = self._cpu(), self._clock()
        if self._cpu_then is not None:
            self._costs_s.append(now_cpu - self._cpu_then)
        self._cpu_then, self._drawn_at = now_cpu, now

    def forget(self) -> None:
        """What came until now was no drawing (the start, a screen that was built): do not count it."""
        self._cpu_then = None
