"""The dashboard that one browser sees: started by `harness.dashboard.serve`, in a process of its own.

    python -m harness.dashboard.served [--db PATH] [ID]

It is `bench dashboard` without the question whether there is a terminal: Textual's web driver speaks through the
pipes instead, which the server has chosen in the environment.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import paths
from harness.dashboard.show import show
from harness.dashboard.source import find_source
from harness.errors import BenchError, ExitCode


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="harness.dashboard.served")
    parser.add_argument("thing", nargs="?")
    parser.add_argument("--db", type=Path)
    given = parser.parse_args(argv)
    try:
        database, source = find_source(given.thing, given.db or paths.default_database(), named=given.db is not None)
        return ExitCode.OK if show(database, source=source) is not None else ExitCode.RUN_FAILED
    except BenchError as problem:
        sys.stderr.write(f"error: {problem.message}\n")
        return int(problem.exit_code)


if __name__ == "__main__":
    sys.exit(main())
