"""`bench config show`: which settings hold in this folder, and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from harness import paths
from harness.cli import layers, options
from harness.registry import Registry
from harness.sources import all_settings

_Workload = Annotated[
    str, typer.Argument(metavar="[WORKLOAD]", help="for this workload", autocompletion=options.complete_workloads)
]


def make_config(registry: Registry) -> typer.Typer:
    """The group of commands on the configuration."""
    app = typer.Typer(help="The settings that hold here, and the files that give them.", no_args_is_help=True)

    @app.callback()
    def config() -> None:
        """The settings that hold here, and the files that give them."""

    @app.command("show")
    def show(workload: _Workload = "dlrm", profile: options.ProfileName = None, json: options.Json = False) -> None:
        """Each value with its origin: environment, profile, ./bench.toml, user configuration or default."""
        from harness.cli.run import dry_run

        description = registry.workload(workload)
        spec = layers.spec_of(registry, description, layers.Given(profile=profile))
        layers.warn_of_strays(all_settings(description))
        if not json:
            file = paths.config_file()
            options.say(f"user configuration: {file}{'' if file.is_file() else ' (not there)'}")
        dry_run([spec], json=json)

    return app
