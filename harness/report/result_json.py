"""The result of an experiment as one JSON document: what `--json` of run, sweep, ab, rerun and show prints.

The schema is an API for scripts: keys are added, never renamed, within one `schema` number. A number that was not
measured is null.
"""

from __future__ import annotations

import json
import math
from typing import Any

from harness.report.comparison import cell_metrics
from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, RunRecord

SCHEMA = 1


def document(experiment: ExperimentRecord) -> dict[str, Any]:
    """The whole experiment, plain JSON values only."""
    return {
        "schema": SCHEMA,
        "experiment": experiment.id,
        "command": experiment.command,
        "status": experiment.status,
        "created_at": experiment.created_at,
        "interleaved": experiment.interleaved,
        "shared": experiment.shared,
        "data_seed": experiment.data_seed,
        "harness_version": experiment.harness_version,
        "git_commit": experiment.git_commit,
        "git_dirty": experiment.git_dirty,
        "host": experiment.host,
        "tags": list(experiment.tags),
        "note": experiment.note,
        "cells": [cell_document(cell) for cell in experiment.cells],
    }


def cell_document(cell: CellRecord) -> dict[str, Any]:
    """One cell: what was asked, what each run gave, and each metric over the runs that ended `ok`."""
    return {
        "id": cell.id,
        "label": cell.label,
        "workload": cell.workload,
        "workload_version": cell.workload_version,
        "mode": cell.mode,
        "device": cell.device,
        "device_kind": cell.device_kind,
        "timing_scope": cell.timing_scope,
        "profile": cell.profile,
        "params": dict(cell.params),
        "params_hash": cell.params_hash,
        "protocol": dict(cell.protocol),
        "data_fingerprint": cell.data.get("fingerprint"),
        "data": dict(cell.data),
        "engine": dict(cell.engine),
        "runs": [_run(run) for run in cell.runs],
        "metrics": cell_metrics(cell),
    }


def text(body: Any) -> str:
    """JSON for stdout: indented, UTF-8, and no NaN, which JSON does not have."""
    return json.dumps(_finite(body), indent=2, ensure_ascii=False, allow_nan=False)


def _run(run: RunRecord) -> dict[str, Any]:
    metrics: dict[str, dict[str, Any]] = {}
    for metric in run.metrics:
        metrics.setdefault(metric.key, _metric(metric))
    return {
        "id": run.id,
        "repeat": run.repeat,
        "order": run.order_index,
        "status": run.status,
        "reason": run.reason,
        "seed": run.seed,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "wall_s": run.wall_s,
        "contended": run.contended,
        "contention_reason": run.contention_reason,
        "environment": run.environment_hash,
        "metrics": metrics,
    }


def _metric(metric: MetricRecord) -> dict[str, Any]:
    return {
        "value": metric.value,
        "unit": metric.unit,
        "better": metric.better,
        "phase": metric.phase,
        "role": metric.role,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
