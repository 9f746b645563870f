"""What drawing costs: processor time of a chart, of whole pictures of Live, and of a key on each other screen.

    python benchmarks/dashboard_chart.py

The chart is drawn beside Textual's own Sparkline on the same 600 points and the same cells, in turns, so that the
ratio holds on a busy machine too. Live gets pictures of a run that goes on, as an orchestrator would send them; the
other screens show the example database and get a key that makes them draw: the cursor moves, A and B change places.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
from harness.store.queries import Store
from tests.dashboard.pictures import Recording, changed, steady
from tests.dashboard.stage import staged
from tests.example_database import make_example

WIDTH, HEIGHT, POINTS = 110, 30, 600
KEYS = {"runs": ("down", "up"), "compare": ("x", "x"), "curves": ("right", "left"), "start": ("down", "up")}


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
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "example.db"
        make_example(database)
        for size in ((140, 45), (80, 24)):
            costs = [f"{name} {1e3 * asyncio.run(_key(name, database, size, rounds)):.1f} ms" for name in KEYS]
            print(f"a key at {size[0]}×{size[1]}: {', '.join(costs)}")


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


async def _key(name: str, database: Path, size: tuple[int, int], rounds: int) -> float:
    """Processor seconds of a key that makes the screen draw something else, all that follows included."""
    async with staged(name, database, size) as stage:
        cells = _cells(database)
        if name == "compare":
            await stage.app.open("compare", a=cells[0], b=cells[1])
        elif name == "curves":
            await stage.app.open("curves", cells=cells)
        else:
            await stage.keys("down", "down", "down")
        await stage.settle()
        await asyncio.sleep(0.5)

        async def spent(keys: Sequence[str]) -> float:
            began = time.process_time()
            for key in keys:
                if key:
                    stage.app.simulate_key(key)
                await asyncio.sleep(0.2)
            return time.process_time() - began

        keys = [key for _ in range(max(1, rounds // 2)) for key in KEYS[name]]
        idle = await spent([""] * len(keys))
        return max(0.0, await spent(keys) - idle) / len(keys)


def _cells(database: Path) -> list[str]:
    """A and B of the example."""
    with Store(database) as store:
        return [cell.id for cell in store.experiment(store.resolve("batch-size", ("experiment",))[1]).cells]


if __name__ == "__main__":
    main()
