"""`bench profiles list|show|check`."""

from __future__ import annotations

from typing import Annotated

import typer

from harness import profiles
from harness.cli import options
from harness.errors import BenchError, UsageError, did_you_mean
from harness.registry import Registry

_Name = Annotated[str, typer.Argument(metavar="NAME|FILE", help="a profile", autocompletion=options.complete_profiles)]
_Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME|FILE…]", help="all when none is given", autocompletion=options.complete_profiles),
]


def make_profiles(registry: Registry) -> typer.Typer:
    """The group of commands on profiles."""
    app = typer.Typer(help="Named settings: list, show, check.", invoke_without_command=True)

    @app.callback()
    def default(context: typer.Context) -> None:
        """Named settings: list, show, check."""
        if context.invoked_subcommand is None:
            list_profiles(json=False)

    @app.command("list")
    def list_command(json: options.Json = False) -> None:
        """Every profile that a bare name reaches: your own, then the shipped ones."""
        list_profiles(json=json)

    @app.command("show")
    def show(name: _Name, json: options.Json = False) -> None:
        """Every setting that a profile resolves to, with its origin."""
        from harness.cli.run import dry_run

        profile = profiles.load(name)
        specs = profiles.cells(profile, registry.workload(_workload(profile, registry)))
        if not json:
            options.say(f"{profile.path}: {profile.description}".rstrip(": "))
        dry_run(specs, json=json)

    @app.command("check")
    def check(names: _Names = None) -> None:
        """Reads profiles as a run would; the first wrong key or value of each is named. Exit 2 where one is wrong."""
        problems = 0
        for name in names or profiles.names():
            try:
                profile = profiles.load(name)
                profiles.check(profile, registry.workload(_workload(profile, registry)))
                registry.device(profile.device)
                options.write(f"ok     {name}")
            except BenchError as problem:
                problems += 1
                options.write(f"wrong  {name}: {problem.message}", hang=7)
                if problem.hint:
                    options.write(f"       hint: {problem.hint}", hang=7)
        if problems:
            checked = len(names or profiles.names())
            raise UsageError(
                "the profile cannot be used" if checked == 1 else f"{problems} of {checked} profiles cannot be used"
            )

    return app


def list_profiles(*, json: bool) -> None:
    """One line a profile; a broken one says why."""
    found: list[tuple[str, profiles.Profile | None, str]] = []
    for name in profiles.names():
        try:
            found.append((name, profiles.load(name), ""))
        except BenchError as problem:
            found.append((name, None, problem.message))
    if json:
        options.print_json({
            "schema": 1,
            "profiles": [
                {"name": name, "path": str(one.path), "description": one.description, "workload": one.workload_name,
                 "device": one.device, "extends": one.base.name if one.base else None, "shipped": one.shipped}
                if one else {"name": name, "problem": problem}
                for name, one, problem in found
            ],
        })  # fmt: skip
        return
    from harness.report.tables import plain_table, print_table

    rows = [
        (name, one.workload_name or "–", one.device, one.description) if one else (name, "–", "–", f"wrong: {problem}")
        for name, one, problem in found
    ]
    print_table(
        options.out(), plain_table(["profile", "workload", "device", "what it is for"], rows, fold=["what it is for"])
    )


def _workload(profile: profiles.Profile, registry: Registry) -> str:
    name = profile.workload_name
    if name is None:
        tables = {*profile.params, *(profile.base.params if profile.base else ())}
        if len(tables) != 1:
            raise UsageError(f"profile {profile.name!r} names no workload", hint='write workload = "dlrm" under [run]')
        name = tables.pop()
    if name not in registry.workload_names():
        raise UsageError(
            f"profile {profile.name!r} is for unknown workload {name!r}",
            hint=did_you_mean(name, registry.workload_names()),
        )
    return name
