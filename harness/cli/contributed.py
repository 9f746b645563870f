"""Commands that workloads contribute: `bench cache inspect TRACE`. Flags come from their settings, the work is a job.

A group that does not load has a command all the same, which says so; so it breaks nothing but itself.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any, get_origin

import typer

from harness.api import Command, CommandGroup
from harness.cli import options, pictures
from harness.cli.arguments import prescan
from harness.cli.flags import given, option, parameters, with_signature
from harness.errors import BenchError
from harness.registry import Registry
from harness.settings import Setting, build, settings_of

_FIXED = {"json": (options.Json, False), "debug": (options.Debug, False)}


def add_contributed(app: typer.Typer, registry: Registry, panel: str) -> None:
    """Every contributed group as a sub-command of `app`."""
    for name in registry.command_names():
        try:
            group = registry.command_group(name)
            made = _group(group)
        except BenchError as problem:
            _add_broken(app, name, problem, panel)
            continue
        app.add_typer(made, name=name, help=f"{group.summary}.", rich_help_panel=panel)


def _group(group: CommandGroup) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    for command in group.commands:
        app.command(command.name, help=f"{command.summary}.", no_args_is_help=True)(_function(group, command))
    return app


def _function(group: CommandGroup, command: Command) -> Callable[..., Any]:
    items = settings_of(command.config)
    own_force = any(item.name == "force" for item in items)
    fixed = {**({**pictures.FIXED, **({} if own_force else pictures.FORCE)} if command.draws else {}), **_FIXED}
    flags = [item for item in items if item.name not in command.arguments]
    by_name = {item.name: item for item in items}

    def work(**values: Any) -> None:
        chosen = given(values, flags)
        chosen |= {name: values[name] for name in command.arguments if values[name] is not None}
        where = f"bench {group.name} {command.name}"
        build(command.config, "", chosen, where=where)
        asked = pictures.wanted(values, json=values["json"]) if command.draws else pictures.Wanted()
        answer = _carry_out(group.name, command.name, chosen)
        if values["json"]:
            options.print_json({"schema": 1, **answer.value})
        else:
            out = options.out()
            for line in answer.lines:
                out.print(line, soft_wrap=True)
        over = [chosen[name] for name in command.arguments if name in chosen]
        notes = [" ".join(words if isinstance(words, list) else [str(words)]) for words in over]
        pictures.draw(asked, answer.figures, title=where, notes=notes)

    work.__name__ = command.name
    signature = [
        *(_argument(by_name[name]) for name in command.arguments),
        *parameters(flags, taken=[*fixed, "help"], description=None, devices=()),
        *(option(name, *facts) for name, facts in fixed.items()),
    ]
    return with_signature(work, signature)


def _argument(item: Setting) -> inspect.Parameter:
    many = get_origin(item.base_type) is tuple
    made = typer.Argument(metavar=item.name.upper(), help=item.help, show_default=False)
    kind: Any = list[str] if many else str
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=inspect.Parameter.empty, annotation=Annotated[kind, made]
    )


def _carry_out(group: str, command: str, values: dict[str, Any]) -> Any:
    from harness.execution.job import run_job

    talk = options.talk()
    shows = talk.is_terminal
    shown = False

    def progress(done: float, total: float | None, unit: str) -> None:
        nonlocal shown
        if shows:
            share = f"{done / total:.0%}" if total else f"{done:,.0f}"
            talk.print(f"\r{share} {unit} ", end="")
            shown = True

    def clear() -> None:
        nonlocal shown
        if shown:
            talk.print("\r" + " " * 40 + "\r", end="")
            shown = False

    def log(text: str, level: str) -> None:
        clear()
        talk.print(f"warning: {text}" if level == "warning" else text, soft_wrap=True)

    try:
        return run_job(
            group, command, values, width=options.out().width, progress=progress, log=log, debug=_debugging()
        )
    finally:
        clear()


def _debugging() -> bool:
    return prescan(sys.argv[1:]).debug


def _add_broken(app: typer.Typer, name: str, problem: BenchError, panel: str) -> None:
    def refuse(context: typer.Context) -> None:
        raise problem

    app.command(
        name,
        help=f"does not load: {problem.message}".replace("[", "\\["),
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        rich_help_panel=panel,
    )(refuse)
