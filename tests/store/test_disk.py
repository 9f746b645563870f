"""Disks that are full or read-only: small file systems in a mount namespace of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.store import build

_OWN_NAMESPACE = ("unshare", "--map-root-user", "--mount")


@cache
def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    attempt = [*_OWN_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return subprocess.run(attempt, capture_output=True, check=False).returncode == 0


def _report(name: str, folder: Path) -> dict[str, Any]:
    if not _can_mount():
        pytest.skip("no small disk can be made here: user namespaces are not allowed")
    child = build.child(name, folder, prefix=_OWN_NAMESPACE)
    out, problems = child.communicate(timeout=120)
    assert child.returncode == 0, problems
    return json.loads(out)


def test_a_full_disk_is_told_once_and_keeps_what_was_committed(tmp_path: Path) -> None:
    report = _report("full_disk", tmp_path)
    place = tmp_path / "results.db"
    assert report["errors"] == [
        [
            "RunFailed",
            f"no space is left on the disk of {place}, and it could not be written; results up to now are kept",
            "free some space; what was committed is safe",
            1,
        ]
    ]
    assert report["committed"] > 3
    assert report["texts"] == [f"{word} {k}" for k in range(report["committed"]) for word in ("begin", "end")]
    assert report["check"] == "ok"


def test_no_room_for_a_new_database_leaves_nothing_behind(tmp_path: Path) -> None:
    report = _report("no_room", tmp_path)
    message, _, code = report["refusal"]
    assert message.startswith("no space is left on the disk of")
    assert code == 1
    assert report["left"] == []


def test_a_read_only_disk_can_be_read_and_is_refused_for_writing(tmp_path: Path) -> None:
    report = _report("read_only", tmp_path)
    assert report["read"] == ["exp1"]
    place = tmp_path / "results.db"
    assert report["refusal"][0] == f"{place} is read-only and could not be written"
    assert report["edit"] == f"{place} is read-only and could not be written"
    assert (
        report["new"][0] == f"{tmp_path / 'new.db'} cannot be written: Read-only file system in the folder {tmp_path}"
    )
    assert [report["refusal"][2], report["new"][2]] == [2, 2]
    assert report["left"] == ["results.db"]


def test_files_of_another_user_are_used_as_far_as_allowed() -> None:
    child = build.child("another_user")
    out, problems = child.communicate(timeout=120)
    assert child.returncode == 0, problems
    answer = json.loads(out)
    readable, secret = answer["paths"]["read-only"], answer["paths"]["secret"]
    assert answer["report"] == {
        "read-only": [["exp1"], f"{readable} is read-only and could not be written"],
        "secret": [
            f"{secret} cannot be opened, so it could not be read",
            f"{secret} cannot be opened, so it could not be written",
        ],
    }
