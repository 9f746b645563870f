"""Draws the dashboard's screens into docs/screens/*.svg, from recorded pictures and the example database.

make screenshots
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from harness.store.queries import Store  # noqa: E402
from tests.dashboard.drive import opened  # noqa: E402
from tests.dashboard.pictures import Recording, steady  # noqa: E402
from tests.dashboard.stage import staged  # noqa: E402
from tests.example_database import make_example  # noqa: E402

TARGET = TOP / "docs" / "screens"
SIZE = (120, 36)


async def draw(folder: Path) -> None:
    TARGET.mkdir(exist_ok=True)
    os.chdir(folder)  # a path as a user sees it
    database = Path("results.db")
    make_example(database)
    async with opened(Recording(steady(18)), size=SIZE, database=database) as live:
        live.app.save_screenshot("live.svg", str(TARGET))
    for name in ("runs", "start"):
        async with staged(name, database, SIZE) as screen:
            screen.app.save_screenshot(f"{name}.svg", str(TARGET))
    a, b = _cells(database, "batch-size")
    async with staged("compare", database, SIZE) as screen:
        await screen.app.open("compare", a=a, b=b)
        await screen.settle()
        screen.app.save_screenshot("compare.svg", str(TARGET))
    async with staged("curves", database, SIZE) as screen:
        await screen.app.open("curves", cells=_cells(database, "policies"))
        await screen.settle()
        screen.app.save_screenshot("curves.svg", str(TARGET))


def _cells(database: Path, tag: str) -> list[str]:
    """The cells of the example's experiments with that tag, in order."""
    with Store(database) as store:
        return [cell.id for cell in store.experiment(store.resolve(tag, ("experiment",))[1]).cells]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(draw(Path(folder)))
    for path in sorted(TARGET.glob("*.svg")):
        print(path.relative_to(TOP))  # noqa: T201


if __name__ == "__main__":
    main()
