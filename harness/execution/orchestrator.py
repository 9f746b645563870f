"""The orchestrator: a headless process that owns one experiment and survives the terminal that started it.

Started by `harness.execution.launch` as `python -P -m harness.execution.orchestrator PLAN.json`; not for people. It
alone writes the database, starts the workers and holds the locks; faces come and go over its socket. SIGTERM and
SIGINT stop after the window, a second one kills the worker; SIGHUP is ignored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness import paths
from harness.errors import BenchError, ExitCode, RunFailed, UsageError
from harness.execution import wire
from harness.execution.commands import output_dir
from harness.execution.control import ControlServer
from harness.execution.experiment import Experiment
from harness.execution.locks import FileLock
from harness.execution.plan import Plan
from harness.execution.record import Recorder
from harness.execution.recover import clean
from harness.execution.startup import Setup, prepare
from harness.execution.verdict import Ending
from harness.execution.view import LiveView
from harness.store.database import BUSY_TIMEOUT_S
from harness.store.edits import delete_experiment
from harness.store.rows import utc_now
from harness.store.writer import PATIENCE_S, ResultWriter

_FLUSH_S = 10.0
_START_PATIENCE_S = 3.0  # at the start a person waits, and nothing is lost yet
_START_FLUSH_S = _START_PATIENCE_S + 2 * BUSY_TIMEOUT_S  # an attempt may wait for a lock: the writer speaks first
_LEAVING_S = 3.0
_POLL_S = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="harness.execution.orchestrator")
    parser.add_argument("plan", type=Path)
    parser.add_argument("--experiment", help="the plan's id, told so that `ps` and the recovery see it")
    parser.add_argument("--face", type=int, help="a connected socket: the face that waits for the start")
    parser.add_argument("--worker", type=Path, help="another program in the worker's place (tests)")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    plan = Plan.from_json(json.loads(options.plan.read_text(encoding="utf-8")))
    options.plan.unlink(missing_ok=True)
    face = socket.socket(fileno=options.face) if options.face is not None else None
    return int(asyncio.run(_orchestrate(plan, face, options.worker)))


async def _orchestrate(plan: Plan, face: socket.socket | None, worker: Path | None) -> ExitCode:
    """Start, carry out, end. A failed start is told to the face and leaves nothing behind."""
    lock = FileLock(paths.runtime_dir() / f"{plan.experiment_id}.lock")
    try:
        setup = await asyncio.to_thread(prepare, plan, worker)
        if not await _acquire(lock):
            raise UsageError(f"experiment {plan.experiment_id} is running already", hint="bench list --running")
        house = _House(setup)
        await house.open(face)
    except BenchError as problem:
        _tell_failure(face, problem)
        lock.release(remove=True)
        return problem.exit_code
    ending, kept = await house.carry_out()
    if kept:
        clean(plan.experiment_id)
    lock.release(remove=kept)
    return ending.exit_code


async def _acquire(lock: FileLock) -> bool:
    """Takes the experiment's lock; one that is resumed at once waits until its last orchestrator has left."""
    for _ in range(round(_LEAVING_S / _POLL_S)):
        if lock.acquire(f"process {os.getpid()}"):
            return True
        await asyncio.sleep(_POLL_S)
    return lock.acquire(f"process {os.getpid()}")


def _tell_failure(face: socket.socket | None, problem: BenchError) -> None:
    if face is None:
        print(problem.message, problem.hint or "", sep="\n", file=sys.stderr)  # noqa: T201 -- nobody else listens
        return
    with face:
        try:
            face.sendall(wire.encode("failed", **wire.error_body(problem)))
        except OSError:
            return


