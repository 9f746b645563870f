"""`bench list`: runs, running experiments, or published references."""

from __future__ import annotations

import dataclasses
import json as json_text
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from harness import references as published
from harness.cli import options
from harness.cli.watch import shown_path
from harness.errors import UsageError, did_you_mean
from harness.execution.recover import recover
from harness.ids import short_id
from harness.metrics import SHARED_METRICS
from harness.report.numbers import amount, duration
from harness.report.tables import Listing
from harness.report.terminal import contended_text
from harness.store.records import ReferenceRecord, RunSummary

_FILTER = "Which"
_Column = Callable[[RunSummary], str]

COLUMNS: Mapping[str, _Column] = {
    "run": lambda run: short_id(run.id),
    "experiment": lambda run: short_id(run.experiment_id),
    "cell": lambda run: short_id(run.cell_id),
    "date": lambda run: _local(run.started_at or run.created_at),
    "workload": lambda run: run.workload,
    "mode": lambda run: run.mode,
    "device": lambda run: run.device + ("" if run.device_kind in (None, "hardware") else f" ({run.device_kind})"),
    "label": lambda run: run.label,
    "profile": lambda run: run.profile or "–",
    "repeat": lambda run: str(run.repeat + 1),
    "status": lambda run: str(run.status),
    "contended": lambda run: contended_text(str(run.status), run.contended),
    "wall": lambda run: duration(run.wall_s),
    "host": lambda run: run.host or "–",
    "tags": lambda run: ", ".join(run.tags) or "–",
    "note": lambda run: run.note or "–",
    "params": lambda run: run.params_hash,
    "scope": lambda run: run.timing_scope,
    "reason": lambda run: run.reason or run.contention_reason or "–",
}  # fmt: skip
_SHOWN = ("experiment", "run", "date", "label", "device", "status", "throughput", "auc", "contended")
_DROPPED = ("run", "date", "device")  # where a terminal is narrow, the first one first; the experiment's id stays
_WRAPPED = ("label", "note", "tags", "reason", "params", "host")
_REFERENCE_COLUMNS = ("name", "device", "metric", "value", "dataset")

_References = Annotated[
    bool, typer.Option("--references", metavar="", help="published results instead of runs", rich_help_panel=_FILTER)
]
_More = Annotated[
    list[Path] | None,
    typer.Option("--references-file", metavar="FILE", help="with --references: your own, too", rich_help_panel=_FILTER),
]
_Running = Annotated[
    bool, typer.Option("--running", metavar="", help="experiments that run now", rich_help_panel=_FILTER)
]
_Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,…",
        help="what to show: " + ", ".join(COLUMNS) + ", and any metric",
        rich_help_panel=options.OUTPUT,
    ),
]


def _text(flag: str, metavar: str, help: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=help, rich_help_panel=_FILTER)


def list_results(
    workload: Annotated[
        str | None,
        typer.Option(
            "--workload",
            metavar="NAME",
            help="of this workload",
            autocompletion=options.complete_workloads,
            rich_help_panel=_FILTER,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="on this device; cuda takes cuda:1 too",
            autocompletion=options.complete_devices,
            rich_help_panel=_FILTER,
        ),
    ] = None,
    mode: Annotated[str | None, _text("--mode", "MODE", "in this mode")] = None,
    tag: Annotated[str | None, _text("--tag", "TAG", "with this tag")] = None,
    status: Annotated[str | None, _text("--status", "WORD", "that ended so: ok, failed, interrupted, …")] = None,
    since: Annotated[str | None, _text("--since", "DATE", "from then on: 2026-11-03, 7d, 12h, today")] = None,
    until: Annotated[str | None, _text("--until", "DATE", "until then, a named day included")] = None,
    text: Annotated[
        str | None, _text("--text", "WORDS", "that hold these words in label, note, tag, profile or id")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="at most so many", rich_help_panel=_FILTER)
    ] = 40,
    running: _Running = False,
    references: _References = False,
    references_file: _More = None,
    columns: _Columns = None,
    json: options.Json = False,
    db: options.Database = None,
) -> None:
    """Lists runs, the newest first."""
    if references or references_file:
        _list_references(published.load(tuple(references_file or ())), workload, device, text, json)
        return
    database = options.database(db)
    for sentence in recover(database):
        options.talk().print(f"warning: {sentence}", style="yellow")
    if running:
        _list_running(database, json)
        return
    _list_runs(database, _filters(workload, device, mode, tag, status, since, until, text), limit, columns, json)


