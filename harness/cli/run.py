"""`bench run WORKLOAD`: one cell, or one for each value of the workload's axes; their repeats, their result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.api import Description
from harness.cli import layers, options, pictures
from harness.cli.arguments import NEWEST
from harness.cli.flags import fixed, given, option, parameters, with_signature
from harness.cli.watch import carry_out, choose_face, shown_path
from harness.errors import UsageError
from harness.execution.plan import Command, Plan, make_plan, resume_plan, share_keys
from harness.ids import short_id
from harness.registry import Registry
from harness.sources import all_settings
from harness.spec import RunSpec, describe
from harness.store.records import ExperimentRecord

_RESUME = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[EXPERIMENT]",
        help="go on with an experiment that did not finish: its missing runs, from their checkpoints; "
        "the newest such one when no id is given",
        rich_help_panel=options.RECORDING,
    ),
]

# Options beyond the settings, by panel, in the order in which help shows them.
FIXED: Mapping[str, tuple[Any, Any]] = {
    "profile": (options.ProfileName, None),
    "set": (options.Sets, None),
    "plugin": (options.Plugins, None),
}
FIXED_BEHIND: Mapping[str, tuple[Any, Any]] = {
    "db": (options.Database, None),
    "tag": (options.Tags, None),
    "note": (options.Note, None),
    "share": (options.Share, False),
    "ui": (options.Face, "auto"),
    "json": (options.Json, False),
    "dry_run": (options.DryRun, False),
    "debug": (options.Debug, False),
}


def make_run(registry: Registry) -> Callable[[Description], Callable[..., Any]]:
    """The maker of `bench run NAME` for one workload."""

    def make(description: Description) -> Callable[..., Any]:
        def run(**values: Any) -> None:
            resume = values.pop("resume")
            own, flags = split(values, description)
            if resume is not None:
                _resume(resume, description, own, flags)
                return
            layers.warn_of_strays(all_settings(description))
            specs = layers.specs_of(
                registry, description, layers.Given(profile=own["profile"], sets=own["set"] or (), flags=flags)
            )
            start(
                description,
                specs,
                own,
                command="run",
                interleave=len(specs) > 1,
                share_keys=share_keys(description, specs),
            )

        run.__doc__ = (
            "Each repeat is a process of its own. What is not given comes from the environment (BENCH_KEY), the "
            "profile, ./bench.toml, the user's configuration, and last from the defaults shown here."
        )
        return with_signature(run, signature(registry, description, {"resume": (_RESUME, None)}))

    return make


def signature(registry: Registry, description: Description, more: Mapping[str, tuple[Any, Any]]) -> list[Any]:
    """The parameters of a command on one workload: fixed options around one flag per setting."""
    drawn = {**pictures.FIXED, **pictures.FORCE} if description.figure is not None else {}
    behind = {**more, **drawn, **FIXED_BEHIND}
    made = parameters(
        all_settings(description),
        taken=[*FIXED, *behind, "help"],
        description=description,
        devices=registry.device_names(),
        aliases=description.aliases,
    )
    return [
        *(option(name, *facts) for name, facts in FIXED.items()),
        *made,
        *(option(name, *facts) for name, facts in behind.items()),
    ]


def split(values: Mapping[str, Any], description: Description) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fixed options, and the flags of settings that were given."""
    items = all_settings(description)
    return fixed(values, items, description.aliases), given(values, items, description.aliases)


def start(
    description: Description,
    specs: Sequence[RunSpec],
    own: Mapping[str, Any],
    *,
    command: Command,
    interleave: bool = False,
    share_keys: Sequence[str | None] | None = None,
) -> None:
    """Prints the settings (--dry-run), or plans, launches, watches, reports and draws."""
    if own["dry_run"]:
        dry_run(specs, json=own["json"])
        return
    then = _drawing(description, own)
    face = choose_face(own["ui"], json=own["json"])
    plan = make_plan(
        specs,
        command=command,
        database=options.database(own["db"]),
        share_keys=share_keys,
        interleave=interleave,
        argv=sys.argv[1:],
        face=face,
        share=own["share"],
        tags=tuple(own["tag"] or ()),
        note=own["note"],
    )
    _check_tags(plan.tags)
    carry_out(plan, json=own["json"], then=then)


