"""Finds experiments whose orchestrator died, and says so in their database.

An experiment is alive while its kernel lock is held. A free lock, or none at all and no such process on this machine,
means that the orchestrator was killed; one that ran on another host cannot be judged from here.
"""

from __future__ import annotations

import socket
from pathlib import Path

from harness import paths
from harness.errors import BenchError, RunFailed
from harness.execution.orphans import is_alive
from harness.ids import short_id
from harness.store.queries import Store
from harness.store.records import ExperimentSummary
from harness.store.rows import EventRow, utc_now
from harness.store.writer import ResultWriter

LEFTOVERS = (".sock", ".json", ".lock")


def recover(database: Path) -> list[str]:
    """Marks dead experiments as lost; what happened, one sentence each. Nothing happens without a database.

    Raises StoreError where the database cannot be read. Where it cannot be written, the sentence says that too.
    """
    if not database.exists():
        return []
    with Store(database) as store:
        dead = [item for item in store.running() if _is_dead(item)]
        pending = {item.id: _unfinished(store, item.id) for item in dead}
    sentences = []
    for item in dead:
        text = f"experiment {short_id(item.id)} was lost: its orchestrator was killed or the machine went down"
        try:
            _mark(database, item.id, pending[item.id])
        except BenchError as problem:
            text += f" (this could not be recorded: {problem.message})"
        else:
            clean(item.id)
        sentences.append(text)
    return sentences


def clean(experiment_id: str) -> None:
    """Removes what an orchestrator left in the runtime folder; its log stays where it said something."""
    folder = paths.runtime_dir()
    log = folder / f"{experiment_id}.log"
    if log.exists() and log.stat().st_size == 0:
        log.unlink()
    for ending in LEFTOVERS:
        (folder / f"{experiment_id}{ending}").unlink(missing_ok=True)


def _is_dead(item: ExperimentSummary) -> bool:
    return item.host in (None, socket.gethostname()) and not is_alive(item.id)


def _unfinished(store: Store, experiment_id: str) -> list[tuple[str, str]]:
    """(id, status) of the runs that have no end."""
    cells = store.experiment(experiment_id).cells
    return [(run.id, run.status) for cell in cells for run in cell.runs if run.status in ("running", "pending")]


def _mark(database: Path, experiment_id: str, runs: list[tuple[str, str]]) -> None:
    message = "the orchestrator was killed or the machine went down"
    with ResultWriter(database, patience_s=2.0) as writer:
        for run_id, status in runs:
            if status == "running":
                reason = f"{message} while it ran; what it measured until then was kept"
                writer.change("run", {"id": run_id}, status="lost", reason=reason)
            else:
                writer.change("run", {"id": run_id}, status="skipped", reason=f"{message} before its turn")
        writer.change("experiment", {"id": experiment_id}, status="lost", message=message)
        writer.put(EventRow(experiment_id=experiment_id, wall=utc_now(), level="error", kind="lost", text=message))
        if not writer.flush():
            raise writer.error or RunFailed(f"{database} could not be written in time")
