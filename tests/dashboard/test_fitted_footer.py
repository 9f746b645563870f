from __future__ import annotations

from pathlib import Path

import pytest

from harness.dashboard.app import SCREENS
from harness.dashboard.widgets.fitted_footer import FittedFooter
from tests.dashboard.drive import drive
from tests.dashboard.stage import staged


@pytest.mark.parametrize("name", [entry.name for entry in SCREENS])
def test_the_footer_never_runs_over_the_edge_and_always_says_help_and_quit(name: str) -> None:
    async def flow() -> None:
        async with staged(name, Path("results.db"), (140, 45)) as app:
            for width in (140, 80, 40, 20, 140):
                await app.pilot.resize_terminal(width, 24)
                await app.settle()
                footer = app.screen.query_one(FittedFooter)
                last = app.text().splitlines()[-1]
                assert footer.max_scroll_x == 0 and len(last) <= width
                assert last.endswith("? help  q quit"), last

    drive(flow)
