"""Driving the app in tests: open it on a source, wait for what should happen, read the screen, compare with a golden.

RECBENCH_UPDATE_GOLDEN=1 pytest tests/dashboard    writes the goldens anew; look at the difference before committing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from harness.dashboard.app import Dashboard, Leaving
from harness.dashboard.pace import Pacer
from harness.dashboard.screens.live import LiveScreen
from harness.dashboard.source import Source

GOLDEN = Path(__file__).resolve().parent / "golden"
WIDE, NARROW = (140, 45), (80, 24)
PATIENCE_S = 8.0


class Driven:
    """The app, and hands on its keyboard."""

    def __init__(self, app: Dashboard, pilot: Pilot[Leaving]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def live(self) -> LiveScreen:
        found = next(screen for screen in self.app.screen_stack if isinstance(screen, LiveScreen))
        return found

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits for it; fails with the screen's text where it does not come true."""
        waited = 0.0
        while not condition():
            assert waited < PATIENCE_S, f"it did not happen; the screen was\n{self.text()}"
            await self.pilot.pause(0.02)
            waited += 0.02
        await self.pilot.pause()

    def text(self) -> str:
        """The screen as lines of text. `render_strips` is private to Textual: used here and nowhere else."""
        strips = self.app.screen._compositor.render_strips(self.app.screen.size)
        return "\n".join(strip.text.rstrip() for strip in strips)


@asynccontextmanager
async def opened(
    source: Source | None, *, size: tuple[int, int] = WIDE, database: Path = Path("results.db"), **more: Any
) -> AsyncIterator[Driven]:
    """The app on its first picture."""
    app = Dashboard(database, source, pacer=Pacer(cpu=lambda: 0.0), **more)
    async with app.run_test(size=size, notifications=True) as pilot:
        driven = Driven(app, pilot)
        if source is not None:
            await driven.until(lambda: driven.live.snapshot is not None)
        await pilot.pause(0.05)
        yield driven


def drive(flow: Callable[[], Awaitable[None]]) -> None:
    """Runs a flow to its end."""
    asyncio.run(flow())  # type: ignore[arg-type]


def check_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("RECBENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert path.exists(), f"there is no golden {path.name}: RECBENCH_UPDATE_GOLDEN=1 writes it"
    assert text + "\n" == path.read_text(encoding="utf-8"), f"{name} looks different from {path.name}:\n{text}"
