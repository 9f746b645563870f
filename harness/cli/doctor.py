"""`bench doctor`: what can run here, what cannot, and what to do about it."""

from __future__ import annotations

import dataclasses
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

import harness
from harness import paths
from harness.cli import options
from harness.cli.watch import shown_path
from harness.errors import ExitCode
from harness.registry import Registry

_STYLES = {
    "available": "green",
    "not installed": "dim",
    "no card": "yellow",
    "not built": "yellow",
    "broken": "bold red",
}


def make_doctor(registry: Registry) -> Callable[..., Any]:
    """`bench doctor` for the devices of this registry."""

    def doctor(
        python: Annotated[
            Path | None,
            typer.Option("--python", metavar="PATH", help="ask the packages of this Python instead of ours"),
        ] = None,
        plugin: options.Plugins = None,
        json: options.Json = False,
        db: options.Database = None,
    ) -> None:
        """Asks every device, each in a process of its own, whether it can run. Exit 5 where none can."""
        from harness.devices.doctor import examine

        reports = examine(registry, python)
        places = _places(options.database(db))
        if json:
            body = {"schema": 1, "version": harness.__version__, "python": platform.python_version()}
            options.print_json({**body, "places": places, "devices": [dataclasses.asdict(one) for one in reports]})
        else:
            _show(reports, places)
        if not any(one.state == "available" for one in reports):
            raise typer.Exit(ExitCode.UNAVAILABLE)

    return doctor


def _show(reports: list[Any], places: dict[str, str]) -> None:
    from harness.report.tables import plain_table, print_table

    console = options.out()
    options.write(f"recbench {harness.__version__}, Python {platform.python_version()} ({sys.executable})")
    versions: dict[str, str | None] = {}
    rows: list[list[str | Text]] = []
    for one in reports:
        versions.update({name: version for name, version in one.versions.items() if version or name not in versions})
        sentence = Text(one.sentence)
        if one.hint:
            sentence.append(f"\n→ {one.hint}", style="cyan")
        rows.append([Text(one.name, style="bold"), Text(one.state, style=_STYLES.get(one.state, "")), sentence])
    console.print()
    print_table(console, plain_table(["device", "state", "what was found"], rows, fold=["what was found"]))
    if versions:
        found = ", ".join(f"{name} {version or '–'}" for name, version in versions.items())
        console.print()
        options.write(f"packages: {found}", hang=10)
    console.print()
    for name, place in places.items():
        options.write(f"{name:<14}{place}", hang=14)


def _places(database: Path) -> dict[str, str]:
    """Where things lie, and whether they are there."""

    def there(path: Path) -> str:
        return shown_path(path) + ("" if path.exists() else "  (not there yet)")

    return {
        "results": there(database),
        "configuration": there(paths.config_file()),
        "profiles": f"{paths.profiles_dir()}, {there(paths.user_profiles_dir())}",
        "cache": there(paths.cache_dir()),
    }
