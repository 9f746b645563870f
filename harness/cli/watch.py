"""Launches a plan, shows it until it is over, and prints its result.

The experiment lives in a process of its own. Ctrl-C here asks it to finish its window, a second one to kill its
workers; a terminal that is closed leaves it running, and `bench show ID --follow` finds it again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import typer

from harness.cli import options
from harness.errors import BenchError, ExitCode, UnavailableError
from harness.execution.attachment import Attachment
from harness.execution.plan import Face, Plan
from harness.execution.snapshot import Snapshot
from harness.ids import short_id
from harness.store.records import ExperimentRecord


class Watcher(Protocol):
    """What shows snapshots: the plain face, or nothing."""

    def update(self, snapshot: Snapshot) -> None: ...

    def note(self, text: str) -> None: ...


class SilentFace:
    """Shows nothing but what must not go unsaid."""

    def update(self, snapshot: Snapshot) -> None:
        return None

    def note(self, text: str) -> None:
        options.talk().print(text)


def choose_face(asked: options.UI) -> Face:
    """`auto` is plain. UnavailableError for the dashboard."""
    if asked == "dashboard":
        raise UnavailableError(
            "the live dashboard is not built yet", hint="--ui plain shows the same experiment in lines"
        )
    return "plain" if asked == "auto" else asked


def carry_out(plan: Plan, *, json: bool) -> None:
    """Launches, watches and reports. Ends in typer.Exit with the experiment's exit code where it is not 0."""
    from harness.execution.launch import launch

    with launch(plan) as attachment:
        last = follow(attachment, plan.face)
    report(last, Path(plan.database), face=plan.face, json=json)


def follow(attachment: Attachment, face: Face) -> Snapshot:
    """Shows an experiment until it is over; the last snapshot."""
    with _watcher(face) as watcher:
        interruptions = 0
        while True:
            try:
                for snapshot in attachment.snapshots():
                    watcher.update(snapshot)
                    if snapshot.over:
                        return snapshot
            except KeyboardInterrupt:
                interruptions += 1
                _interrupt(attachment, watcher, interruptions)


def report(last: Snapshot, database: Path, *, face: Face, json: bool) -> None:
    """The result from the database, on stdout; then the exit code."""
    experiment = stored(database, last.experiment_id)
    if json:
        from harness.report import result_json

        options.print_json(result_json.document(experiment))
    elif face == "none":
        sys.stdout.write(last.experiment_id + "\n")
    else:
        show_panel(experiment, database)
    code = last.exit_code if last.exit_code is not None else int(ExitCode.RUN_FAILED)
    if code:
        raise Failed(last, code)


class Failed(BenchError):
    """An experiment that did not end well: its own sentence and exit code, after its result was shown."""

    def __init__(self, last: Snapshot, code: int) -> None:
        interrupted = code == ExitCode.INTERRUPTED
        short = short_id(last.experiment_id)
        workload = last.cells[0].workload if last.cells else "…"
        super().__init__(
            last.message or ("interrupted" if interrupted else "a run failed"),
            hint=f"bench run {workload} --resume {short} goes on with it"
            if interrupted
            else f"bench show {short} says more",
            exit_code=ExitCode(code),
        )


def show_panel(experiment: ExperimentRecord, database: Path) -> None:
    from harness import references
    from harness.report.terminal import experiment_panel

    console = options.out()
    panel = experiment_panel(
        experiment,
        database=shown_path(database),
        width=console.width,
        next_commands=next_commands(experiment, first=_count(database) < 2),
        references=references.load(),
    )
    console.print(panel)


def stored(database: Path, experiment_id: str) -> ExperimentRecord:
    """The experiment as the database has it."""
    from harness.store.queries import Store

    with Store(database) as store:
        return store.experiment(experiment_id)


def _count(database: Path) -> int:
    from harness.store.queries import Store

    with Store(database) as store:
        return store.count_experiments()


def next_commands(experiment: ExperimentRecord, *, first: bool) -> Sequence[str]:
    """What a person may want to type now. `first`: there is no other experiment to compare with."""
    short = short_id(experiment.id)
    if experiment.status not in ("done", "running") and experiment.cells:
        return (f"bench run {experiment.cells[0].workload} --resume {short}",)
    if len(experiment.cells) > 1:
        return (f"bench compare {short}",)
    if any(run.status == "ok" for cell in experiment.cells for run in cell.runs):
        return (f"bench show {short}", *(() if first else (f"bench compare @latest~1 {short}",)))
    return (f"bench show {short}",)


def shown_path(path: Path) -> str:
    """Short where it lies in the working folder."""
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def _watcher(face: Face) -> AbstractContextManager[Watcher]:
    if face == "none":
        return contextlib.nullcontext(SilentFace())
    from harness.report.plain import PlainFace

    return PlainFace(options.talk())


def _interrupt(attachment: Attachment, watcher: Watcher, times: int) -> None:
    if times > 2:
        raise typer.Exit(ExitCode.INTERRUPTED)
    try:
        if times == 1:
            watcher.note("finishing the window… press Ctrl-C again to kill")
            attachment.send("stop")
        else:
            watcher.note("killing the workers…")
            attachment.send("kill")
    except BenchError as problem:
        watcher.note(problem.message)