def _drawing(description: Description, own: Mapping[str, Any]) -> Callable[[ExperimentRecord], None]:
    """What draws the pictures that were asked for, once there is a result; refuses now what cannot be drawn."""
    asked = pictures.wanted(own, json=own["json"])
    where = shown_path(options.database(own["db"]))

    def then(experiment: ExperimentRecord) -> None:
        pictures.draw_experiment(asked, experiment, description, where)

    return then


def dry_run(specs: Sequence[RunSpec], *, json: bool) -> None:
    """Every setting with its value and origin."""
    if json:
        options.print_json({"schema": 1, "cells": [spec.to_json() for spec in specs]})
        return
    from harness.report.tables import print_table, settings_table

    console = options.out()
    for spec in specs:
        options.write(f"{spec.workload} {spec.mode} on {spec.device}  params {spec.params_hash}  {spec.label}".rstrip())
        print_table(console, settings_table(describe(spec)))


def _check_tags(tags: Sequence[str]) -> None:
    from harness.store.resolve import check_tag

    for tag in tags:
        check_tag(tag)


def _resume(text: str, description: Description, own: Mapping[str, Any], flags: Mapping[str, Any]) -> None:
    changed = ["--" + key.replace("_", "-") for key in flags] + [f"--{key}" for key in ("profile", "set") if own[key]]
    if changed:
        raise UsageError(
            f"--resume goes on with the settings of the experiment, so {changed[0]} cannot change them",
            hint="leave it out, or start a new experiment without --resume",
        )
    database = options.database(own["db"])
    plan = missing_plan(database, text, description.name)
    if not plan.order:
        options.talk().print(f"experiment {short_id(plan.experiment_id)} has all its runs: nothing is missing")
        return
    if own["dry_run"]:
        dry_run([cell.spec for cell in plan.cells], json=own["json"])
        return
    from dataclasses import replace

    then = _drawing(description, own)
    face = choose_face(own["ui"], json=own["json"])
    carry_out(replace(plan, face=face, share=plan.share or own["share"]), json=own["json"], then=then)


def missing_plan(database: Path, text: str, workload: str) -> Plan:
    """The runs that an experiment still lacks. UsageError where it is running, or is of another workload."""
    from harness.store.queries import Filters, Store, locate

    database, name = locate(text, database)
    with Store(database) as store:
        if name == NEWEST:
            name = next(
                (
                    one.id
                    for one in store.list_experiments(Filters(workload=workload), limit=None)
                    if one.status in ("failed", "interrupted", "lost")
                ),
                "",
            )
            if not name:
                raise UsageError(f"{shown_path(database)} has no unfinished experiment of workload {workload!r}")
        _, identifier = store.resolve(name, ("experiment",))
        experiment = store.experiment(identifier)
        plan = Plan.from_json(store.plan(identifier))
        finished = [(run.cell_id, run.repeat) for cell in experiment.cells for run in cell.runs if run.status == "ok"]
        checkpoints = {}
        for cell in experiment.cells:
            for run in sorted(cell.runs, key=lambda run: run.order_index):
                paths = [row.path for row in store.checkpoints(run.id) if Path(row.path).exists()]
                if paths:
                    checkpoints[run.cell_id, run.repeat] = paths[-1]
    if workload not in {cell.spec.workload for cell in plan.cells}:
        raise UsageError(
            f"experiment {short_id(identifier)} is of workload {plan.cells[0].spec.workload!r}, not {workload!r}",
            hint=f"bench run {plan.cells[0].spec.workload} --resume {short_id(identifier)}",
        )
    if experiment.status == "running" and _alive(identifier):
        raise UsageError(
            f"experiment {short_id(identifier)} is still running", hint=f"bench show {short_id(identifier)} --follow"
        )
    from dataclasses import replace

    return replace(resume_plan(plan, finished, checkpoints), database=database.resolve())


def _alive(experiment_id: str) -> bool:
    from harness.cli.running import alive

    return experiment_id in alive()
