"""One worker from its start to its end: which runs it gets, how each of them ended, and when it must be killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.execution import commands
from harness.execution.events import Event, Garbage
from harness.execution.lanes import Lane
from harness.execution.limits import Limits
from harness.execution.oom import oom_kills
from harness.execution.plan import PlannedRun
from harness.execution.record import Recorder
from harness.execution.result import conclude
from harness.execution.running import RunInProgress
from harness.execution.startup import Setup
from harness.execution.supervise import RankEnd, WorkerGroup
from harness.execution.verdict import OK, Outcome, end_outcome, error_outcome, signal_name
from harness.execution.view import LiveView
from harness.execution.watch import Watch

_GARBAGE_SHOWN = 5
SKIP_PATIENCE_S = 10.0  # a worker may take this and two windows to leave a cell before it is killed
Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every session of an experiment uses.

    `finished` hears how each run ended; `more` gives the next run that a worker may carry out which has carried out
    those, or None.
    """

    setup: Setup
    view: LiveView
    recorder: Recorder
    watch: Watch
    finished: Callable[[RunInProgress, Outcome], None]
    more: Callable[[Sequence[PlannedRun]], PlannedRun | None]

    def say(self, kind: str, level: Level, text: str, run_id: str | None = None) -> None:
        """A line for people, now and later."""
        self.view.line(level, text, run_id)
        self.recorder.event(kind, text, run_id=run_id, level=level)