def _filters(
    workload: str | None, device: str | None, mode: str | None, tag: str | None, status: str | None,
    since: str | None, until: str | None, text: str | None,
) -> Any:  # fmt: skip
    from harness.store.listing import Filters, day

    return Filters(
        workload=workload, device=device, mode=mode, tag=tag, status=status, text=text,
        since=day(since) if since else None, until=day(until, end=True) if until else None,
    )  # fmt: skip


def _list_runs(database: Path, filters: Any, limit: int, columns: str | None, json: bool) -> None:
    from harness.report.tables import plain_table, print_table
    from harness.store.listing import SHOWN_METRICS
    from harness.store.queries import Store

    chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns else list(_SHOWN)
    metrics = [name for name in chosen if name not in COLUMNS]
    with Store(database) as store:
        asked = {_base(name) for name in metrics} if columns else SHOWN_METRICS
        runs = store.list_runs(filters, limit=limit, metrics=sorted(asked))
        total = store.count_runs(filters)
    if json:
        options.print_json({"schema": 1, "total": total, "runs": [dataclasses.asdict(run) for run in runs]})
        return
    if columns is None:
        chosen = [name for name in chosen if name in COLUMNS or any(_metric(run, name) != "–" for run in runs)]
    else:
        _check_columns(metrics, runs)
    units = {name: _common_unit(runs, name) for name in metrics}
    headings = [f"{name}\n{units[name]}" if units.get(name) else name for name in chosen]
    rows = [
        [
            COLUMNS[name](run) if name in COLUMNS else _metric(run, name).removesuffix(f" {units[name]}")
            for name in chosen
        ]
        for run in runs
    ]
    right = [heading for heading, name in zip(headings, chosen, strict=True) if name in (*metrics, "repeat", "wall")]
    console = options.out()
    table = plain_table(headings, rows, right=right, fold=_WRAPPED, drop=() if columns else _DROPPED)
    if columns is None and console.is_terminal and table.natural_width > console.width:
        table = _marked(table, runs)
    print_table(console, table)
    if not runs:
        options.say(f"no run in {shown_path(database)} fits" if total == 0 else "none")
        return
    if "contended" not in table.headings and columns is None:
        for mark, meaning in _MARKS.items():
            if any(row[table.headings.index("status")].plain.endswith(f" {mark}") for row in table.rows):
                options.say(f"{mark} {meaning}")
    if total > len(runs):
        options.say(f"{len(runs)} of {total} runs; --limit shows more")


_MARKS = {"*": "contended: --columns run,reason says why", "?": "whether it was contended could not be judged"}


def _marked(table: Listing, runs: Sequence[RunSummary]) -> Listing:
    """Contention as a mark behind the status, instead of a column of its own."""
    status, contended = table.headings.index("status"), table.headings.index("contended")
    rows = []
    for row, run in zip(table.rows, runs, strict=True):
        mark = {"yes": " *", "?": " ?"}.get(row[contended].plain, "")
        cells = [*row[:status], Text(f"{run.status}{mark}"), *row[status + 1 :]]
        rows.append(tuple(cell for place, cell in enumerate(cells) if place != contended))
    headings = tuple(heading for heading in table.headings if heading != "contended")
    return dataclasses.replace(table, headings=headings, rows=tuple(rows))


def _check_columns(metrics: Sequence[str], runs: Sequence[RunSummary]) -> None:
    found = {key for run in runs for key in run.metrics}
    for name in metrics:
        if runs and name not in found and name not in {_base(key) for key in found}:
            known = {*COLUMNS, *found, *map(_base, found), *SHARED_METRICS}
            raise UsageError(
                f"unknown column {name!r}: no run listed has such a metric", hint=did_you_mean(name, known)
            )


def _metric(run: RunSummary, name: str) -> str:
    metric = run.metrics.get(name) or next((one for one in run.metrics.values() if one.name == name), None)
    return amount(metric.value, metric.unit) if metric is not None else "–"


