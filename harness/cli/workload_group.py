"""A command group with one sub-command per workload, made when it is asked for: `bench run NAME`, `bench sweep NAME`.

A workload that does not import has a sub-command all the same, which says so; so it breaks nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command as command_of

from harness.api import Description
from harness.cli.help_pages import without_types
from harness.errors import BenchError, UsageError, did_you_mean
from harness.registry import Registry

Make = Callable[[Description], Callable[..., Any]]


def workload_group(registry: Registry, make: Make) -> type[TyperGroup]:
    """The class of a group whose commands are `make(description)` for each known workload."""

    class WorkloadGroup(TyperGroup):
        """Sub-commands from the registry; the shipped ones, entry points and plug-ins alike."""

        def list_commands(self, ctx: Any) -> list[str]:
            return registry.workload_names()

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in registry.workload_names():
                return None
            if cmd_name not in self.commands:
                self.commands[cmd_name] = _command(registry, cmd_name, make)
            return self.commands[cmd_name]

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name = args[0]
            if not name.startswith("-") and name not in registry.workload_names():
                raise UsageError(f"unknown workload {name!r}", hint=did_you_mean(name, registry.workload_names()))
            return super().resolve_command(ctx, args)

    return WorkloadGroup


def _command(registry: Registry, name: str, make: Make) -> Any:
    try:
        description = registry.workload(name)
        function = make(description)
        summary = description.summary
    except BenchError as problem:
        return _broken(name, problem)
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name=name, help=f"{summary}.\n\n{function.__doc__ or ''}".strip(), short_help=summary)(function)
    return without_types(command_of(app))


def _broken(name: str, problem: BenchError) -> Any:
    def refuse(context: typer.Context) -> None:
        raise problem

    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(
        name=name,
        help=f"does not load: {problem.message}".replace("[", "\\["),
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(refuse)
    return command_of(app)
