"""Draws docs/demo.svg: what `bench run dlrm --profile demo --ui plain` leaves on a terminal of 80 columns. Needs tmux.

python docs/picture.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 80, 60
COMMAND = "bench run dlrm --profile demo --ui plain"
SESSION = "recbench-picture"


def tmux(*arguments: str) -> str:
    return subprocess.run(["tmux", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def screen(folder: str) -> str:
    """The terminal after the command, with its colours."""
    done = Path(folder) / "done"
    bench = f"PATH={Path(sys.executable).parent}:$PATH {COMMAND}; touch {done}; sleep 60"
    tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(LINES), "-c", folder, bench)
    try:
        while not done.exists():
            time.sleep(0.2)
        return tmux("capture-pane", "-t", SESSION, "-p", "-e")
    finally:
        tmux("kill-session", "-t", SESSION)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = screen(folder).replace(folder, "~").rstrip().split("\n")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.assemble(("$ ", "dim"), (COMMAND, "bold")))
        for line in lines:
            console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
        target = Path(__file__).with_name("demo.svg")
        console.save_svg(str(target), title="recbench")
    print(target)  # noqa: T201


if __name__ == "__main__":
    main()
