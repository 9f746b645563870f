from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette

from tests.dashboard.drive import NARROW, WIDE, drive
from tests.dashboard.stage import staged

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])


@SIZES
def test_the_palette_finds_experiments_and_opens_them(example: Path, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with staged("runs", example, size) as app:
            await app.press("ctrl+p")
            assert isinstance(app.app.screen, CommandPalette)
            await app.type("policies")
            await app.until(lambda: "cachesim on cpu" in app.text())
            await app.press("enter")
            await app.until(lambda: app.app.current_name == "live" and app.app.source is not None)

    drive(flow)


def test_the_palette_has_the_screens_and_their_keys(example: Path) -> None:
    async def flow() -> None:
        async with staged("runs", example, WIDE) as app:
            await app.press("ctrl+p")
            await app.type("devic")
            await app.until(lambda: "what this machine offers" in app.text())

    drive(flow)


@pytest.mark.parametrize("name", ["runs", "compare", "curves", "start", "devices"])
def test_every_screen_has_a_help_made_of_its_keys_and_terms(example: Path, name: str) -> None:
    async def flow() -> None:
        async with staged(name, example, WIDE) as app:
            screen = app.screen
            await app.press("question_mark")
            await app.until(lambda: "Help" in app.text())
            text = app.text()
            assert "Keys here" in text
            for term in list(screen.TERMS)[:2]:
                assert term in text
            await app.press("escape")
            assert app.screen is screen

    drive(flow)
