from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from harness.cli import watch
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


def test_auto_is_plain_and_the_dashboard_is_refused() -> None:
    assert watch.choose_face("auto") == "plain"
    assert watch.choose_face("none") == "none"
    with pytest.raises(UnavailableError):
        watch.choose_face("dashboard")
