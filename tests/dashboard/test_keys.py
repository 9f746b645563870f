"""Every key of every screen is pressed in some test: a binding that nobody tries fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.dashboard.app import SCREENS, Dashboard
from harness.dashboard.screens.compare import CompareScreen
from harness.dashboard.screens.confirm import ConfirmScreen
from harness.dashboard.screens.curves import CurvesScreen
from harness.dashboard.screens.devices import DevicesScreen
from harness.dashboard.screens.help import HelpScreen
from harness.dashboard.screens.leave import LeaveScreen
from harness.dashboard.screens.live import LiveScreen
from harness.dashboard.screens.pick import Pick
from harness.dashboard.screens.runs import RunsScreen
from harness.dashboard.screens.start import StartScreen
from harness.dashboard.widgets.long_list import LongList
from harness.dashboard.widgets.row_editor import RowEditor
from harness.dashboard.widgets.run_tree import RunTree
from tests.dashboard.drive import NARROW, drive, opened
from tests.dashboard.pictures import Recording, steady
from tests.dashboard.stage import staged

HERE = Path(__file__).parent
# What has keys, and the tests that press them.
OWNERS: dict[type[Any], tuple[str, ...]] = {
    Dashboard: ("test_live", "test_runs", "test_palette", "test_keys"),
    LiveScreen: ("test_live",),
    RunTree: ("test_live",),
    LeaveScreen: ("test_live",),
    ConfirmScreen: ("test_live", "test_runs"),
    HelpScreen: ("test_live",),
    RunsScreen: ("test_runs",),
    LongList: ("test_runs", "test_long_list"),
    RowEditor: ("test_runs",),
    Pick: ("test_runs",),
    CompareScreen: ("test_compare_screen",),
    CurvesScreen: ("test_curves_screen", "test_compare_screen"),
    StartScreen: ("test_start",),
    DevicesScreen: ("test_devices_screen",),
}
NOT_IN_A_TEST = {
    (Dashboard, "ctrl+z"): "stops the process itself",
}


def keys_of(owner: type[Any]) -> list[str]:
    """The first key of each of its own bindings: several keys of one binding are one thing."""
    own = owner.__dict__.get("BINDINGS", [])
    return [binding.key if hasattr(binding, "key") else binding[0] for binding in own]


def pressed(name: str) -> Iterator[str]:
    """Keys in calls of `press`, `keys` and `type`, and in the lists that tests are run over."""
    tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "SCREEN_KEYS":
            yield from (str(inner.value) for inner in ast.walk(node.value) if isinstance(inner, ast.Constant))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("press", "keys", "parametrize"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value


CASES = [(owner, keys) for owner in OWNERS for keys in keys_of(owner)]


SCREEN_KEYS = [("L", "live"), ("R", "runs"), ("C", "compare"), ("U", "curves"), ("S", "start"), ("D", "devices")]


@pytest.mark.parametrize(("key", "name"), SCREEN_KEYS)
def test_a_capital_letter_opens_its_screen_from_everywhere(key: str, name: str) -> None:
    assert [(entry.key, entry.name) for entry in SCREENS] == SCREEN_KEYS

    async def flow() -> None:
        for first in ("runs", "start"):
            async with staged(first, Path("results.db"), NARROW) as app:
                await app.press(key)
                await app.until(lambda: app.app.current_name == name and name == app.screen.NAME)

    drive(flow)


def test_ctrl_q_asks_while_something_runs_and_leaves_otherwise() -> None:
    async def flow() -> None:
        async with opened(Recording(steady(5))) as app:
            await app.press("ctrl+q")
            await app.until(lambda: isinstance(app.app.screen, LeaveScreen))
        async with staged("runs", Path("results.db"), NARROW) as app:
            await app.press("ctrl+q")
            await app.until(lambda: app.app.return_value is not None)

    drive(flow)


@pytest.mark.parametrize(("owner", "keys"), CASES, ids=[f"{owner.__name__}-{keys}" for owner, keys in CASES])
def test_each_key_is_pressed_in_a_test(owner: type[Any], keys: str) -> None:
    if (owner, keys) in NOT_IN_A_TEST:
        pytest.skip(NOT_IN_A_TEST[owner, keys])
    tried = {key for name in OWNERS[owner] for key in pressed(name)}
    missing = [key for key in keys.split(",") if key not in tried]
    assert len(missing) < len(keys.split(",")), f"no test of {', '.join(OWNERS[owner])} presses {keys}"
