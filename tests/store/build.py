"""Small rows for the tests of the store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.store.migrations import STEPS, Step
from harness.store.rows import CellRow, EventRow, ExperimentRow, MetricRow, Row, RunRow
from harness.store.writer import ResultWriter

ROOT = Path(__file__).resolve().parents[2]
AT = "2026-03-02T09:00:00.000Z"


def experiment(identifier: str = "exp1", **changes: object) -> ExperimentRow:
    return ExperimentRow(**{"id": identifier, "command": "run", "created_at": AT, **changes})


def cell(identifier: str = "cell1", experiment_id: str = "exp1", **changes: object) -> CellRow:
    body = {
        "id": identifier,
        "experiment_id": experiment_id,
        "index": 0,
        "label": "",
        "workload": "dlrm",
        "workload_version": 1,
        "mode": "train",
        "mode_kind": "steady",
        "device": "cpu",
        "timing_scope": "compute",
        "params": {"batch_size": 32},
        "params_hash": "abc",
        "protocol": {"warmup": "auto"},
    }
    return CellRow(**{**body, **changes})


def run(identifier: str = "run1", cell_id: str = "cell1", **changes: object) -> RunRow:
    return RunRow(**{"id": identifier, "cell_id": cell_id, "repeat": 0, "order_index": 0, "seed": 0, **changes})


def metric(run_id: str = "run1", name: str = "throughput", value: float | None = 1.0, **changes: object) -> MetricRow:
    return MetricRow(**{"run_id": run_id, "name": name, "value": value, "unit": "samples/s", **changes})


def event(text: str, experiment_id: str = "exp1", **changes: object) -> EventRow:
    return EventRow(**{"experiment_id": experiment_id, "wall": AT, "kind": "log", "text": text, **changes})


def write(path: Path, *rows: Row, steps: Sequence[Step] = STEPS) -> None:
    """Writes rows as an orchestrator would, and is sure that all were taken."""
    errors: list[str] = []
    writer = ResultWriter(path, on_error=lambda error: errors.append(error.message), steps=steps)
    with writer:
        writer.put(*rows)
        assert writer.flush()
    assert errors == []


def child(*arguments: object, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    """One of the programs in `children.py`, as a process of its own."""
    command = [*prefix, sys.executable, "-m", "tests.store.children", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
