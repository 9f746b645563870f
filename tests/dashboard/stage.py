"""A screen of the dashboard on a database, settled: what tests of the database's screens begin with."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from harness.dashboard.screens.live import LiveScreen
from tests.dashboard.drive import Driven, opened
from tests.example_database import make_example

KEYS = {" ": "space", "-": "minus", ":": "colon", "_": "underscore", ".": "full_stop", "/": "slash", ",": "comma"}


class Staged(Driven):
    """The app, with what these screens need."""

    @property
    def screen(self) -> Any:
        return self.app.screen

    async def settle(self) -> None:
        """Until no worker reads, timers for typing have fired, and messages are through. Live's never end."""
        calm = 0
        while calm < 3:
            await self.pilot.pause(0.06)
            busy = [one for one in self.app.workers if not one.is_finished and not isinstance(one.node, LiveScreen)]
            calm = 0 if busy else calm + 1

    async def type(self, text: str) -> None:
        for character in text:
            await self.pilot.press(KEYS.get(character, character))
        await self.settle()

    async def keys(self, *keys: str) -> None:
        for key in keys:
            await self.press(key)
        await self.settle()


@asynccontextmanager
async def staged(name: str, database: Path, size: tuple[int, int], **more: Any) -> AsyncIterator[Staged]:
    async with opened(None, size=size, database=database, first=name, **more) as driven:
        stage = Staged(driven.app, driven.pilot)
        await stage.settle()
        yield stage


def make_large(path: Path, runs: int, seed: int = 3) -> None:
    """Many runs in seconds: a small example, and its rows again under other ids and later dates."""
    made = make_example(path, runs=1000, seed=seed)
    copies = runs // made + 1
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute("CREATE TEMP TABLE copy (n INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO copy VALUES (?)", [(number,) for number in range(1, copies)])

    def again(table: str, **changed: str) -> None:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        names = ", ".join(f'"{column}"' for column in columns)
        values = ", ".join(changed.get(column, f't."{column}"') for column in columns)
        connection.execute(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, copy")

    def numbered(column: str) -> str:
        return f"t.{column} || printf('%04d', n)"

    again("experiment", id=numbered("id"), created_at="replace(t.created_at, '2026', 2026 - n)")
    again("experiment_tag", experiment_id=numbered("experiment_id"))
    again("cell", id=numbered("id"), experiment_id=numbered("experiment_id"))
    again("run", id=numbered("id"), cell_id=numbered("cell_id"),
          started_at="replace(t.started_at, '2026', 2026 - n)")  # fmt: skip
    again("metric", run_id=numbered("run_id"))
    connection.execute("COMMIT")
    connection.close()
