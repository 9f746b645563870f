"""Starts an experiment whose database shall lie on a small disk: `python -m tests.execution.full_disk FOLDER SIZE`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from harness.errors import BenchError
from tests.execution.conftest import make_house


def main(folder: str, size: str) -> None:
    """In a mount namespace of its own: what the start said, and what it left on the disk."""
    disk = Path(folder) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
    said = None
    with make_house(Path(folder)) as house:
        house.database = disk / "new.db"
        try:
            house.launch(house.plan("normal"))
        except BenchError as problem:
            said = [problem.message, problem.hint, int(problem.exit_code)]
        runtime = _names(Path(folder) / "runtime")
    print(json.dumps({"said": said, "disk": _names(disk), "runtime": runtime}))


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


if __name__ == "__main__":
    main(*sys.argv[1:])
