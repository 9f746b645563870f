"""`bench show ID`: an experiment, a cell or a run in full; with --follow, one that runs now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import complete, options, pictures
from harness.cli.watch import choose_face, report, show_panel, shown_path, watch
from harness.ids import short_id
from harness.store.records import CellRecord, ExperimentRecord

_Thing = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="an id or its beginning, @latest, @latest~1, a tag, other.db::ID; the newest when none is given",
        show_default=False,
        autocompletion=complete.things,
    ),
]
_Follow = Annotated[
    bool, typer.Option("--follow", metavar="", help="watch it until it is over; Ctrl-C leaves it running")
]
_Environment = Annotated[bool, typer.Option("--environment", metavar="", help="the machine and the software it ran on")]
_Settings = Annotated[bool, typer.Option("--settings", metavar="", help="every setting, and where it came from")]
_Log = Annotated[
    bool, typer.Option("--log", metavar="", help="where the logs and files of its runs lie, and its events")
]


def show(
    thing: _Thing = None,
    follow_it: _Follow = False,
    settings: _Settings = False,
    environment: _Environment = False,
    log: _Log = False,
    plot: pictures.Plot = False,
    html: pictures.Html = None,
    png: pictures.Png = None,
    force: pictures.Force = False,
    ui: options.Face = "auto",
    json: options.Json = False,
    db: options.Database = None,
) -> None:
    """Shows a result: its panel, every run, every metric with its interval.

    With --plot, --html or --png it draws what the workload says of an experiment, and shows that alone.
    """
    from harness.store.queries import Store, locate

    database, text = locate(thing or "@latest", options.database(db))
    asked = pictures.wanted({"plot": plot, "html": html, "png": png, "force": force}, json=json)
    if follow_it:
        _follow(database, text if thing else None, ui, json)
        return
    with Store(database) as store:
        kind, identifier = store.resolve(text)
        experiment_id = store.resolve(identifier, ("experiment",))[1]
        experiment = _narrowed(store.experiment(experiment_id), kind, identifier)
        events = store.experiment_events(experiment_id) if log else ()
        files = {run.id: store.artifacts(run.id) for cell in experiment.cells for run in cell.runs} if log else {}
    if json:
        from harness.report import result_json

        options.print_json(result_json.document(experiment))
    if asked.any:
        pictures.draw_experiment(asked, experiment, pictures.description_of(experiment, database), shown_path(database))
    if json or asked.any:
        return
    show_panel(experiment, database)
    if experiment.note:
        options.write(f"note: {experiment.note}")
    if experiment.message:
        options.write(f"ended: {experiment.message}")
    for cell in experiment.cells:
        _show_cell(cell, settings=settings, environment=environment, titled=len(experiment.cells) > 1)
    for event in events:
        options.write(f"{event.wall}  {event.level:<8}{event.text or event.kind}", hang=4)
    for cell in experiment.cells:
        for run in cell.runs if log else ():
            if run.log_path:
                options.write(f"{short_id(run.id)}  log  {shown_path(Path(run.log_path))}")
            for row in files.get(run.id, ()):
                options.write(f"{short_id(run.id)}  {row.kind}  {shown_path(Path(row.path))}")


def _follow(database: Path, text: str | None, ui: options.UI, json: bool) -> None:
    from harness.cli.running import running_id
    from harness.execution.launch import attach

    face = choose_face(ui, json=json)
    with attach(running_id(text, database)) as attachment:
        last = watch(attachment, face)
    report(last, Path(last.database), face=face, json=json)


def _narrowed(experiment: ExperimentRecord, kind: str, identifier: str) -> ExperimentRecord:
    """The experiment with only the cell, or only the run, that was asked for."""
    if kind == "experiment":
        return experiment
    cells = []
    for cell in experiment.cells:
        if kind == "cell" and cell.id == identifier:
            cells.append(cell)
        elif kind == "run" and any(run.id == identifier for run in cell.runs):
            cells.append(replace(cell, runs=tuple(run for run in cell.runs if run.id == identifier)))
    return replace(experiment, cells=tuple(cells))


def _show_cell(cell: CellRecord, *, settings: bool, environment: bool, titled: bool) -> None:
    from harness.report.tables import print_table, settings_table
    from harness.report.terminal import cell_details

    console = options.out()
    console.print()
    if titled:
        console.print(f"{cell.label or cell.workload}  (cell {short_id(cell.id)})", style="bold")
    for place, table in enumerate(cell_details(cell)):
        if place:
            console.print()
        print_table(console, table)
    if settings:
        console.print()
        rows = [*cell.settings.items(), *cell.params.items()]
        print_table(console, settings_table((key, value, cell.origins.get(key, "default")) for key, value in rows))
    if environment:
        from harness.telemetry.fingerprint import flatten

        for digest in dict.fromkeys(run.environment_hash for run in cell.runs if run.environment_hash):
            run = next(run for run in cell.runs if run.environment_hash == digest)
            console.print(f"\nenvironment {digest[:12]}")
            for key, value in sorted(flatten(run.environment).items()):
                options.write(f"  {key} = {value}", hang=4)
