"""An experiment on its way: the queue of runs, the worker of the moment, commands, limits, and the end.

    waiting for the machine -> ceilings, where they are not known -> one worker after the other -> the verdict
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.api import Device, MetricSpec
from harness.errors import BenchError, UsageError
from harness.execution import commands
from harness.execution.artifacts import hashed
from harness.execution.eta import Estimator
from harness.execution.events import Event, Garbage
from harness.execution.limits import Limits
from harness.execution.locks import FileLock
from harness.execution.machine import Machine
from harness.execution.oom import oom_kills
from harness.execution.plan import Plan, PlannedCell, PlannedRun
from harness.execution.record import Recorder
from harness.execution.running import RunInProgress
from harness.execution.supervise import RankEnd, WorkerGroup
from harness.execution.verdict import OK, Ending, Outcome, end_outcome, ending, error_outcome
from harness.execution.view import LiveView
from harness.execution.watch import PERIOD_S, Watch
from harness.ids import new_id, short_id

_GARBAGE_SHOWN = 5
_LOCK_POLL_S = 0.25
_SKIP_PATIENCE_S = 10.0  # how long a worker may take to skip a cell before it is killed
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that was found out before anything was written. `worker` replaces the worker's program, in tests."""

    plan: Plan
    devices: Mapping[str, Device]  # by selector
    declared: Mapping[str, Mapping[str, MetricSpec]]  # by cell id: the metrics of its workload and mode
    machine: Machine
    order_start: int = 0
    worker: Path | None = None


