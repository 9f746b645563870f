from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.execution.snapshot import Snapshot
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive, opened
from tests.dashboard.pictures import Recording, host, over, steady, sweep


def _broken() -> Snapshot:
    """One run crashed, one was skipped, the machine is busy with something else."""
    picture = steady(12, telemetry={"host": host(82.0, foreign=2.5)})
    runs = list(picture.cells[0].runs)
    runs[0] = replace(runs[0], status="crashed", reason="the worker was killed by SIGKILL", metrics=(), throughput=None)
    runs[1] = replace(runs[1], status="skipped", reason="skipped by the person", windows=(), metrics=())
    return replace(picture, cells=(replace(picture.cells[0], runs=tuple(runs)),))


def _waiting() -> Snapshot:
    """Another experiment measures on this machine."""
    picture = steady(0)
    runs = tuple(
        replace(run, status="pending", phase=None, windows=(), metrics=(), throughput=None, started_at=None)
        for run in picture.cells[0].runs
    )
    cell = replace(picture.cells[0], runs=runs)
    why = "experiment abc123 (process 4711) since 14:00:00"
    return replace(picture, cells=(cell,), state="waiting", waiting_for=why, current_run=None, eta_s=None)


PICTURES: dict[str, Callable[[], Snapshot]] = {
    "steady": lambda: steady(18),
    "card": lambda: steady(18, device="cuda:0"),
    "card-not-readable": lambda: steady(18, device="npu:0", telemetry={"host": host(88.0)}),
    "sweep": sweep,
    "over": over,
    "broken": _broken,
    "waiting": _waiting,
}


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
@pytest.mark.parametrize("name", PICTURES)
def test_live_looks_as_it_did(name: str, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with opened(Recording(PICTURES[name]()), size=size) as app:
            check_golden(f"live-{name}-{size[0]}x{size[1]}", app.text())

    drive(flow)


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
@pytest.mark.parametrize(("name", "key"), [("leave", "q"), ("kill", "k"), ("help", "question_mark")])
def test_dialogs_look_as_they_did(name: str, key: str, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with opened(Recording(steady(18)), size=size) as app:
            await app.press(key)
            await app.pilot.pause(0.1)
            check_golden(f"{name}-{size[0]}x{size[1]}", app.text())

    drive(flow)


def test_a_tiny_terminal_keeps_the_number_and_its_line() -> None:
    async def flow() -> None:
        async with opened(Recording(steady(18)), size=(40, 10)) as app:
            check_golden("live-40x10", app.text())

    drive(flow)
