"""The result of a run that is over: its own numbers, those the harness makes of it, and what is said about it."""

from __future__ import annotations

import time
from typing import Literal

from harness.execution.artifacts import hashed
from harness.execution.machine import Machine
from harness.execution.running import RunInProgress
from harness.execution.verdict import Outcome
from harness.execution.watch import Load
from harness.store.rows import utc_now


def conclude(run: RunInProgress, outcome: Outcome, machine: Machine, *, alone: bool) -> None:
    """Writes how `run` ended and what it measured.

    `alone`: no other measurement ran beside it, and one process ran the whole of it.
    """
    load = _side_by_side(run.beside) if run.beside else None
    energy_j = utilization = None
    if run.meters is not None:
        run.meters.end()
        load, energy_j = run.meters.load(), run.meters.energy_j()
        utilization = run.meters.accelerator_utilization()
    run_id = run.run.id
    for row in run.tally.metrics(
        run_id, run.declared, alone=alone, energy_j=energy_j, accelerator_utilization=utilization
    ):
        run.record(row)
    if not run.beside:
        _record_roofline(run, machine)
    for artifact in run.artifacts:
        run.recorder.artifact(hashed(artifact))
    wall_s = time.monotonic() - run.started
    run.recorder.run(
        run_id,
        status=outcome.status,
        ended_at=utc_now(),
        wall_s=wall_s,
        reason=outcome.reason,
        contended=load.contended if load else None,
        contention_reason=load.reason if load else None,
        contention=load.values if load else {},
    )
    run.view.update(
        run_id,
        status=outcome.status,
        phase=None,
        elapsed_s=wall_s,
        eta_s=None,
        reason=outcome.reason,
        contended=load.contended if load else None,
        throughput=run.tally.throughput() if alone else None,
    )
    _tell(run, outcome, load)


def _side_by_side(beside: int) -> Load:
    """Instead of a verdict on the machine: what disturbed this run was the experiment itself."""
    reason = f"runs went on side by side, {beside + 1} at a time (--jobs), so nothing was timed"
    return Load(None, reason, {"side_by_side": beside + 1})


def _record_roofline(run: RunInProgress, machine: Machine) -> None:
    """How near it came to the machine's limit, and which limit binds."""
    found = machine.roofline(run.run.id, run.cell.spec, run.tally, run.engine)
    if found is not None:
        row, binding = found
        run.record(row)
        run.engine["roofline_binding"] = binding
        if machine.busy(run.cell.spec):
            run.engine["roofline_contended"] = True
        run.recorder.cell(run.cell.id, engine=dict(run.engine))


def _tell(run: RunInProgress, outcome: Outcome, load: Load | None) -> None:
    if outcome.reason is not None:
        level: Literal["info", "error"] = "info" if outcome.status in ("interrupted", "skipped") else "error"
        hint = f" ({outcome.hint})" if outcome.hint else ""
        run.say("ended", level, f"run {outcome.status}: {outcome.reason}{hint}")
    if load is not None and load.contended:
        run.say("contention", "warning", f"contended: {load.reason}")
    if load is not None and load.warning is not None:
        run.say("contention", "warning", load.warning)