class Session:
    """Runs one worker in a lane; hears its channel (`supervise.Listener`).

    It begins with `first`; where its cell may share a worker, it is given one run after the other while there are any.
    """

    def __init__(self, first: PlannedRun, tools: Tools, lane: Lane) -> None:
        plan, setup = tools.setup.plan, tools.setup
        cell = plan.cell(first.cell_id)
        self.waiting: PlannedRun | None = first  # given to the worker, which has not begun it
        self.current: RunInProgress | None = None
        self._tools = tools
        self._lane = lane
        self._shares = cell.share_key is not None and first.resumes is None
        self._log_path = commands.output_dir(plan, first) / "log.txt"
        device = setup.devices[cell.spec.device]
        self._starts = commands.cell_starts(plan, [first], device, lane=lane, more=self._shares, worker=setup.worker)
        self.group = WorkerGroup(self._starts, self._log_path, self)
        self._limits = Limits()
        self._environment: dict[str, Any] = {}  # what the worker said of itself
        self._processes: dict[int, str] = {}  # rank: row id
        self._carried: list[PlannedRun] = []  # what this worker began
        self._ended_by: Outcome | None = None  # why we ended the worker ourselves
        self._garbage = 0
        self._skip_at: float | None = None
        self._stop_at: float | None = None

    async def carry_out(self) -> None:
        """Until the worker is gone. A run that is left in `waiting` was not begun."""
        kills = oom_kills()
        self._limits.begin(len(self._starts))
        assert self.waiting is not None
        self._begin(self.waiting)
        try:
            await self.group.start()
        except OSError as problem:
            python = self._starts[0].argv[0]
            self.end(Outcome("failed", f"the worker {python} does not start: {problem.strerror or problem}"))
        if self._stop_at is not None:
            self.stop()  # asked while it started
        ends = await self.group.wait()
        self._processes_ended(ends)
        if self.current is not None:
            struck = oom_kills()
            self._finish(self._outcome(ends, None if kills is None or struck is None else struck - kills))
        if self._garbage > _GARBAGE_SHOWN:
            text = f"the worker's channel carried {self._garbage} lines that are no events"
            self._tools.say("garbage", "warning", text)

    def stop(self) -> None:
        """Asks the worker to finish its window and leave."""
        self._stop_at = self._stop_at or time.monotonic()
        self.group.send({"type": "stop"})

    def skip(self) -> None:
        """Asks the worker to leave the current run."""
        self._skip_at = self._skip_at or time.monotonic()
        self.group.send({"type": "skip_cell"})

    def end(self, outcome: Outcome) -> None:
        """Kills the worker; the first reason to do so counts."""
        self._ended_by = self._ended_by or outcome
        self.group.kill()

    def tick(self, now: float) -> None:
        """Looks at the limits; four times a second."""
        current = self.current
        if self._ended_by is not None or (current is None and self.waiting is None):
            return
        passed = self._limits.passed(now, current.phase if current is not None else None)
        if passed is not None:
            self.end(Outcome("timeout", passed, f"its log is {self._log_path}"))
        elif current is not None and self._skip_at is not None and now - self._skip_at > self._skip_patience_s(current):
            self.end(Outcome("skipped", "skipped by the person; the worker did not react and was killed"))

    def _skip_patience_s(self, current: RunInProgress) -> float:
        return SKIP_PATIENCE_S + 2 * current.cell.spec.settings.window_s

    def event(self, rank: int, event: Event) -> None:
        self._limits.heard(rank)
        if event.type == "hello":
            self._hello(rank, event)
        elif event.type == "environment":
            if rank == 0:
                self._environment.update(event["values"])
                self._know_environment()
        elif event.type == "cell" and event["state"] == "begin":
            self._cell_begins(event["run"])
        elif self.current is not None:
            self.current.hear(rank, event)
            if event.type == "cell" and all(self.current.over):
                self._cell_over(self.current)

    def garbage(self, rank: int, garbage: Garbage) -> None:
        self._garbage += 1
        if self._garbage <= _GARBAGE_SHOWN:
            run_id = self.current.run.id if self.current is not None else None
            text = f"a line of the worker's channel is no event ({garbage.reason}): {garbage.text}"
            self._tools.say("garbage", "warning", text, run_id)

    def distrust(self, rank: int, reason: str) -> None:
        self._ended_by = self._ended_by or Outcome("failed", reason, f"its log is {self._log_path}")

    def _begin(self, run: PlannedRun) -> None:
        tools = self._tools
        cell = tools.setup.plan.cell(run.cell_id)
        self.waiting = None
        self._carried.append(run)
        self._limits.run_begins(cell.spec.settings)
        self.current = RunInProgress(
            run,
            cell,
            view=tools.view,
            recorder=tools.recorder,
            meters=tools.watch.meters(cell.spec.settings) if self._lane.count == 1 else None,
            declared=tools.setup.declared[cell.id],
            log_path=self._log_path,
            beside=self._lane.count - 1,
        )
        if self._environment:
            self._know_environment()

    def _cell_begins(self, run_id: str) -> None:
        if self.waiting is not None and self.waiting.id == run_id and self.current is None:
            self._begin(self.waiting)

    def _give_next(self) -> None:
        """One more run for a worker that waits for it, or word that there is none."""
        if not self._shares:
            return
        leaving = self._stop_at is not None or self._ended_by is not None
        run = None if leaving else self._tools.more(self._carried)
        if run is None:
            self.group.send(commands.ENOUGH)
            return
        plan = self._tools.setup.plan
        self.waiting = run
        self._limits.run_begins(plan.cell(run.cell_id).spec.settings)
        self.group.send(commands.next_run(plan, run, self._lane))

    def _cell_over(self, current: RunInProgress) -> None:
        """Every rank is through with the current run; the worker goes on, to the next one or to its end."""
        if current.error is not None:
            self._finish(error_outcome(current.error))
        elif self._ended_by is not None:
            self._finish(self._ended_by)
        elif not current.complete(self._skip_at):
            self._finish(Outcome("skipped", "skipped by the person"))
        elif not current.complete(self._stop_at):
            self._finish(Outcome("interrupted", "stopped by the person"))
        else:
            self._finish(OK)
        self._skip_at = None
        self._give_next()

    def _outcome(self, ends: Sequence[RankEnd], kills: int | None) -> Outcome:
        """How the current run ended, now that its worker is gone."""
        if self._ended_by is not None:
            return self._ended_by
        if self.current is not None and self.current.error is not None:
            return error_outcome(self.current.error)
        return end_outcome(ends, self._log_path, kills)

    def _finish(self, outcome: Outcome) -> None:
        current, tools = self.current, self._tools
        assert current is not None
        self.current = None
        alone = not tools.setup.plan.share and current.run.resumes is None and not current.beside
        conclude(current, outcome, tools.setup.machine, alone=alone)
        tools.finished(current, outcome)

    def _hello(self, rank: int, event: Event) -> None:
        if self.current is not None:
            run_id = self.current.run.id
            self._processes[rank] = self._tools.recorder.process(run_id, rank, event["pid"], event["python"])

    def _know_environment(self) -> None:
        """The worker's environment is that of each of its runs."""
        if self.current is None:
            return
        run, cell, recorder = self.current.run, self.current.cell, self._tools.recorder
        recorder.environment(run.id, *self._tools.setup.machine.environment(cell.spec, self._environment))
        kind = self._environment.get("device_kind")
        if isinstance(kind, str):
            recorder.cell(cell.id, device_kind=kind)
            self._tools.view.device_kind(cell.id, kind)

    def _processes_ended(self, ends: Sequence[RankEnd]) -> None:
        for end in ends:
            if end.rank in self._processes:
                self._tools.recorder.process_ended(self._processes[end.rank], end.exit_code, end.signal)
            for run in self._carried if end.rank == 0 else ():
                self._tools.recorder.run(run.id, exit_code=end.exit_code)
            if end.signal is not None and end.said_done and self._ended_by is None and self.current is None:
                how = "had to be killed" if end.lingered else f"ended with {signal_name(end.signal)}"
                self._tools.say("exit", "warning", f"the worker {how} after its work was done")
