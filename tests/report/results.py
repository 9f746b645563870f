"""An experiment made by hand, for the tests of reports."""

from __future__ import annotations

from typing import Any

from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, RunRecord, RunStatus


def metrics(throughput: float, auc: float | None) -> tuple[MetricRecord, ...]:
    return (
        MetricRecord(name="throughput", value=throughput, unit="samples/s", better="higher", role="primary"),
        MetricRecord(name="roofline_share", value=0.23, unit="", better="higher", kind="difference"),
        MetricRecord(name="auc", value=auc, unit="", better="higher", role="gate", kind="difference", phase="evaluate"),
        MetricRecord(name="auc_bayes", value=0.7981, unit="", kind="difference", phase="evaluate"),
        MetricRecord(name="hit_ratio", value=0.5, unit="", better="higher", labels={"table": "a"}, kind="exact"),
        MetricRecord(name="setup_s", value=1.2, unit="s", better="lower", phase="setup"),
    )


def run(
    repeat: int,
    *,
    status: RunStatus = "ok",
    reason: str | None = None,
    contended: bool | None = False,
    throughput: float | None = None,
    auc: float | None = 0.7431,
) -> RunRecord:
    return RunRecord(
        id=f"run{repeat}aaaaaaaa",
        cell_id="cellaaaaaaaa",
        repeat=repeat,
        order_index=repeat,
        status=status,
        seed=repeat,
        started_at=f"2026-11-03T14:05:0{repeat}.000Z",
        wall_s=11.2,
        reason=reason,
        contended=contended,
        contention_reason="other processes used 34 % of the cores" if contended else None,
        metrics=metrics(throughput or 12_000.0 + 100 * repeat, auc) if status == "ok" else (),
    )


def cell(index: int = 0, *runs: RunRecord, **changes: Any) -> CellRecord:
    facts: dict[str, Any] = {
        "id": f"cell{index}aaaaaaa",
        "experiment_id": "expaaaaaaaaa",
        "index": index,
        "label": f"batch={128 * (index + 1)}",
        "workload": "dlrm",
        "workload_version": 1,
        "mode": "train",
        "device": "cpu",
        "device_kind": "hardware",
        "timing_scope": "compute",
        "params": {"batch": 128},
        "params_hash": "0123456789abcdef",
        "protocol": {"epochs": 1.0},
        "data": {"fingerprint": "a1b2c3", "kind": "generated", "rows": 600_000, "description": "built-in click log"},
        "engine": {"engine_resolved": "compiled", "roofline_binding": "gather_rows_per_s"},
        "profile": "demo",
        "runs": runs or tuple(run(repeat) for repeat in range(5)),
    }
    return CellRecord(**{**facts, **changes})


def experiment(*cells: CellRecord, **changes: Any) -> ExperimentRecord:
    facts: dict[str, Any] = {
        "id": "expaaaaaaaaa",
        "command": "run",
        "created_at": "2026-11-03T14:05:00.000Z",
        "status": "done",
        "cells": cells or (cell(),),
    }
    return ExperimentRecord(**{**facts, **changes})
