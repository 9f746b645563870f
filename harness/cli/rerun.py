"""`bench rerun ID`: the same specification again, and what differs in the environment."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import complete, options
from harness.cli.watch import choose_face, follow, report, stored
from harness.execution.plan import Command, Plan, make_plan
from harness.ids import short_id
from harness.store.records import ExperimentRecord, RunRecord

_Thing = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="a run (that one repeat again), a cell or an experiment (all of their repeats)",
        autocompletion=complete.things,
    ),
]


def rerun(
    thing: _Thing,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, metavar="N", help="another number of repeats")
    ] = None,
    tag: options.Tags = None,
    note: options.Note = None,
    share: options.Share = False,
    ui: options.Face = "auto",
    json: options.Json = False,
    dry_run: options.DryRun = False,
    db: options.Database = None,
) -> None:
    """Runs the same settings, seeds and data again, then lists what has changed on this machine since."""
    from harness.execution.launch import launch
    from harness.store.queries import locate

    database, text = locate(thing, options.database(db))
    old, plan = again(database, text, repeats)
    if dry_run:
        from harness.cli.run import dry_run as print_settings

        print_settings([cell.spec for cell in plan.cells], json=json)
        return
    face = choose_face(ui, json=json)
    plan = dataclasses.replace(
        plan, face=face, share=share, tags=tuple(tag or ()), note=note or f"rerun of {text}", argv=tuple(sys.argv[1:])
    )
    with launch(plan) as attachment:
        last = follow(attachment, face)
    try:
        report(last, plan.database, face=face, json=json)
    finally:
        if not json and face != "none" and not last.forgotten:
            new = [run for cell in stored(plan.database, plan.experiment_id).cells for run in cell.runs]
            _say_differences(old, new)


def again(database: Path, text: str, repeats: int | None) -> tuple[list[RunRecord], Plan]:
    """The runs to be repeated, and the plan that repeats them into the same database."""
    from harness.store.queries import Store

    with Store(database) as store:
        kind, identifier = store.resolve(text)
        experiment_id = store.resolve(identifier, ("experiment",))[1]
        experiment = store.experiment(experiment_id)
        plan = Plan.from_json(store.plan(experiment_id))
    runs = _runs(experiment, kind, identifier)
    wanted = {run.cell_id for run in runs}
    specs = []
    for cell in plan.cells:
        if cell.id not in wanted:
            continue
        changes: dict[str, Any] = {}
        if kind == "run":
            changes = {"seed": cell.spec.settings.seed + runs[0].repeat, "repeats": 1}
        if repeats is not None:
            changes["repeats"] = repeats
        origins = {**cell.spec.origins, **dict.fromkeys(changes, f"rerun of {short_id(identifier)}")}
        settings = dataclasses.replace(cell.spec.settings, **changes)
        specs.append(dataclasses.replace(cell.spec, settings=settings, origins=origins))
    command: Command = plan.command if len(specs) == len(plan.cells) and len(specs) > 1 else "run"
    new = make_plan(specs, command=command, database=database, interleave=plan.interleaved and len(specs) > 1)
    return runs, new


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(key, before, now) of every fact of the environment that changed; what always changes is left out."""
    from harness.telemetry.fingerprint import classify, flatten

    before, now = flatten(old), flatten(new)
    return [
        (key, before.get(key), now.get(key))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and classify(key) != "ignore"
    ]


def _runs(experiment: ExperimentRecord, kind: str, identifier: str) -> list[RunRecord]:
    runs = [run for cell in experiment.cells for run in cell.runs]
    if kind == "run":
        return [run for run in runs if run.id == identifier]
    return [run for run in runs if kind == "experiment" or run.cell_id == identifier]


def _say_differences(old: list[RunRecord], new: list[RunRecord]) -> None:
    talk = options.talk()
    before = next((run.environment for run in old if run.environment), None)
    now = next((run.environment for run in new if run.environment), None)
    if before is None or now is None:
        talk.print("the environments cannot be compared: one of them was not recorded")
        return
    changed = differences(before, now)
    talk.print("since then, nothing that is recorded has changed here" if not changed else "since then has changed:")
    for key, was, is_now in changed:
        options.say(f"  {key}: {'–' if was is None else was} → {'–' if is_now is None else is_now}", hang=4)