class _House:
    """The parts of a started experiment: writer, view, socket, and the experiment that uses them."""

    def __init__(self, setup: Setup) -> None:
        self._setup, self._plan = setup, setup.plan
        self._created_at = utc_now()
        self._loop = asyncio.get_running_loop()
        self._writer = ResultWriter(self._plan.database, on_error=self._writer_error, patience_s=_START_PATIENCE_S)
        self._recorder = Recorder(self._writer, self._plan)
        self._view = LiveView(
            self._plan,
            self._created_at,
            {cell: metrics["throughput"].unit for cell, metrics in setup.declared.items()},
            setup.lanes,
        )
        measurement = FileLock(paths.measurement_lock(), mode=0o666)
        self._measurement = measurement
        self._experiment = Experiment(setup, self._view, self._recorder, measurement)
        self._server = ControlServer(self._view, self._experiment.handle)

    async def open(self, face: socket.socket | None) -> None:
        """Writes the experiment and opens its socket. BenchError where the database or the socket cannot be had."""
        await asyncio.to_thread(self._writer.start)
        begun = False
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self._signalled)
            kinds = {name: device.device_kind for name, device in self._setup.devices.items()}
            self._recorder.begin(self._created_at, self._setup.machine.git, kinds, self._setup.order_start)
            begun = await asyncio.to_thread(self._writer.flush, _START_FLUSH_S)
            if not begun:
                raise self._writer.cause or RunFailed(f"{self._plan.database} could not be written in time")
            self._writer.patience_s = PATIENCE_S
            await self._listen()
        except BaseException:
            await asyncio.to_thread(self._writer.close)
            if begun and not self._plan.resumed:
                await asyncio.to_thread(self._forget)
            await asyncio.to_thread(self._writer.unmake)
            raise
        for notice in (*self._setup.notices, *self._writer.notices):
            self._experiment.say("notice", "warning", notice)
        if face is not None:
            await self._server.adopt(face)

    async def _listen(self) -> None:
        folder, name = paths.runtime_dir(), self._plan.experiment_id
        try:
            await self._server.open(folder / f"{name}.sock")
            temporary = folder / f"{name}.json.new"
            temporary.write_text(json.dumps(self._info(folder / f"{name}.sock")), encoding="utf-8")
            temporary.rename(folder / f"{name}.json")
        except OSError as problem:
            raise RunFailed(
                f"the socket of the experiment cannot be opened in {folder}: {problem.strerror or problem}",
                hint="RECBENCH_RUNTIME names another folder",
            ) from problem
        self._server.before_tick = self._tick

    def _info(self, address: Path) -> dict[str, object]:
        return {
            "experiment": self._plan.experiment_id,
            "pid": os.getpid(),
            "socket": str(address),
            "database": str(self._plan.database),
            "started": self._created_at,
            "command": self._plan.command,
            "argv": list(self._plan.argv),
        }

    async def carry_out(self) -> tuple[Ending, bool]:
        """The experiment; then its end, and whether that is safely in the database."""
        try:
            ending = await self._experiment.carry_out()
        except Exception as problem:  # noqa: BLE001 -- a bug must still close the books
            traceback.print_exc()
            ending = self._broken(problem)
        finally:
            self._measurement.release()
        forgotten = ending.exit_code in (ExitCode.USAGE, ExitCode.UNAVAILABLE) and self._experiment.nothing_measured
        if not forgotten or self._plan.resumed:
            self._recorder.experiment(
                status=ending.status, message=ending.message, ended_at=utc_now(), exit_code=int(ending.exit_code)
            )
        kept = await asyncio.to_thread(self._writer.flush, _FLUSH_S)
        if not kept and ending.exit_code == ExitCode.OK:  # all went well but the writing, whose failure came last
            told = (
                self._writer.error.message if self._writer.error else f"{self._plan.database} was not written in time"
            )
            ending = Ending("failed", ExitCode.RUN_FAILED, told)
        await asyncio.to_thread(self._writer.close)
        if forgotten and not self._plan.resumed:
            await asyncio.to_thread(self._forget)
        self._view.set_state(
            ending.status,
            message=ending.message,
            hint=ending.hint,
            exit_code=int(ending.exit_code),
            forgotten=forgotten and not self._plan.resumed,
        )
        await self._server.close()
        return ending, kept

    def _broken(self, problem: Exception) -> Ending:
        text = f"the orchestrator failed: {type(problem).__name__}: {problem}"
        for run in self._view.runs.values():
            if run.status in ("running", "pending"):
                status = "failed" if run.status == "running" else "skipped"
                self._recorder.run(run.id, status=status, reason=text)
                self._view.update(run.id, status=status, reason=text)
        self._view.line("error", text)
        return Ending("failed", ExitCode.RUN_FAILED, text)

    def _forget(self) -> None:
        """Wrong input that only the worker could see, before anything was measured, leaves nothing half-made."""
        try:
            delete_experiment(self._plan.database, self._plan.experiment_id, force=True)
        except BenchError:
            traceback.print_exc()
            return
        for run in self._plan.order:
            shutil.rmtree(output_dir(self._plan, run), ignore_errors=True)
        try:
            paths.output_dir(self._plan.database).rmdir()
        except OSError:
            pass  # it holds other runs

    def _tick(self) -> None:
        self._experiment.face_pids = self._server.face_pids
        self._experiment.tick()

    def _signalled(self) -> None:
        if self._view.state == "stopping":
            self._experiment.kill()
        else:
            self._experiment.stop()

    def _writer_error(self, problem: BenchError) -> None:
        """Called by the writer's thread."""

        def tell() -> None:
            self._experiment.storage_failed(problem, final=self._writer.error is not None)

        self._loop.call_soon_threadsafe(tell)


if __name__ == "__main__":
    sys.exit(main())
