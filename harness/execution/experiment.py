"""An experiment on its way: the queue of runs, the workers of the moment, the faces' commands, and the end.

waiting for the machine -> its limits, where they are not known -> a worker in each lane while there are runs -> the
verdict. There is one lane, unless runs go on side by side (`--jobs`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import BenchError, UsageError
from harness.execution import commands
from harness.execution.eta import Estimator, Going
from harness.execution.lanes import Lane
from harness.execution.locks import FileLock
from harness.execution.plan import PlannedCell, PlannedRun
from harness.execution.record import Recorder
from harness.execution.running import RunInProgress
from harness.execution.session import Session, Tools
from harness.execution.startup import Setup
from harness.execution.supervise import WorkerGroup
from harness.execution.verdict import Ending, Outcome, ending
from harness.execution.view import LiveView
from harness.execution.watch import PERIOD_S, Watch
from harness.ids import new_id, short_id

_LOCK_POLL_S = 0.25
_PROCESS_SETTINGS = ("device", "threads", "cpus", "ranks", "python")


class Experiment:
    """Carries out a plan on one event loop. `handle` takes the faces' commands, `tick` comes four times a second.

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
        self._limits_group: WorkerGroup | None = None  # measures the machine's limits
        self._sessions: dict[int, Session] = {}  # by lane
        self._tasks: set[asyncio.Task[None]] = set()
        devices = [cell.spec.device for cell in self._plan.cells]
        pythons = {cell.spec.device: commands.given_python(cell.spec.settings) for cell in self._plan.cells}
        self._watch = Watch(devices, self._worker_pids, self._own_pids, pythons)
        self._tools = Tools(
            setup=setup, view=view, recorder=recorder, watch=self._watch, finished=self._run_finished, more=self._more
        )
        self._stopped = self._finishing = self._closed = False
        self._fatal: Outcome | None = None
        self._storage: str | None = None
        self.say = self._tools.say

    @property
    def nothing_measured(self) -> bool:
        """No run of this experiment has anything to show."""
        return not any(run.windows or run.metrics or run.status == "ok" for run in self._view.runs.values())

    async def carry_out(self) -> Ending:
        """Everything, to the end. Does not raise for what happens to a run."""
        telemetry: asyncio.Task[None] | None = None
        try:
            if await self._machine_is_ours():
                self._view.set_state("running")
                for notice in self._watch.notices:
                    self.say("telemetry", "info", notice)
                telemetry = asyncio.create_task(self._telemetry())
                await self._measure_ceilings()
                await self._run_workers()
        finally:
            self._closed = True
            if telemetry is not None:
                telemetry.cancel()
            for group in self._groups():
                group.kill_now()
            self._watch.close()
        return self._end()

    @property
    def _over(self) -> bool:
        """No further run begins."""
        ending = self._stopped or self._finishing or self._closed
        return ending or self._fatal is not None or self._storage is not None

    def _groups(self) -> list[WorkerGroup]:
        limits = [self._limits_group] if self._limits_group is not None else []
        return [*limits, *(session.group for session in self._sessions.values())]

    def _going(self) -> list[tuple[Session, RunInProgress]]:
        """The runs that go on, the one that began first in front."""
        found = [(session, session.current) for session in self._sessions.values() if session.current is not None]
        return sorted(found, key=lambda pair: pair[1].started)

    async def handle(self, request: Mapping[str, Any]) -> str:
        """Carries out a face's command; UsageError where it makes no sense now."""
        command = request.get("command")
        if command == "stop":
            return self.stop()
        if command == "finish":
            return self.finish()
        if command == "kill":
            return self.kill()
        if command == "skip":
            return self._skip(request.get("scope", "run"), request.get("run"))
        if command == "retry":
            return self._retry(request.get("run"))
        raise UsageError(f"unknown command {command!r}", hint="commands: stop, finish, kill, skip, retry, detach")

    def stop(self) -> str:
        """Finishes the window, then ends; what was measured until then stays."""
        if not self._stopped:
            self._stopped = True
            self._view.set_state("stopping")
            self.say("command", "info", "stopping after the window")
            for session in self._sessions.values():
                session.stop()
            if self._limits_group is not None:
                self._limits_group.kill()
        return "stopping after the window; `kill` ends it at once"

    def finish(self) -> str:
        """Lets the runs that are going on end well, then ends the experiment."""
        last = [current.run for _, current in self._going()]
        last += [session.waiting for session in self._sessions.values() if session.waiting is not None]
        if not last:
            return self.stop()
        one = len(last) == 1
        if not self._over:
            self._finishing = True
            self._view.set_state("stopping")
            text = "stopping after this run" if one else f"stopping after these {len(last)} runs"
            self.say("command", "info", text, last[0].id if one else None)
        named = " and ".join(short_id(run.id) for run in last)
        if one:
            return f"run {named} is the last one; `stop` ends it after its window"
        return f"runs {named} are the last ones; `stop` ends them after their windows"

    def kill(self) -> str:
        """Ends the workers now."""
        self.stop()
        self.say("command", "warning", "killing the worker")
        for session in self._sessions.values():
            session.end(Outcome("interrupted", "killed by the person"))
        return "the worker is being killed" if len(self._sessions) < 2 else "the workers are being killed"

    def _skip(self, scope: Any, wanted: Any) -> str:
        """Skips the run that was named, else the one that began first."""
        if scope not in ("run", "cell"):
            raise UsageError(f"scope = {scope!r} is neither run nor cell")
        going = self._going()
        if not going:
            raise UsageError("no run is going on that could be skipped")
        found = next((pair for pair in going if wanted in (None, pair[1].run.id)), None)
        if found is None:
            raise UsageError(f"run {wanted!r} is not going on, so it cannot be skipped")
        session, current = found
        skipped = [session]
        if scope == "cell":
            self._drop(lambda run: run.cell_id == current.cell.id, "its cell was skipped by the person")
            skipped = [one for one, other in going if other.cell.id == current.cell.id]
        for one in skipped:
            one.skip()
        text = f"skipping run {short_id(current.run.id)}" + (" and its cell" if scope == "cell" else "")
        self.say("command", "info", text, current.run.id)
        return text

    def _retry(self, wanted: Any) -> str:
        bad = [run for run in self._view.runs.values() if run.status not in ("ok", "pending", "running")]
        found = next((run for run in reversed(bad) if wanted in (None, run.id)), None)
        if found is None:
            raise UsageError(
                "no run has failed that could be tried again" if wanted is None else f"run {wanted!r} has not failed"
            )
        if self._over:
            raise UsageError("the experiment is ending, nothing can be tried again", hint="use --resume")
        run = PlannedRun(id=new_id(), cell_id=found.cell_id, repeat=found.repeat)
        self._recorder.pending(run, self._next_index)
        self._next_index += 1
        self._view.add_run(run)
        self._queue.append(run)
        self._fill_lanes()
        text = f"run {short_id(found.id)} will be tried again as {short_id(run.id)}"
        self.say("command", "info", text, run.id)
        return text

    def storage_failed(self, problem: BenchError, *, final: bool) -> None:
        """The writer's error; a `final` one ends the experiment."""
        self._view.line("error" if final else "warning", problem.message)
        if final and self._storage is None:
            self._storage = problem.message
            for session in self._sessions.values():
                session.end(Outcome("failed", f"results could not be written: {problem.message}"))
            if self._limits_group is not None:
                self._limits_group.kill()

    async def _machine_is_ours(self) -> bool:
        """Waits for the measurement lock; False where the experiment was stopped meanwhile."""
        if self._plan.share:
            self.say("share", "warning", "measured beside whatever else runs (--share): no throughput is recorded")
            return True
        since = time.strftime("%H:%M:%S")
        text = f"experiment {short_id(self._plan.experiment_id)} (process {os.getpid()}) since {since}"
        while not self._over and not self._measurement.acquire(text):
            holder = self._measurement.holder() or "another experiment"
            if self._view.waiting_for != holder:
                self._view.set_state("waiting", waiting_for=holder)
                self.say("waiting", "info", f"waiting for the machine: {holder} measures on it")
            await asyncio.sleep(_LOCK_POLL_S)
        return not self._over

    async def _measure_ceilings(self) -> None:
        machine = self._setup.machine
        if self._setup.lanes > 1:
            return  # what is not timed is not held against them
        for cell in self._plan.cells:
            device = self._setup.devices[cell.spec.device]
            if self._over or machine.knows(cell.spec) or getattr(device, "foreign", False):  # the last have none
                continue
            self._view.set_state("running", waiting_for="the machine's limits, which are measured once")
            start = commands.ceiling_start(self._plan, cell.spec, device, worker=self._setup.worker)
            rows, problem = await machine.measure(cell.spec, start, self._adopt, self._own_pids)
            self._limits_group = None
            self._recorder.ceilings(rows)
            if problem is not None and not self._over:
                self.say("ceilings", "info", f"the limits of {cell.spec.device} on this machine are unknown: {problem}")
        if not self._stopped:
            self._view.set_state("running")

    def _adopt(self, group: WorkerGroup) -> None:
        self._limits_group = group

    async def _run_workers(self) -> None:
        """Keeps the lanes busy until nothing is left."""
        self._fill_lanes()
        try:
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                for task in done:
                    task.result()
                self._fill_lanes()
        finally:
            for task in self._tasks:
                task.cancel()

    def _fill_lanes(self) -> None:
        """A worker in every lane that is free, as long as there are runs."""
        for number in range(self._setup.lanes):
            if self._queue and not self._over and number not in self._sessions:
                lane = Lane(number=number, count=self._setup.lanes, cores=self._setup.cores)
                session = self._sessions[number] = Session(self._queue.popleft(), self._tools, lane)
                self._tasks.add(asyncio.create_task(self._carry_out(number, session)))

    async def _carry_out(self, number: int, session: Session) -> None:
        """One worker; a run that it did not come to goes back to the head of the queue."""
        await session.carry_out()
        del self._sessions[number]
        if session.waiting is not None:
            self._queue.appendleft(session.waiting)

    def _more(self, carried: Sequence[PlannedRun]) -> PlannedRun | None:
        """The next run for a worker that has carried out those. Alone, a worker keeps to the order of the plan; side
        by side, each goes on with what it has set up."""
        ahead = list(self._queue) if not self._over else []
        for run in ahead if self._setup.lanes > 1 else ahead[:1]:
            if _may_share(self._plan.cell(carried[0].cell_id), carried, self._plan.cell(run.cell_id), run):
                self._queue.remove(run)
                return run
        return None

    def _run_finished(self, run: RunInProgress, outcome: Outcome) -> None:
        self._outcomes.append(((run.run.cell_id, run.run.repeat), outcome))
        if outcome.status == "ok":
            self._estimator.finished(run.cell.id, time.monotonic() - run.started, run.outermost_s)
        elif outcome.fatal:
            self._give_up(run.cell, outcome)

    def _give_up(self, cell: PlannedCell, outcome: Outcome) -> None:
        """What hit this run would hit all repeats of its cell; other cells go on, unless they are compared with it."""
        reason = f"not tried: {outcome.reason}"
        if self._plan.command == "sweep" or (self._plan.command == "run" and len(self._plan.cells) > 1):
            self._drop(lambda run: run.cell_id == cell.id, reason)
        else:
            self._fatal = outcome
            self._drop(lambda run: True, reason)

    def _drop(self, unwanted: Callable[[PlannedRun], bool], reason: str) -> None:
        for run in [run for run in self._queue if unwanted(run)]:
            self._queue.remove(run)
            self._recorder.skipped(run.id, reason)
            self._view.update(run.id, status="skipped", reason=reason)

    def _end(self) -> Ending:
        """Closes the books."""
        cut = self._stopped or (self._finishing and bool(self._queue))
        self._drop(lambda run: True, "the experiment ended before its turn")
        fatal = self._fatal
        if fatal is None and self._outcomes and all(outcome.fatal for _, outcome in self._outcomes):
            fatal = self._outcomes[0][1]
        planned = len({(run.cell_id, run.repeat) for run in self._view.runs.values()})
        return ending(self._outcomes, planned=planned, stopped=cut, fatal=fatal, storage=self._storage)

    def tick(self) -> None:
        """Limits and estimates, before faces are told."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            session.tick(now)
        going: list[Going] = []
        for _, current in self._going():
            left = self._view.runs[current.run.id].eta_s = current.eta_s(self._estimator, now)
            going.append(Going(current.cell.id, now - current.started, left))
        given = [session.waiting for session in self._sessions.values() if session.waiting is not None]
        ahead = [run.cell_id for run in (*given, *self._queue)]
        self._view.eta_s = self._estimator.experiment_left_s(going, ahead, self._setup.lanes)

    async def _telemetry(self) -> None:
        try:
            while True:
                await asyncio.sleep(PERIOD_S)
                await self._sample()
        except Exception as problem:  # noqa: BLE001 -- a run without telemetry is still a run
            self.say("telemetry", "warning", f"telemetry has stopped: {type(problem).__name__}: {problem}")

    async def _sample(self) -> None:
        going = [current for _, current in self._going()]
        for current in going:
            self._view.touch(current.run.id)  # its time passes, whatever it says
        self._view.touch()
        alone = going[0] if len(going) == 1 and self._setup.lanes == 1 else None
        for source, values, shown in await self._watch.sample(alone.meters if alone else None):
            self._view.telemetry(source, shown)
            for _, current in self._going():
                if current in going:
                    t_s = time.monotonic() - current.started
                    self._recorder.telemetry(current.run.id, t_s, source, values if alone else _machines(values))

    def _worker_pids(self) -> list[int]:
        return [pid for group in self._groups() for pid in group.pids]

    def _own_pids(self) -> list[int]:
        return [os.getpid(), *self.face_pids]


def _machines(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Readings without those of the workers: of several, they are nobody's own."""
    return {name: None if name.startswith("worker_") else value for name, value in values.items()}


def _may_share(first: PlannedCell, runs: Sequence[PlannedRun], cell: PlannedCell, run: PlannedRun) -> bool:
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
