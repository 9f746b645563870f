"""Starts orchestrators, detached from the terminal, and finds those that run.

attachment = launch(plan)              # raises what was wrong with the start
for snapshot in attachment.snapshots(): ...
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import paths
from harness.errors import Interrupted, RunFailed, UsageError
from harness.execution import wire
from harness.execution.attachment import Attachment
from harness.execution.commands import own_environment
from harness.execution.locks import is_held
from harness.execution.plan import Plan
from harness.execution.recover import clean
from harness.ids import new_id, short_id

__all__ = ["Attachment", "RunningExperiment", "attach", "launch", "running"]

_LAUNCHED: list[subprocess.Popen[bytes]] = []  # kept until they end, so that they are waited for and never warned about


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExperiment:
    """An experiment with a living orchestrator. `started` is UTC, ISO 8601."""

    id: str
    pid: int
    socket: Path
    database: Path
    started: str
    command: str
    argv: tuple[str, ...]


def launch(plan: Plan, *, worker: Path | None = None) -> Attachment:
    """Starts an orchestrator for `plan` and attaches to it; it goes on when this process ends.

    Raises what the start found wrong (UsageError, StoreError, UnavailableError, RunFailed), with nothing left behind;
    Interrupted where Ctrl-C came before it had started. `worker` replaces the worker's program, in tests.
    """
    folder = paths.runtime_dir()
    plan_file, log_file = folder / f"{new_id()}.plan", folder / f"{plan.experiment_id}.log"
    plan_file.write_text(json.dumps(plan.to_json()), encoding="utf-8")
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "harness.execution.orchestrator", str(plan_file)]
    command += ["--experiment", plan.experiment_id, "--face", str(theirs.fileno())]
    command += ["--worker", str(worker)] if worker is not None else []
    with theirs, log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=own_environment(),
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    _LAUNCHED[:] = [*(child for child in _LAUNCHED if child.poll() is None), process]
    attachment = Attachment(ours, plan.experiment_id)
    try:
        first = attachment.receive()
    except KeyboardInterrupt:
        _call_off(process, plan)
        attachment.close()
        plan_file.unlink(missing_ok=True)
        raise Interrupted("interrupted before the experiment had started") from None
    if first is None or first.get("type") != "started":
        attachment.close()
        process.wait()
        plan_file.unlink(missing_ok=True)
        if first is None:
            raise RunFailed(
                f"the orchestrator ended before it had started: {_last_line(log_file)}", hint=f"its log is {log_file}"
            )
        log_file.unlink(missing_ok=True)
        raise wire.error_of(first)
    return attachment


def _call_off(process: subprocess.Popen[bytes], plan: Plan) -> None:
    """Ends a start. Where the experiment has begun meanwhile, it stops by itself and says so in the database."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        return
    clean(plan.experiment_id)
    (paths.runtime_dir() / f"{plan.experiment_id}.log").unlink(missing_ok=True)


def running(folder: Path | None = None) -> list[RunningExperiment]:
    """The experiments of this user that run on this machine, the oldest first; the dead's leftovers are removed."""
    found = []
    for info in sorted((folder or paths.runtime_dir()).glob("*.json")):
        if not is_held(info.with_suffix(".lock")):
            if folder is None:
                clean(info.stem)
            continue
        try:
            body = json.loads(info.read_text(encoding="utf-8"))
            found.append(
                RunningExperiment(
                    id=body["experiment"],
                    pid=body["pid"],
                    socket=Path(body["socket"]),
                    database=Path(body["database"]),
                    started=body["started"],
                    command=body["command"],
                    argv=tuple(body["argv"]),
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it ended while we looked
    return sorted(found, key=lambda item: item.started)


def attach(experiment_id: str) -> Attachment:
    """Attaches to a running experiment by its full id. UsageError where it does not run here."""
    address = paths.runtime_dir() / f"{experiment_id}.sock"
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with wire.short_address(address) as short:
            connected.connect(short)
    except OSError:
        connected.close()
        raise UsageError(
            f"experiment {short_id(experiment_id)} does not run on this machine", hint="see `bench list --running`"
        ) from None
    return Attachment(connected, experiment_id)


def _last_line(log_file: Path) -> str:
    try:
        lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
