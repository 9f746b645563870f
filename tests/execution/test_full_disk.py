"""A disk without room when an experiment starts: one sentence about it, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store.writer import ResultWriter
from tests.store import build

_ROOT = Path(__file__).resolve().parents[2]
_OWN_NAMESPACE = ("unshare", "--map-root-user", "--mount")


@pytest.fixture(scope="module")
def small_disks() -> None:
    attempt = [*_OWN_NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    if shutil.which("unshare") is None or subprocess.run(attempt, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be made here: user namespaces are not allowed")


@pytest.mark.usefixtures("small_disks")
# Room for nothing, for a part of the empty database, for all of it but not for the experiment.
@pytest.mark.parametrize("size", ["32k", "160k", "320k", "352k"])
def test_a_start_without_room_says_so_and_leaves_nothing(tmp_path: Path, size: str) -> None:
    command = [*_OWN_NAMESPACE, sys.executable, "-m", "tests.execution.full_disk", str(tmp_path), size]
    child = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert child.returncode == 0, child.stderr
    report = json.loads(child.stdout)
    database = tmp_path / "disk" / "new.db"
    assert report["said"][0] == f"no space is left on the disk of {database}, and it could not be written"
    assert report["said"][2] == 1
    assert report["disk"] == []
    assert report["runtime"] == []


def test_a_database_is_unmade_only_where_it_is_new_empty_and_nobodys(tmp_path: Path) -> None:
    new, used, there, shared = (tmp_path / f"{name}.db" for name in ("new", "used", "there", "shared"))
    there.touch()
    for path in (new, used, there):
        writer = ResultWriter(path)
        writer.start()
        if path == used:
            writer.put(build.experiment())
        writer.close()
        writer.unmake()
    first, second = ResultWriter(shared), ResultWriter(shared)
    first.start()
    second.start()
    second.put(build.experiment())
    assert second.flush()
    first.close()
    first.unmake()
    assert shared.exists()
    second.close()
    assert [path.exists() for path in (new, used, there, shared)] == [False, True, True, True]
