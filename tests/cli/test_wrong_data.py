"""Wrong input that only the worker can see, through the real command: one sentence, its exit code, nothing left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the worker needs torch to come as far as the data")

GOOD = "\t".join(["1", *["2"] * 13, *["0a1b2c3d"] * 26])


@pytest.mark.parametrize("output", [("--ui", "plain"), ("--json",)])
def test_a_malformed_line_is_told_once_and_nothing_is_stored(tmp_path: Path, output: tuple[str, ...]) -> None:
    (tmp_path / "run").mkdir()
    rows = tmp_path / "train.txt"
    rows.write_text(f"{GOOD}\n{GOOD.replace('2', 'x', 1)}\n{GOOD}\n")
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "harness", "run", "dlrm", "--profile", "smoke", "--data", str(rows), *output],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "RECBENCH_RUNTIME": str(tmp_path / "run"), "RECBENCH_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stdout == ""
    errors = [line for line in answer.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "line 2, column I1" in errors[0] and "'x'" in errors[0]
    assert "has no experiment" not in answer.stderr
    assert not list(tmp_path.glob("recbench-output/*"))
