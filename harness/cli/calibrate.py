"""`bench calibrate`: how far this machine's speed drifts from one experiment to the next.

Runs the same short experiment several times and keeps the spread between them. `bench compare` of experiments that
were not interleaved allows for it, and without it for a cautious 15 %.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from harness.analysis import drift
from harness.cli import layers, options
from harness.cli.watch import Failed, choose_face, follow, stored
from harness.errors import RunFailed, UsageError
from harness.execution.plan import make_plan
from harness.registry import Registry
from harness.report.numbers import share
from harness.spec import Source, parse_duration

_PROFILE = "smoke"
_METRIC = "throughput"
_TAG = "calibration"
_ENOUGH = 8  # docs/methods.md: fewer give a wide bound


def make_calibrate(registry: Registry) -> Callable[..., Any]:
    """`bench calibrate` for the workloads of this registry."""

    def calibrate(
        profile: Annotated[
            str,
            typer.Option(
                "--profile",
                metavar="NAME|FILE",
                help="what is run",
                autocompletion=options.complete_profiles,
                rich_help_panel=options.WHAT,
            ),
        ] = _PROFILE,
        set: options.Sets = None,
        plugin: options.Plugins = None,
        device: Annotated[
            str | None,
            typer.Option(
                "--device",
                metavar="NAME",
                help="where",
                autocompletion=options.complete_devices,
                rich_help_panel=options.WHAT,
            ),
        ] = None,
        experiments: Annotated[
            int,
            typer.Option(
                "--experiments",
                min=drift.FEWEST_EXPERIMENTS,
                metavar="N",
                help="how many, apart in time",
                rich_help_panel="How long",
            ),
        ] = 8,
        repeats: Annotated[
            int, typer.Option("--repeats", min=2, metavar="N", help="runs of each", rich_help_panel="How long")
        ] = 3,
        seconds: Annotated[
            float,
            typer.Option(
                "--seconds", min=0.1, metavar="X", help="measured seconds of each run", rich_help_panel="How long"
            ),
        ] = 2.0,
        pause: Annotated[
            str,
            typer.Option(
                "--pause",
                metavar="TIME",
                help="wait between experiments: 30s, 10m; drift needs time to show",
                rich_help_panel="How long",
            ),
        ] = "5s",
        ui: options.Face = "auto",
        json: options.Json = False,
        db: options.Database = None,
    ) -> None:
        """Measures the drift between experiments on this machine and keeps it in the database.

        The more they are spread over the times at which you measure, the more the result is worth.
        """
        from harness import profiles

        wait_s = parse_duration(pause, "--pause")
        name = profiles.load(profile).workload_name
        if name is None:
            raise UsageError(f"profile {profile!r} names no workload")
        description = registry.workload(name)
        first = [Source(origin="bench calibrate", values={"repeats": repeats, "seconds": seconds, "epochs": "none"})]
        given = layers.Given(profile=profile, sets=set or (), flags={"device": device} if device else {}, first=first)
        spec = layers.spec_of(registry, description, given, label=f"calibration with {profile}")
        face = choose_face("plain" if ui == "auto" else ui)  # many short experiments
        database = options.database(db)
        found: dict[str, list[float]] = {}
        contended = 0
        for number in range(experiments):
            if number:
                time.sleep(wait_s)
            options.talk().print(f"calibration {number + 1} of {experiments}")
            plan = make_plan([spec], command="calibrate", database=database, argv=sys.argv[1:], face=face, tags=(_TAG,))
            found[plan.experiment_id], busy = _throughputs(plan, face)
            contended += busy
        if contended:
            options.talk().print(
                f"warning: {contended} of {experiments * repeats} runs were contended: this drift is partly other "
                "programs' load, and comparisons will allow for all of it",
                style="yellow",
            )
        if experiments < _ENOUGH:
            options.talk().print(
                f"warning: {experiments} experiments bound the drift only loosely; {_ENOUGH} or more are worth it",
                style="yellow",
            )
        _keep(found, spec.device, database, json)

    return calibrate


def _throughputs(plan: Any, face: Any) -> tuple[list[float], int]:
    """The throughputs of its runs, and how many of them were contended."""
    from harness.execution.launch import launch

    with launch(plan) as attachment:
        last = follow(attachment, face)
    if last.exit_code:
        raise Failed(last, last.exit_code)
    cell = stored(plan.database, plan.experiment_id).cells[0]
    contended = sum(bool(run.contended) for run in cell.runs)
    values = [metric.value for run in cell.runs if run.status == "ok" and (metric := run.metric(_METRIC)) is not None]
    return [value for value in values if value is not None], contended


def _keep(found: Mapping[str, list[float]], device: str, database: Any, json: bool) -> None:
    from harness.store.rows import DriftRow, utc_now
    from harness.store.writer import ResultWriter

    measured_at = utc_now()
    result = drift.estimate(list(found.values()), measured_at=measured_at)
    host = stored(database, next(iter(found))).host
    if host is None:
        raise RunFailed("the experiments did not record which machine they ran on")
    writer = ResultWriter(database)
    writer.start()
    body = {"upper": result.upper, "method": result.method, "experiments": list(found)}
    writer.put(
        DriftRow(
            machine=host,
            device=device,
            metric=_METRIC,
            value=result.value,
            n_experiments=result.n_experiments,
            measured_at=measured_at,
            body=body,
        )
    )
    writer.flush()
    writer.close()
    allowed = drift.allowance(result)
    if json:
        options.print_json({"schema": 1, "machine": host, "device": device, "metric": _METRIC, "drift": result.value,
                            **body, "allowance": allowed, "measured_at": measured_at})  # fmt: skip
        return
    value = "not seen" if not result.value else share(result.value)
    options.out().print(
        f"{host}, {device}: drift of {_METRIC} between experiments {value} (at most {share(result.upper)}), from "
        f"{result.n_experiments} experiments.\nTwo experiments that are not interleaved must now differ by more than "
        f"{share(allowed)} to count as different here.",
        soft_wrap=True,
    )
