from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ExitCode
from tests.cli.conftest import Bench


def test_without_a_terminal_it_says_what_to_use_instead(bench: Bench, example: Path) -> None:
    done = bench("dashboard", "baseline", "--db", str(example))
    assert done.code == ExitCode.UNAVAILABLE
    assert "the dashboard cannot be shown" in done.err
    assert "bench show" in done.err


def test_its_help_tells_of_the_browser(bench: Bench) -> None:
    done = bench("dashboard", "--help")
    assert done.code == ExitCode.OK
    for word in ("--serve", "--host", "--port", "--db", "[ID]"):
        assert word in done.out


def test_it_shows_what_was_asked_for(bench: Bench, example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.dashboard.app import Leaving
    from harness.dashboard.source import RecordedSource

    shown: list[tuple[Path, object]] = []

    def show(database: Path, *, source: object, registry: object) -> Leaving:
        shown.append((database, source))
        return Leaving(None, detached=False)

    monkeypatch.setattr("harness.cli.dashboard.why_no_dashboard", lambda: None)
    monkeypatch.setattr("harness.dashboard.show.show", show)
    assert bench("dashboard", "baseline", "--db", str(example)).code == ExitCode.OK
    assert shown[0][0] == example
    assert isinstance(shown[0][1], RecordedSource)
    assert bench("dashboard", "nothing-of-that-name", "--db", str(example)).code == ExitCode.USAGE
    assert bench("dashboard").code == ExitCode.OK  # no database here: the dashboard opens without an experiment
    assert shown[1] == (Path("results.db"), None)