def _common_unit(runs: Sequence[RunSummary], name: str) -> str:
    """The unit that all of a column's numbers are shown in, so that it stands in the heading once; else nothing."""
    units = {_metric(run, name).partition(" ")[2] for run in runs} - {""}
    return units.pop() if len(units) == 1 else ""


def _base(name: str) -> str:
    return name.split("{", 1)[0]


def _list_running(database: Path, json: bool) -> None:
    from harness.cli.running import alive
    from harness.report.tables import plain_table, print_table
    from harness.store.queries import Store

    living = alive()
    known = {}
    if database.exists():
        with Store(database) as store:
            known = {one.id: one for one in store.running()}
    rows: list[dict[str, Any]] = []
    for identifier in sorted({*living, *known}):
        one, process = known.get(identifier), living.get(identifier)
        rows.append(
            {
                "experiment": identifier,
                "alive": process is not None,
                "command": " ".join(process.argv) if process else " ".join(one.argv) if one else "",
                "database": str(process.database if process else database.resolve()),
                "runs": one.runs if one else None,
                "runs_ok": one.runs_ok if one else None,
                "started_at": process.started if process else one.created_at if one else None,
            }
        )
    if json:
        options.print_json({"schema": 1, "running": rows})
        return
    table = plain_table(
        ("experiment", "state", "bench …", "runs", "since", "database"),
        [
            (
                short_id(row["experiment"]),
                "running" if row["alive"] else "its process is gone",
                row["command"],
                f"{row['runs_ok']} of {row['runs']}" if row["runs"] is not None else "–",
                _local(row["started_at"]),
                shown_path(Path(row["database"])),
            )
            for row in rows
        ],
        fold=("state", "bench …", "database"),
        drop=("since", "database", "runs"),
    )
    print_table(options.out(), table)
    first = next((row["experiment"] for row in rows if row["alive"]), None)
    if first is not None:
        options.say(f"bench show {short_id(first)} --follow watches one, bench stop {short_id(first)} ends it")
    elif not rows:
        options.say("nothing runs")


def _list_references(
    records: Sequence[ReferenceRecord], workload: str | None, device: str | None, text: str | None, json: bool
) -> None:
    from harness.report.tables import plain_table, print_table

    chosen = [
        one
        for one in records
        if (workload is None or one.workload == workload)
        and (device is None or device.lower() in one.device.lower())
        and (text is None or text.lower() in json_text.dumps(dataclasses.asdict(one), ensure_ascii=False).lower())
    ]
    if json:
        options.print_json({"schema": 1, "references": [dataclasses.asdict(one) for one in chosen]})
        return
    rows: list[list[str | Text]] = []
    for one in chosen:
        count = f"{one.device_count} × " if one.device_count and one.device_count > 1 else ""
        style = "" if one.comparable else "dim"
        rows.append([
            Text(one.name + ("" if one.comparable else " *"), style=style), Text(count + one.device, style=style),
            Text(one.metric, style=style), Text(amount(one.value, one.unit), style=style),
            Text(one.dataset, style=style),
        ])  # fmt: skip
    console = options.out()
    table = plain_table(_REFERENCE_COLUMNS, rows, right=["value"], fold=["device", "dataset"])
    table = dataclasses.replace(table, drop=("dataset", "device", "metric", "value"))
    print_table(console, table)
    if any(not one.comparable for one in chosen):
        options.say("* compares with nothing: its definition is lost, or it contradicts itself, or was withdrawn")
    left_out = [name for name in _REFERENCE_COLUMNS if name not in table.narrowed(console.width).headings]
    more = f" ({', '.join(left_out)} in a wider terminal)" if console.is_terminal and left_out else ""
    options.say(f"{len(chosen)} references{more}; bench compare ID reference:NAME, sources with --json")


def _local(moment: str | None) -> str:
    """A stored time of day on this machine's clock, to the minute; the year only where it is another one."""
    if not moment:
        return "–"
    try:
        local = datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone()
        return local.strftime("%m-%d %H:%M" if local.year == datetime.now().year else "%Y-%m-%d %H:%M")
    except ValueError:
        return moment
