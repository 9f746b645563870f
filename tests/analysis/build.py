"""Records made by hand, for the tests of analysis and of its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis.compare import Side
from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, ReferenceRecord, RunRecord

THROUGHPUT = MetricRecord(name="throughput", value=None, unit="samples/s", better="higher", role="primary")
LATENCY = MetricRecord(name="latency_p99_s", value=None, unit="s", better="lower", role="info")
AUC = MetricRecord(name="auc", value=None, unit="", better="higher", role="gate", kind="difference", phase="evaluate")
HITS = MetricRecord(name="hits", value=None, unit="requests", better="higher", role="primary", kind="exact")

ENVIRONMENT: Mapping[str, Any] = {
    "cpu": {"model": "Xeon 8481C", "allowed_count": 2, "used_count": 2},
    "power": {"governor": "performance"},
    "memory": {"total_gib": 64},
    "os": {"distribution": "Debian 13", "kernel": "6.12.1"},
    "container": {"inside": False, "cpu_quota_cores": None},
    "python": {"version": "3.11.9", "executable": "/usr/bin/python3"},
    "packages": {"torch": "2.13.0"},
    "threads": {"intra": 2},
}


def environment(**changes: Any) -> dict[str, Any]:
    """The environment with some of its tables extended."""
    changed = {key: {**ENVIRONMENT.get(key, {}), **value} for key, value in changes.items()}
    return {**ENVIRONMENT, **changed}


def runs_of(
    columns: Mapping[MetricRecord, Sequence[float | None]] | Sequence[tuple[MetricRecord, Sequence[float | None]]],
    *,
    cell_id: str,
    environment: Mapping[str, Any] = ENVIRONMENT,
    seed: int = 0,
) -> tuple[RunRecord, ...]:
    pairs = list(columns.items()) if isinstance(columns, Mapping) else list(columns)
    length = max(len(values) for _, values in pairs)
    return tuple(
        RunRecord(
            id=f"{cell_id}-{k}",
            cell_id=cell_id,
            repeat=k,
            order_index=k,
            status="ok",
            seed=seed + k,
            contended=False,
            environment=environment,
            face="plain",
            metrics=tuple(replace(metric, value=values[k]) for metric, values in pairs if k < len(values)),
        )
        for k in range(length)
    )


def side(
    name: str,
    columns: Sequence[tuple[MetricRecord, Sequence[float | None]]],
    *,
    experiment: str | None = None,
    interleaved: bool = False,
    environment: Mapping[str, Any] = ENVIRONMENT,
    seed: int = 0,
    **changes: Any,
) -> Side:
    """A side with one cell; `changes` are fields of the cell, or of the experiment or side where the cell has none."""
    cell_id = f"cell-{name}"
    cell = CellRecord(
        id=cell_id,
        experiment_id=experiment or f"experiment-{name}",
        index=0,
        label=f"label {name}",
        workload="dlrm",
        workload_version=1,
        mode="train",
        device="cpu",
        device_kind="hardware",
        timing_scope="compute",
        params={"batch_size": 128, "learning_rate": 0.1},
        params_hash="hash",
        protocol={"epochs": 1.0, "warmup": "auto", "samples": None},
        data={"fingerprint": "f00d", "kind": "generated", "rows": 100_000},
        engine={"engine_resolved": "eager", "precision": "fp32"},
        runs=runs_of(columns, cell_id=cell_id, environment=environment, seed=seed),
    )
    record = ExperimentRecord(
        id=experiment or f"experiment-{name}",
        command="ab" if interleaved else "run",
        created_at="2026-05-01T10:00:00Z",
        status="done",
        interleaved=interleaved,
        git_commit="abc1234",
        git_dirty=False,
        host="bench-host",
    )
    of_cell = {key: value for key, value in changes.items() if key in CellRecord.__slots__}
    of_experiment = {
        key: value for key, value in changes.items() if key not in of_cell and key in ExperimentRecord.__slots__
    }
    of_side = {key: value for key, value in changes.items() if key not in of_cell and key not in of_experiment}
    return Side(name=name, experiment=replace(record, **of_experiment), cell=replace(cell, **of_cell), **of_side)


def ab(
    columns_a: Sequence[tuple[MetricRecord, Sequence[float | None]]],
    columns_b: Sequence[tuple[MetricRecord, Sequence[float | None]]],
    **changes_of_b: Any,
) -> tuple[Side, Side]:
    """Two cells of one interleaved experiment."""
    common: dict[str, Any] = {"experiment": "experiment-ab", "interleaved": True}
    return side("A", columns_a, **common), side("B", columns_b, **common, **changes_of_b)


def reference(**changes: Any) -> ReferenceRecord:
    values: dict[str, Any] = {
        "name": "ascend-910-pytorch",
        "workload": "dlrm",
        "device": "Ascend 910",
        "dataset": "Criteo Kaggle",
        "metric": "throughput",
        "value": 20_000.0,
        "unit": "samples/s",
        "source": "https://example.org/models/dlrm",
        "better": "higher",
        "batch": 2048,
        "remark": "128 over milliseconds per iteration",
    }
    return ReferenceRecord(**{**values, **changes})
