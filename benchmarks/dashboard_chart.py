"""What the dashboard costs: processor time of one chart, of one whole picture of Live, and of looking at nothing new.

    python benchmarks/dashboard_chart.py

The chart is drawn beside Textual's own Sparkline on the same 600 points and the same cells, in turns, so that the
ratio holds on a busy machine too. Live gets pictures of a run that goes on, as an orchestrator would send them.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.color import Color
from rich.style import Style
from textual.renderables.sparkline import Sparkline

from harness.dashboard.app import Dashboard
from harness.dashboard.messages import Arrived
from harness.dashboard.pace import Pacer
from harness.dashboard.screens.live import LiveScreen
from harness.dashboard.themes import OUR_THEMES, series_variables
from harness.dashboard.widgets.line_chart import Line, Plot, draw
from harness.dashboard.widgets.paint import Palette, palette_of
from tests.dashboard.pictures import Recording, changed, steady

WIDTH, HEIGHT, POINTS = 110, 30, 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    xs = tuple(float(index) for index in range(POINTS))
    curves = [tuple(60_000 + 900 * math.sin(index / 9 + k) + 300 * math.sin(index) for index in xs) for k in range(6)]
    palette = _palette()
    one = Plot((Line(xs, curves[0], "series-1"),), x_unit="s")
    six = Plot(tuple(Line(xs, y, f"series-{k + 1}") for k, y in enumerate(curves)), x_unit="s")
    ways: dict[str, Callable[[], object]] = {
        "our chart, one line": lambda: draw(one, WIDTH, HEIGHT, palette),
        "our chart, six lines": lambda: draw(six, WIDTH, HEIGHT, palette),
        "Textual's Sparkline": lambda: _sparkline(curves[0]),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(_cpu_s(way, 5))
    print(f"{WIDTH}×{HEIGHT} cells, {POINTS} points, processor time of a redraw, median of {rounds}")
    for name, values in found.items():
        print(f"  {name:<24}{1e3 * statistics.median(values):6.2f} ms")
    for size in ((140, 45), (80, 24)):
        news, nothing = asyncio.run(_live(size, rounds))
        print(
            f"Live at {size[0]}×{size[1]}: {1e3 * news:.1f} ms a picture, {1e3 * nothing:.1f} ms when nothing changed"
        )


def _cpu_s(way: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        way()
    return (time.process_time() - began) / times


def _palette() -> Palette:
    from textual.color import Color as TextualColor

    theme = OUR_THEMES[0]
    variables = {**theme.to_color_system().generate(), **series_variables(theme)}
    return palette_of(variables, TextualColor.parse("#0e1116"), ansi=False)


def _sparkline(values: tuple[float, ...]) -> object:
    """Its rows, as the widget of a height above one makes them."""
    from rich.console import Console

    console = Console(width=WIDTH, color_system="truecolor", force_terminal=True)
    blue = Color.parse("#4c9aff")
    line = Sparkline(values, width=WIDTH, height=HEIGHT, min_color=blue, max_color=blue)
    return list(console.render(line, console.options.update(width=WIDTH))) or Style()


async def _live(size: tuple[int, int], rounds: int) -> tuple[float, float]:
    """Processor seconds of a picture with news, and of one that is the same but for the clock."""
    app = Dashboard(Path("results.db"), Recording(steady(3)), pacer=Pacer(cpu=lambda: 0.0))
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.5)
        live = app.screen
        assert isinstance(live, LiveScreen)

        async def cost(pictures: list[object]) -> float:
            began = time.process_time()
            for picture in pictures:
                live.post_message(Arrived(picture))  # type: ignore[arg-type]
                await asyncio.sleep(0.05)
            return (time.process_time() - began) / len(pictures)

        await cost([steady(5 + index) for index in range(5)])
        idle_began = time.process_time()
        await asyncio.sleep(0.05 * rounds)
        idle = (time.process_time() - idle_began) / rounds
        news = await cost([steady(5 + index % 20) for index in range(rounds)])
        last = steady(20)
        await cost([last])
        nothing = await cost([changed(last, elapsed_s=90.0 + index / 4) for index in range(rounds)])
        return max(0.0, news - idle), max(0.0, nothing - idle)


if __name__ == "__main__":
    main()
