"""Keeps what README.md quotes true: the help text of `bench` and the example workload.

python docs/sync_readme.py            rewrites the quoted parts
python docs/sync_readme.py --check    exit 1 where one differs
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
README = TOP / "README.md"


def help_text(*command: str) -> str:
    """What a terminal of 80 columns shows, without colours and trailing spaces."""
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    answer = subprocess.run(
        [sys.executable, "-m", "harness", *command, "--help"],
        check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=TOP,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in answer.stdout.strip("\n").splitlines())


def quoted(kind: str, name: str) -> str:
    if kind == "help":
        return f"```\n{help_text(*name.split()[1:])}\n```"
    return f"```python\n{(TOP / name).read_text().rstrip()}\n```"


def synced(text: str) -> str:
    """The text with every `<!-- quote KIND NAME -->` block renewed."""
    pattern = re.compile(r"(<!-- quote (help|file) (.+?) -->\n).*?(\n<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: found[1] + quoted(found[2], found[3]) + found[4], text)


def main() -> int:
    old = README.read_text()
    new = synced(old)
    if "--check" in sys.argv:
        return int(old != new)
    README.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
