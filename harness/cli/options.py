"""Options and consoles that several commands share. stdout is data, stderr is talk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from harness import paths, profiles
from harness.cli import complete

RECORDING = "Recording"
OUTPUT = "Output"
WHAT = "What to run"

UI = Literal["auto", "dashboard", "plain", "none"]


def complete_profiles(incomplete: str) -> list[str]:
    return [name for name in profiles.names() if name.startswith(incomplete)]


def complete_workloads(incomplete: str) -> list[str]:
    from harness.registry import Registry

    return [name for name in Registry().workload_names() if name.startswith(incomplete)]


def complete_devices(incomplete: str) -> list[str]:
    from harness.registry import Registry

    return [name for name in Registry().device_names() if name.startswith(incomplete)]


Database = Annotated[
    Path | None,
    typer.Option(
        "--db",
        envvar="BENCH_DB",
        metavar="PATH",
        help="the results database (default results.db in the working folder)",
        show_default=False,
        rich_help_panel=RECORDING,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="tag the experiment; repeatable", rich_help_panel=RECORDING),
]
Note = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="a remark kept with it", rich_help_panel=RECORDING)
]
Share = Annotated[
    bool,
    typer.Option(
        "--share",
        metavar="",
        help="measure beside another measurement instead of waiting for it; recorded",
        rich_help_panel=RECORDING,
    ),
]
Face = Annotated[
    UI,
    typer.Option(
        "--ui",
        metavar="WORD",
        help="what is shown while it runs: auto, dashboard, plain or none; auto is the dashboard on a terminal",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="print the result as JSON on stdout", rich_help_panel=OUTPUT)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", metavar="", help="print every setting with its origin, and run nothing", rich_help_panel=OUTPUT
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME|FILE",
        help="settings from a profile: bench profiles list",
        autocompletion=complete_profiles,
        rich_help_panel=WHAT,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="any setting by its key; stronger than flags; repeatable",
        autocompletion=complete.assignments,
        rich_help_panel=WHAT,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="a Python file with workloads or devices; repeatable", rich_help_panel=WHAT
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", metavar="", help="on an error, print the whole traceback", rich_help_panel=OUTPUT)
]


def database(given: Path | None) -> Path:
    """The database of this invocation."""
    return given if given is not None else paths.default_database()


def out() -> Console:
    """For data."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def talk() -> Console:
    """For everything that is said about the data."""
    return Console(file=sys.stderr, highlight=False, markup=False, emoji=False)


def say(text: str, *, hang: int = 2) -> None:
    """A sentence about the data, wrapped at words on a terminal."""
    from harness.report.lines import say as print_wrapped

    print_wrapped(talk(), text, hang=hang)


def write(text: str, *, hang: int = 2) -> None:
    """A line of data, wrapped at words on a terminal."""
    from harness.report.lines import say as print_wrapped

    print_wrapped(out(), text, hang=hang)


def print_json(body: object) -> None:
    """One document on stdout."""
    from harness.report import result_json

    sys.stdout.write(result_json.text(body) + "\n")
    sys.stdout.flush()
