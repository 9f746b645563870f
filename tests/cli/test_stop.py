"""`bench stop` and what it stands on: an experiment with the fake worker, stopped from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import running
from harness.errors import UsageError
from harness.ids import short_id
from tests.cli.conftest import Bench
from tests.execution.conftest import House, house  # noqa: F401  # a fixture


def test_what_does_not_run_cannot_be_stopped(bench: Bench, example: Path) -> None:
    nothing = bench("stop")
    assert (nothing.code, nothing.err.splitlines()[0]) == (2, "error: nothing runs")
    ended = bench("stop", "baseline", "--db", str(example))
    assert ended.code == 2
    assert "does not run now" in ended.err


def test_which_one_is_asked_where_several_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "running", lambda: [_Living("abcdefghijkl"), _Living("mnpqrstvwxyz")])
    with pytest.raises(UsageError, match="2 experiments run") as asked:
        running.running_id(None, Path("results.db"))
    assert asked.value.hint == "abcdef, mnpqrs"
    assert running.running_id("mnp", Path("results.db")) == "mnpqrstvwxyz"


class _Living:
    def __init__(self, identifier: str) -> None:
        self.id = identifier


@pytest.mark.parametrize("flags", [(), ("--kill",)])
def test_a_running_experiment_is_stopped_from_outside(bench: Bench, house: House, flags: tuple[str, ...]) -> None:  # noqa: F811
    attachment = house.launch(house.plan("endless"))
    identifier = attachment.experiment_id
    said = bench("stop", identifier[:6], *flags)
    assert said.code == 0, said.err
    assert said.err.startswith(f"experiment {short_id(identifier)}:")
    last = next(shot for shot in attachment.snapshots() if shot.over)
    assert last.exit_code == 130
