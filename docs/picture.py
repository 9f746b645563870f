"""Draws docs/demo.svg: what `bench run dlrm --profile demo` shows on a terminal of 84 columns.

    python docs/picture.py
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 84
COMMAND = "bench run dlrm --profile demo"


def recorded(folder: str) -> str:
    """Everything the command wrote to its terminal, colours included."""
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", *COMMAND.split()[1:]],
        stdout=child, stderr=child, stdin=child, cwd=folder, env=environment,
    )  # fmt: skip
    os.close(child)
    written = b""
    while True:
        try:
            chunk = os.read(parent, 65_536)
        except OSError:  # Linux reports the closed terminal so
            break
        if not chunk:
            break
        written += chunk
    if process.wait() != 0:
        raise SystemExit(written.decode())
    return written.decode()


def final_lines(text: str) -> list[str]:
    """The lines that remain: a line redrawn in place counts once, erased progress not at all."""
    lines = []
    for line in text.replace("\r\n", "\n").split("\n"):
        last = line.split("\r")[-1].replace("\x1b[2K", "").replace("\x1b[K", "")
        lines.append(last)
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = final_lines(recorded(folder))
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"))
    console.print(Text.assemble(("$ ", "dim"), (COMMAND, "bold")))
    for line in lines:
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
    target = Path(__file__).with_name("demo.svg")
    console.save_svg(str(target), title="recbench")
    print(target)  # noqa: T201


if __name__ == "__main__":
    main()
