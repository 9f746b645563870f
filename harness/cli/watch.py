"""Launches a plan, shows it until it is over, and prints its result.

The experiment lives in a process of its own. Ctrl-C here asks it to finish its window, a second one to kill its
workers; a terminal that is closed leaves it running, and `bench dashboard` or `bench show ID --follow` find it again.
Who only watches leaves with Ctrl-C and stops nothing.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
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

    def note(self, text: str, *, instead_of: str = "") -> None: ...


class SilentFace:
    """Shows nothing but what must not go unsaid."""

    def update(self, snapshot: Snapshot) -> None:
        return None

    def note(self, text: str, *, instead_of: str = "") -> None:
        options.say(text)


def choose_face(asked: options.UI, *, json: bool = False) -> Face:
    """`auto` is the dashboard where somebody sits at a terminal, else plain. UnavailableError where it cannot be shown.

    With --json, stdout belongs to the document, so `auto` is plain.
    """
    if asked == "auto":
        return "plain" if json or why_no_dashboard() is not None or os.environ.get("CI") else "dashboard"
    if asked == "dashboard":
        why = why_no_dashboard()
        if why is not None:
            raise UnavailableError(
                f"the dashboard cannot be shown: {why}", hint="--ui plain shows the same experiment in lines"
            )
    return asked


def why_no_dashboard() -> str | None:
    """What is missing for it, in words; None where it can be shown."""
    if importlib.util.find_spec("textual") is None:
        return "textual is not installed"
    for name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if stream is None or not stream.isatty():
            return f"standard {name} is no terminal"
    if os.environ.get("TERM", "") in ("", "dumb"):
        return f"a terminal of type {os.environ.get('TERM', '')!r} cannot place its cursor"
    return None


def carry_out(plan: Plan, *, json: bool, then: Callable[[ExperimentRecord], None] | None = None) -> None:
    """Launches, watches and reports. Raises Failed, with the experiment's exit code, where it is not 0."""
    from harness.execution.launch import launch

    with launch(plan) as attachment:
        last = follow(attachment, plan.face)
    report(last, Path(plan.database), face=plan.face, json=json, then=then)


def follow(attachment: Attachment, face: Face) -> Snapshot:
    """Shows an experiment until it is over; the last snapshot. Ends in typer.Exit where the person detaches."""
    if face == "dashboard":
        return _in_dashboard(attachment)
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


def watch(attachment: Attachment, face: Face) -> Snapshot:
    """Shows somebody else's experiment until it is over; the last snapshot. Ctrl-C leaves it running (exit 130)."""
    if face == "dashboard":
        return _in_dashboard(attachment)
    short = short_id(attachment.experiment_id)
    with _watcher(face) as watcher:
        watcher.note(f"Ctrl-C leaves it running; bench stop {short} ends it after its window")
        try:
            for snapshot in attachment.snapshots():
                watcher.update(snapshot)
                if snapshot.over:
                    return snapshot
        except KeyboardInterrupt:
            watcher.note(f"experiment {short} goes on; bench show {short} --follow watches it again")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
    raise AssertionError("the last snapshot of an experiment is `over`")


def _in_dashboard(attachment: Attachment) -> Snapshot:
    from harness.dashboard.show import show

    leaving = show(Path(), attachment=attachment, attended=True)
    if leaving is None:  # the app itself failed, and has said so
        return follow(attachment, "plain")
    last = leaving.last
    if leaving.detached or last is None or not last.over or last.experiment_id != attachment.experiment_id:
        short = short_id(attachment.experiment_id)
        options.talk().print(f"experiment {short} goes on without this terminal: bench dashboard {short}")
        raise typer.Exit(ExitCode.OK)
    return last


def report(
    last: Snapshot,
    database: Path,
    *,
    face: Face,
    json: bool,
    more: Mapping[str, object] | None = None,
    then: Callable[[ExperimentRecord], None] | None = None,
) -> None:
    """The result from the database, on stdout; then the exit code. `more` are further keys of the document.

    `then` is called with what was recorded, be it whole or not; its own error does not hide the experiment's.
    """
    if last.forgotten:
        raise Failed(last, last.exit_code or int(ExitCode.USAGE))
    experiment = stored(database, last.experiment_id)
    code = last.exit_code if last.exit_code is not None else int(ExitCode.RUN_FAILED)
    if json:
        from harness.report import result_json

        options.print_json({**result_json.document(experiment), **(more or {})})
    elif face == "none":
        sys.stdout.write(last.experiment_id + "\n")
    else:
        show_panel(experiment, database, propose=not code)  # an error has a hint of its own
    try:
        if then is not None:
            then(experiment)
    except BenchError as problem:
        if not code:
            raise
        options.say(f"not drawn: {problem.message}")
    if code:
        raise Failed(last, code)


class Failed(BenchError):
    """An experiment that did not end well: its own sentence and exit code, after its result was shown."""

    def __init__(self, last: Snapshot, code: int) -> None:
        interrupted = code == ExitCode.INTERRUPTED
        short = short_id(last.experiment_id)
        workload = last.cells[0].workload if last.cells else "…"
        hint = last.hint
        if hint is None and not last.forgotten:
            going_on = f"bench run {workload} --resume {short} goes on with it"
            hint = going_on if interrupted else f"bench show {short} says more"
        super().__init__(
            last.message or ("interrupted" if interrupted else "a run failed"), hint=hint, exit_code=ExitCode(code)
        )


def show_panel(experiment: ExperimentRecord, database: Path, *, propose: bool = True) -> None:
    from harness import references
    from harness.cli.next_commands import next_commands
    from harness.report.terminal import experiment_panel

    console = options.out()
    panel = experiment_panel(
        experiment,
        database=shown_path(database),
        width=console.width,
        next_commands=next_commands(experiment, database) if propose else (),
        references=references.load(),
    )
    console.print(panel)


def stored(database: Path, experiment_id: str) -> ExperimentRecord:
    """The experiment as the database has it."""
    from harness.store.queries import Store

    with Store(database) as store:
        return store.experiment(experiment_id)


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
            watcher.note("finishing the window… press Ctrl-C again to kill", instead_of="stopping after the window")
            attachment.send("stop")
        else:
            watcher.note("killing the workers…", instead_of="killing the worker")
            attachment.send("kill")
    except BenchError as problem:
        watcher.note(problem.message)
