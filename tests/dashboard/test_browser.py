"""`bench dashboard --serve` on a run that goes on, in a real browser: looked at, asked for help, and told to kill it.

pytest tests/dashboard/test_browser.py        RECBENCH_PICTURES=FOLDER keeps what the browser saw
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("textual_serve", reason="textual-serve is not installed (recbench[web])")

from harness.store.queries import Store
from tests.dashboard.chromium import Page, browsing, program

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium is installed")

TOP = Path(__file__).resolve().parents[2]
FAKES = [TOP / "tests" / "fakes" / name for name in ("workloads.py", "devices.py")]


@contextmanager
def bench(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `bench` command that goes on until the test ends. An experiment outlives it, but not its time limit."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.cli.app", *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def _running(database: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    plugins = [word for path in FAKES for word in ("--plugin", str(path))]
    return bench(
        "run", "steady", *plugins, "--device", "still", "--rows", "100000000", "--step-s", "0.002", "--warmup", "none",
        "--window-s", "0.2", "--repeats", "2", "--time-limit", "2m", "--ui", "none", "--db", str(database),
    )  # fmt: skip


def _address(server: subprocess.Popen[str]) -> tuple[str, str]:
    """(the address, its token), as the command prints them."""
    assert server.stderr is not None
    for line in server.stderr:
        found = re.search(r"(http://127\.0\.0\.1:\d+/)\?token=(\S+)", line)
        if found:
            return found[1], found[2]
    raise AssertionError("the server printed no address")


def test_a_browser_watches_and_steers_a_live_run(tmp_path: Path) -> None:
    database = tmp_path / "results.db"

    async def look(page: Page, name: str) -> None:
        if folder := os.environ.get("RECBENCH_PICTURES"):
            await page.picture(Path(folder) / f"browser-{name}.png")

    async def flow(run: subprocess.Popen[str], base: str, token: str) -> None:
        async with browsing(tmp_path / "profile") as page:
            await page.open(base)
            await page.reads("needs the token")
            assert page.statuses == [403]

            await page.open(f"{base}?token={token}")
            await page.hears("steady train")
            await page.hears("measure")
            assert await page.value("location.href") == base, "the token stays in no address"
            await look(page, "live")

            await page.press("?")
            await page.hears("Help · Live")
            await look(page, "help")
            await page.press("?")
            await page.hears("Throughput")
            await page.press("R")
            await page.hears("filter: words")
            await page.press("L")
            await page.press("k")
            await page.hears("kill it now")
            await page.press("y")
            assert await asyncio.to_thread(run.wait, 30) == 130
            assert page.complaints == []

    with _running(database) as run:
        _wait_for(database)
        with bench("dashboard", "--serve", "--db", str(database)) as server:
            asyncio.run(flow(run, *_address(server)))
    with Store(database) as store:
        (experiment,) = store.list_experiments()
        assert experiment.status == "interrupted"


def _wait_for(database: Path) -> None:
    for _ in range(400):
        if database.exists():
            return
        time.sleep(0.05)
    raise AssertionError("the run did not start")