class Experiment:
    """Carries out a plan. Lives on one event loop; `handle` takes the faces' commands, `tick` comes four times a second.

    `face_pids` names the attached faces, so that what they use is not taken for somebody else's load.
    """

    def __init__(self, setup: Setup, view: LiveView, recorder: Recorder, measurement: FileLock) -> None:
        self.face_pids: list[int] = []
        self._setup, self._plan = setup, setup.plan
        self._view, self._recorder, self._measurement = view, recorder, measurement
        self._queue: deque[PlannedRun] = deque(self._plan.order)
        self._next_index = setup.order_start + len(self._plan.order)
        self._outcomes: list[tuple[tuple[str, int], Outcome]] = []
        self._estimator = Estimator()
        self._watch: Watch | None = None
        self._group: WorkerGroup | None = None
        self._group_runs: list[PlannedRun] = []
        self._current: RunInProgress | None = None
        self._log_path = Path(os.devnull)
        self._environment: Mapping[str, Any] | None = None  # what the worker of the moment said of itself
        self._processes: dict[int, tuple[str, str]] = {}  # rank -> (row id, run id)
        self._limits = Limits()
        self._ended_by: Outcome | None = None  # why we ended the worker ourselves
        self._garbage = 0
        self._skip_at: float | None = None
        self._stopped_at: float | None = None
        self._fatal: Outcome | None = None
        self._storage: str | None = None

    async def carry_out(self) -> Ending:
        """Everything, to the end. Does not raise for what happens to a run."""
        telemetry: asyncio.Task[None] | None = None
        try:
            if await self._machine_is_ours():
                self._view.set_state("running")
                self._watch = Watch(self._plan.cells[0].spec.device, self._worker_pids, self._own_pids)
                for notice in self._watch.notices:
                    self.say("telemetry", "info", notice)
                telemetry = asyncio.create_task(self._telemetry())
                await self._measure_ceilings()
                while self._queue and not self._over:
                    await self._run_worker(self._next_group())
        finally:
            if telemetry is not None:
                telemetry.cancel()
            if self._group is not None:
                self._group.kill_now()
            if self._watch is not None:
                self._watch.close()
        return self._end()

    @property
    def _over(self) -> bool:
        return self._stopped_at is not None or self._fatal is not None or self._storage is not None

    def say(self, kind: str, level: Level, text: str, run_id: str | None = None) -> None:
        """A line for people, now and later."""
        self._view.line(level, text, run_id)
        self._recorder.event(kind, text, run_id=run_id, level=level)

    def storage_failed(self, problem: BenchError, *, final: bool) -> None:
        """The writer's error; a `final` one ends the experiment."""
        self._view.line("error" if final else "warning", problem.message)
        if final and self._storage is None:
            self._storage = problem.message
            self._end_worker(Outcome("failed", f"results could not be written: {problem.message}"))

    async def handle(self, request: Mapping[str, Any]) -> str:
        """Carries out a face's command."""
        command = request.get("command")
        if command == "stop":
            return self.stop()
        if command == "kill":
            return self.kill()
        if command == "skip":
            return self._skip(request)
        if command == "retry":
            return self._retry(request)
        raise UsageError(f"unknown command {command!r}", hint="commands: stop, kill, skip, retry, detach")

    def stop(self) -> str:
        """Finishes the window, then ends; what was measured until then stays."""
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            self._view.set_state("stopping")
            self.say("command", "info", "stopping after the window")
            if self._group is not None:
                self._group.send({"type": "stop"})
        return "stopping after the window; `kill` ends it at once"

    def kill(self) -> str:
        """Ends the worker now."""
        self.stop()
        self.say("command", "warning", "killing the worker")
        self._end_worker(Outcome("interrupted", "killed by the person"))
        return "the worker is being killed"

    def _skip(self, request: Mapping[str, Any]) -> str:
        current, scope = self._current, request.get("scope", "run")
        if current is None or self._group is None:
            raise UsageError("no run is going on that could be skipped")
        if scope not in ("run", "cell"):
            raise UsageError(f"scope = {scope!r} is neither run nor cell")
        if scope == "cell":
            self._drop(lambda run: run.cell_id == current.cell.id, "its cell was skipped by the person")
        self._skip_at = time.monotonic()
        self._group.send({"type": "skip_cell"})
        text = f"skipping {'the cell of ' if scope == 'cell' else ''}run {short_id(current.run.id)}"
        self.say("command", "info", text, current.run.id)
        return text

    def _retry(self, request: Mapping[str, Any]) -> str:
        bad = [run for run in self._view.runs.values() if run.status not in ("ok", "pending", "running")]
        wanted = request.get("run")
        found = next((run for run in reversed(bad) if wanted is None or run.id == wanted), None)
        if found is None:
            raise UsageError("no run has failed that could be tried again" if wanted is None else f"run {wanted!r} cannot be tried again: it has not failed")
        if self._over:
            raise UsageError("the experiment is ending, nothing can be tried again", hint="use --resume")
        run = PlannedRun(id=new_id(), cell_id=found.cell_id, repeat=found.repeat)
        self._recorder.pending(run, self._next_index)
        self._next_index += 1
        self._view.add_run(run)
        self._queue.append(run)
        self.say("command", "info", f"run {short_id(found.id)} will be tried again as {short_id(run.id)}", run.id)
        return f"run {short_id(run.id)} is queued"

    async def _machine_is_ours(self) -> bool:
        """Waits for the measurement lock; False where the experiment was stopped meanwhile."""
        if self._plan.share:
            self.say("share", "warning", "measured beside whatever else runs (--share): no throughput is recorded")
            return True
        text = f"experiment {short_id(self._plan.experiment_id)} (process {os.getpid()}) since {time.strftime('%H:%M:%S')}"
        while not self._measurement.acquire(text):
            if self._stopped_at is not None:
                return False
            holder = self._measurement.holder() or "another experiment"
            if self._view.waiting_for != holder:
                self._view.set_state("waiting", waiting_for=holder)
                self.say("waiting", "info", f"waiting for the machine: {holder} measures on it")
            await asyncio.sleep(_LOCK_POLL_S)
        return self._stopped_at is None

    async def _measure_ceilings(self) -> None:
        machine = self._setup.machine
        for cell in self._plan.cells:
            if self._over or machine.knows(cell.spec):
                continue
            self._view.set_state("running", waiting_for="the machine's limits, measured once")
            start = commands.ceiling_start(cell.spec, self._setup.devices[cell.spec.device], worker=self._setup.worker)
            rows, problem = await machine.measure(cell.spec, start, self._adopt_group, self._own_pids)
            self._group = None
            self._recorder.ceilings(rows)
            if problem is not None:
                self.say("ceilings", "info", f"the machine's limits are unknown: {problem}")
        if self._stopped_at is None:
            self._view.set_state("running")

    def _adopt_group(self, group: WorkerGroup) -> None:
        self._group = group

    def _next_group(self) -> list[PlannedRun]:
        """The next run, and those behind it that may share its worker."""
        runs = [self._queue.popleft()]
        first = self._plan.cell(runs[0].cell_id)
        while self._queue and _shares(first, runs, self._plan.cell(self._queue[0].cell_id), self._queue[0]):
            runs.append(self._queue.popleft())
        return runs

    async def _run_worker(self, runs: Sequence[PlannedRun]) -> None:
        """One worker, from its start to its end; runs it did not come to go back into the queue."""
        spec = self._plan.cell(runs[0].cell_id).spec
        self._group_runs, self._ended_by, self._garbage, self._skip_at = list(runs), None, 0, None
        self._environment = None
        self._log_path = commands.output_dir(self._plan, runs[0]) / "log.txt"
        kills = oom_kills()
        starts = commands.cell_starts(self._plan, runs, self._setup.devices[spec.device], worker=self._setup.worker)
        group = self._group = WorkerGroup(starts, self._log_path, self)
        self._limits.begin(len(starts))
        self._begin(self._group_runs.pop(0))
        try:
            await group.start()
        except OSError as problem:
            outcome = Outcome("failed", f"the worker {starts[0].argv[0]} does not start: {problem.strerror or problem}")
            group.kill_now()
            await group.wait()
            self._finish(outcome)
        else:
            if self._stopped_at is not None:
                group.send({"type": "stop"})
            ends = await group.wait()
            self._processes_ended(ends)
            if self._current is not None:
                struck = oom_kills()
                self._finish(self._outcome(ends, None if kills is None or struck is None else struck - kills))
        self._group = None
        if self._garbage > _GARBAGE_SHOWN:
            self.say("garbage", "warning", f"the worker's channel carried {self._garbage} lines that are no events")
        self._queue.extendleft(reversed(self._group_runs))
        self._group_runs = []

    def _begin(self, run: PlannedRun) -> None:
        cell = self._plan.cell(run.cell_id)
        self._limits.run_begins(cell.spec.settings)
        self._current = RunInProgress(
            run,
            cell,
            view=self._view,
            recorder=self._recorder,
            meters=self._watch.meters(cell.spec.settings) if self._watch else None,
            declared=self._setup.declared[cell.id],
            log_path=self._log_path,
        )
        if self._environment is not None:
            self._know_environment(self._environment)

    def _outcome(self, ends: Sequence[RankEnd], kills: int | None) -> Outcome:
        """How the current run ended, now that its worker is gone."""
        assert self._current is not None
        if self._ended_by is not None:
            return self._ended_by
        if self._current.error is not None:
            return error_outcome(self._current.error)
        if self._stopped_at is not None and all(end.clean for end in ends):
            return Outcome("interrupted", "stopped by the person")
        return end_outcome(ends, self._log_path, kills)

    def _cell_over(self) -> None:
        """Every rank is through with the current run, while the worker goes on."""
        current = self._current
        assert current is not None
        if current.error is not None:
            self._finish(error_outcome(current.error))
        elif self._ended_by is not None:
            self._finish(self._ended_by)
        elif not current.complete(self._skip_at):
            self._finish(Outcome("skipped", "skipped by the person"))
        elif not current.complete(self._stopped_at):
            self._finish(Outcome("interrupted", "stopped by the person"))
        else:
            self._finish(OK)
        self._skip_at = None

    def _finish(self, outcome: Outcome) -> None:
        current = self._current
        assert current is not None
        self._current = None
        current.finish(outcome, alone=not self._plan.share)
        roofline = self._setup.machine.roofline(current.run.id, current.cell.spec, current.tally, current.engine)
        if roofline is not None:
            current.record_roofline(*roofline)
        for artifact in current.artifacts:
            self._recorder.artifact(hashed(artifact))
        self._view.current_run = None
        self._outcomes.append(((current.run.cell_id, current.run.repeat), outcome))
        if outcome.status == "ok":
            self._estimator.finished(current.cell.id, time.monotonic() - current.started, current.outermost_s)
        elif outcome.fatal:
            self._give_up(current.cell, outcome)

    def _give_up(self, cell: PlannedCell, outcome: Outcome) -> None:
        """What hit this run would hit all repeats of its cell; the other cells of a sweep go on."""
        reason = f"not tried: {outcome.reason}"
        if self._plan.command == "sweep":
            self._drop(lambda run: run.cell_id == cell.id, reason)
        else:
            self._fatal = outcome
            self._drop(lambda run: True, reason)

    def _drop(self, unwanted: Any, reason: str) -> None:
        for run in [run for run in self._queue if unwanted(run)]:
            self._queue.remove(run)
            self._recorder.skipped(run.id, reason)
            self._view.update(run.id, status="skipped", reason=reason)

    def _end_worker(self, outcome: Outcome) -> None:
        """We end the worker ourselves; the first reason counts."""
        if self._group is not None:
            self._ended_by = self._ended_by or outcome
            self._group.kill()

    def _end(self) -> Ending:
        """Closes the books."""
        self._drop(lambda run: True, "the experiment ended before its turn")
        if self._plan.command == "sweep" and self._fatal is None:
            fatal = [outcome for _, outcome in self._outcomes if outcome.fatal]
            self._fatal = fatal[0] if fatal and len(fatal) == len(self._outcomes) else None
        planned = len({(run.cell_id, run.repeat) for run in self._view.runs.values()})
        return ending(
            self._outcomes,
            planned=planned,
            stopped=self._stopped_at is not None,
            fatal=self._fatal,
            storage=self._storage,
        )

    @property
    def nothing_measured(self) -> bool:
        """No run of this experiment has anything to show."""
        return not any(run.windows or run.metrics or run.status == "ok" for run in self._view.runs.values())

    def event(self, rank: int, event: Event) -> None:
        """From the worker (`supervise.Listener`)."""
        self._limits.heard(rank)
        if event.type == "hello":
            self._hello(rank, event)
        elif event.type == "environment":
            if rank == 0:
                self._environment(event)
        elif event.type == "cell" and event["state"] == "begin":
            self._cell_begins(event["run"])
        elif self._current is not None:
            self._current.hear(rank, event)
            if event.type == "cell" and all(self._current.over):
                self._cell_over()

    def garbage(self, rank: int, garbage: Garbage) -> None:
        self._garbage += 1
        if self._garbage <= _GARBAGE_SHOWN:
            run_id = self._current.run.id if self._current is not None else None
            text = f"a line of the worker's channel is no event ({garbage.reason}): {garbage.text}"
            self.say("garbage", "warning", text, run_id)

    def distrust(self, rank: int, reason: str) -> None:
        self._ended_by = self._ended_by or Outcome("failed", reason, f"its log is {self._log_path}")

    def _hello(self, rank: int, event: Event) -> None:
        if self._current is not None:
            run_id = self._current.run.id
            row = self._recorder.process(run_id, rank, event["pid"], event["python"])
            self._processes[rank] = (row, run_id)

    def _processes_ended(self, ends: Sequence[RankEnd]) -> None:
        for end in ends:
            row, run_id = self._processes.pop(end.rank, (None, None))
            if row is not None and run_id is not None:
                self._recorder.process_ended(row, end.exit_code, end.signal)
                if end.rank == 0:
                    self._recorder.run(run_id, exit_code=end.exit_code)
            if end.said_done and not end.clean and self._current is None:
                self.say("exit", "warning", f"the worker ended badly after its work was done ({_how(end)})")

    def _environment(self, event: Event) -> None:
        values = event["values"]
        self._environment = {**(self._environment or {}), **values}
        self._know_environment(self._environment)

    def _know_environment(self, values: Mapping[str, Any]) -> None:
        """The worker's environment is that of each of its runs."""
        if self._current is None:
            return
        run, cell = self._current.run, self._current.cell
        self._recorder.environment(run.id, *self._setup.machine.environment(cell.spec, values))
        kind = values.get("device_kind")
        if isinstance(kind, str):
            self._recorder.cell(cell.id, device_kind=kind)
            self._view.device_kind(cell.id, kind)

    def _cell_begins(self, run_id: str) -> None:
        if self._current is not None and self._current.run.id == run_id:
            return
        found = next((run for run in self._group_runs if run.id == run_id), None)
        if found is not None and self._current is None:
            self._group_runs.remove(found)
            self._begin(found)

    def tick(self) -> None:
        """Limits and estimates, before faces are told."""
        now = time.monotonic()
        current = self._current
        if self._group is not None and current is not None:
            passed = self._limits.passed(now, current.phase)
            if passed is not None:
                self._end_worker(Outcome("timeout", passed, f"its log is {self._log_path}"))
            if self._skip_at is not None and now - self._skip_at > _SKIP_PATIENCE_S:
                self._end_worker(Outcome("skipped", "skipped by the person; the worker did not react and was killed"))
        left = None
        if current is not None:
            left = current.eta_s(self._estimator, now)
            self._view.runs[current.run.id].eta_s = left
        self._view.eta_s = self._estimator.experiment_left_s(
            current.cell.id if current else None,
            now - current.started if current else 0.0,
            left,
            [run.cell_id for run in (*self._group_runs, *self._queue)],
        )

    async def _telemetry(self) -> None:
        assert self._watch is not None
        while True:
            await asyncio.sleep(PERIOD_S)
            current = self._current
            for source, values, shown in await self._watch.sample(current.meters if current else None):
                self._view.telemetry(source, shown)
                if current is not None and current is self._current:
                    self._recorder.telemetry(current.run.id, time.monotonic() - current.started, source, values)

    def _worker_pids(self) -> list[int]:
        return self._group.pids if self._group is not None else []

    def _own_pids(self) -> list[int]:
        return [os.getpid(), *self.face_pids]


def _shares(first: PlannedCell, runs: Sequence[PlannedRun], cell: PlannedCell, run: PlannedRun) -> bool:
    """Whether `run` may join the worker of `runs`: the same set-up, the same repeat, each cell once, so that the
    process stays the unit of replication."""
    one, other = first.spec, cell.spec
    return (
        first.share_key is not None
        and cell.share_key == first.share_key
        and one.mode_kind == other.mode_kind == "pass"
        and run.repeat == runs[0].repeat
        and run.cell_id not in {earlier.cell_id for earlier in runs}
        and run.resumes is None
        and all(getattr(one.settings, name) == getattr(other.settings, name) for name in _PROCESS_SETTINGS)
        and one.plugins == other.plugins
    )


_PROCESS_SETTINGS = ("device", "threads", "cpus", "ranks", "python")


def _how(end: RankEnd) -> str:
    return f"signal {end.signal}" if end.signal is not None else f"exit code {end.exit_code}"
