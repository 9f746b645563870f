"""Deletion of an experiment: what would be lost, in words for the question, and the deed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.analysis.words import counted
from harness.dashboard.words import local_time
from harness.ids import short_id
from harness.store import edits
from harness.store.queries import Store


@dataclass(frozen=True, slots=True)
class Loss:
    """An experiment that may go: the question, and its cells, which cannot stay marked."""

    experiment_id: str
    question: str
    cells: frozenset[str]


def weigh(path: Path, experiment_id: str) -> Loss:
    """Reads what would be lost. UsageError where it is gone already."""
    with Store(path) as store:
        experiment = store.experiment(experiment_id)
    runs = sum(len(cell.runs) for cell in experiment.cells)
    first = experiment.cells[0] if experiment.cells else None
    what = f"{first.workload} {first.mode} on {first.device}, " if first else ""
    lines = [
        f"Delete experiment {short_id(experiment_id)}?",
        f"{what}{counted(len(experiment.cells), 'configuration')}, {counted(runs, 'run')}, "
        f"{local_time(experiment.created_at)}",
        *([f"tags: {', '.join(experiment.tags)}"] if experiment.tags else []),
        *([f"note: {experiment.note}"] if experiment.note else []),
        "Files that it wrote (logs, checkpoints) stay where they are.",
    ]
    return Loss(experiment_id, "\n".join(lines), frozenset(cell.id for cell in experiment.cells))


def delete(path: Path, loss: Loss) -> str:
    """What was done, in a sentence. UsageError for one that still runs."""
    files = edits.delete_experiment(path, loss.experiment_id)
    left = f"; {counted(len(files), 'file')} of it left on the disk" if files else ""
    return f"experiment {short_id(loss.experiment_id)} deleted{left}"
