from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from harness.cli import watch
from harness.dashboard.app import Leaving
from harness.errors import ExitCode, UnavailableError, UsageError
from harness.execution.attachment import Attachment
from harness.execution.snapshot import CellView, Snapshot
from harness.store.queries import Store


def _snapshot(exit_code: int | None = None, **changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "experiment_id": "expaaaaaaaaa",
        "command": "run",
        "database": "results.db",
        "state": "running",
        "started_at": "2026-11-03T14:05:00Z",
        "elapsed_s": 1.0,
        "exit_code": exit_code,
        "cells": (CellView(id="c0", index=0, label="x", workload="dlrm", mode="train", device="cpu"),),
    }
    return Snapshot(**{**facts, **changes})


class FakeAttachment:
    """An experiment that is over once it was told `ends`; each look at it meets one Ctrl-C of the person."""

    experiment_id = "expaaaaaaaaa"

    def __init__(self, interruptions: int, refuses: bool = False) -> None:
        self.sent: list[str] = []
        self._interruptions = interruptions
        self._refuses = refuses

    def snapshots(self) -> Iterator[Snapshot]:
        yield _snapshot()
        if self._interruptions:
            self._interruptions -= 1
            raise KeyboardInterrupt
        yield _snapshot(130 if self.sent else 0)

    def send(self, command: str) -> str:
        self.sent.append(command)
        if self._refuses:
            raise UsageError("it is ending already")
        return "done"


def _follow(fake: FakeAttachment, capsys: pytest.CaptureFixture[str]) -> tuple[Snapshot, str]:
    last = watch.follow(cast(Attachment, fake), "plain")
    return last, capsys.readouterr().err


def test_an_experiment_is_followed_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeAttachment(0)
    last, err = _follow(fake, capsys)
    assert last.exit_code == 0
    assert fake.sent == []
    assert "experiment expaaa" in err


def test_the_first_interrupt_stops_and_the_second_kills(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeAttachment(1)
    last, err = _follow(fake, capsys)
    assert fake.sent == ["stop"]
    assert last.exit_code == 130
    assert "press Ctrl-C again to kill" in err
    fake = FakeAttachment(2)
    _follow(fake, capsys)
    assert fake.sent == ["stop", "kill"]


def test_a_third_interrupt_leaves_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        _follow(FakeAttachment(3), capsys)
    assert left.value.exit_code == ExitCode.INTERRUPTED


def test_a_watcher_leaves_with_an_interrupt_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeAttachment(1)
    with pytest.raises(typer.Exit) as left:
        watch.watch(cast(Attachment, fake), "plain")
    assert left.value.exit_code == ExitCode.INTERRUPTED
    assert fake.sent == []
    err = capsys.readouterr().err
    assert "Ctrl-C leaves it running; bench stop expaaa" in err
    assert "bench show expaaa --follow" in err
    assert watch.watch(cast(Attachment, FakeAttachment(0)), "plain").exit_code == 0


def test_a_command_that_is_refused_is_said_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    last, err = _follow(FakeAttachment(1, refuses=True), capsys)
    assert last.over
    assert "it is ending already" in err


def test_the_silent_face_prints_nothing_but_the_id(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(example) as store:
        identifier = store.resolve("baseline", ("experiment",))[1]
    watch.report(_snapshot(0, experiment_id=identifier), example, face="none", json=False)
    captured = capsys.readouterr()
    assert captured.out == identifier + "\n"
    assert captured.err == ""


@pytest.mark.parametrize(("code", "hint"), [(1, "bench show"), (130, "bench run dlrm --resume")])
def test_the_exit_code_follows_behind_the_result(
    example: Path, capsys: pytest.CaptureFixture[str], code: int, hint: str
) -> None:
    with Store(example) as store:
        identifier = store.resolve("baseline", ("experiment",))[1]
    with pytest.raises(watch.Failed) as failed:
        watch.report(_snapshot(code, experiment_id=identifier, message="why"), example, face="plain", json=False)
    assert (failed.value.exit_code, failed.value.message) == (code, "why")
    assert hint in (failed.value.hint or "")
    assert "dlrm" in capsys.readouterr().out


class _Terminal:
    def isatty(self) -> bool:
        return True


def _at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal())
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)


def test_auto_is_the_dashboard_where_somebody_sits_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    _at_a_terminal(monkeypatch)
    assert watch.choose_face("auto") == "dashboard"
    assert watch.choose_face("auto", json=True) == "plain"
    assert watch.choose_face("plain") == "plain"
    assert watch.choose_face("none") == "none"
    monkeypatch.setenv("CI", "true")
    assert watch.choose_face("auto") == "plain"
    assert watch.choose_face("dashboard") == "dashboard"


@pytest.mark.parametrize("missing", ["sys.stdin", "sys.stdout", "TERM", "textual"])
def test_auto_is_plain_and_the_dashboard_is_refused_where_it_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    _at_a_terminal(monkeypatch)
    if missing == "TERM":
        monkeypatch.setenv("TERM", "dumb")
    elif missing == "textual":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    else:
        monkeypatch.setattr(missing, io.StringIO())
    assert watch.choose_face("auto") == "plain"
    with pytest.raises(UnavailableError, match="the dashboard cannot be shown"):
        watch.choose_face("dashboard")


def _left(monkeypatch: pytest.MonkeyPatch, leaving: Leaving | None) -> None:
    def show(database: Path, *, attachment: object, attended: bool) -> Leaving | None:
        assert attended
        return leaving

    monkeypatch.setattr("harness.dashboard.show.show", show)


def _attached() -> Attachment:
    fake = FakeAttachment(0)
    fake.experiment_id = "expaaaaaaaaa"  # type: ignore[attr-defined]
    return cast(Attachment, fake)


def test_the_dashboard_hands_the_end_on_to_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    _left(monkeypatch, Leaving(_snapshot(0), detached=False))
    assert watch.follow(_attached(), "dashboard").exit_code == 0


@pytest.mark.parametrize("last", [None, _snapshot(), _snapshot(0, experiment_id="another00000")])
def test_who_leaves_before_the_end_is_told_how_to_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: Snapshot | None
) -> None:
    _left(monkeypatch, Leaving(last, detached=True))
    with pytest.raises(typer.Exit) as left:
        watch.follow(_attached(), "dashboard")
    assert left.value.exit_code == ExitCode.OK
    assert "bench dashboard expaaa" in capsys.readouterr().err


def test_a_dashboard_that_fails_does_not_end_the_experiment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _left(monkeypatch, None)
    assert watch.follow(_attached(), "dashboard").exit_code == 0
    assert "experiment expaaa" in capsys.readouterr().err
