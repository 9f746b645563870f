from __future__ import annotations

from typing import Any

import pytest

from harness.errors import UsageError
from harness.report.experiment_figure import data_notes, experiment_figure
from harness.store.records import CellRecord, ExperimentRecord, MetricRecord, RunRecord, RunStatus
from tests.report.results import cell, experiment
from workloads.cachesim.config import DESCRIPTION
from workloads.dlrm.config import DESCRIPTION as DLRM


def _run(repeat: int, rows: float, hit_ratio: float | None, status: RunStatus = "ok") -> RunRecord:
    return RunRecord(
        id=f"r{repeat}", cell_id="c", repeat=repeat, order_index=repeat, status=status, seed=repeat,
        metrics=(
            MetricRecord(name="hit_ratio", value=hit_ratio, unit="", kind="exact"),
            MetricRecord(name="hit_ratio", value=0.99, unit="", kind="exact", labels={"table": "a"}),
            MetricRecord(name="capacity_rows", value=rows, unit="rows", kind="exact"),
            MetricRecord(name="throughput", value=1e6, unit="requests/s"),
        ),
    )  # fmt: skip


def _cell(policy: str, capacity: str, *runs: RunRecord, **params: Any) -> CellRecord:
    return cell(
        0, *runs, workload="cachesim", mode="simulate", params={"policy": policy, "capacity": capacity, **params},
        data={"description": "lookups.npz", "rows": 1000},
    )  # fmt: skip


def _lines(found: ExperimentRecord) -> dict[str, list[tuple[float, float | None]]]:
    drawn = experiment_figure(found, DESCRIPTION)
    return {line.name: list(zip(line.x, line.y, strict=True)) for line in drawn.lines}


def test_shares_and_rows_stand_on_one_axis_by_what_they_came_to() -> None:
    found = experiment(
        _cell("lru", "1000", _run(0, 1000, 0.75)),
        _cell("lru", "1%", _run(0, 10, 0.5)),
        _cell("lru", "10%", _run(0, 100, 0.625)),
        _cell("arc", "10%", _run(0, 100, 0.875)),
    )
    assert _lines(found) == {"lru": [(10, 0.5), (100, 0.375), (1000, 0.25)], "arc": [(100, 0.125)]}


def test_a_point_is_the_median_of_runs_that_ended_well() -> None:
    runs = (_run(0, 10, 0.5), _run(1, 10, 0.75), _run(2, 10, 0.625), _run(3, 10, 0.0, "interrupted"))
    assert _lines(experiment(_cell("lru", "1%", *runs))) == {"lru": [(10, 0.375)]}


def test_all_that_differs_beside_the_size_makes_another_line() -> None:
    found = experiment(
        _cell("lru", "1%", _run(0, 10, 0.5), caches="unified", training=True),
        _cell("lru", "1%", _run(0, 10, 0.25), caches="per-table", training=True),
    )
    assert list(_lines(found)) == ["lru, caches=unified", "lru, caches=per-table"]


def test_what_was_not_measured_is_left_out_and_nothing_is_refused() -> None:
    found = experiment(_cell("lru", "1%", _run(0, 10, None)), _cell("lru", "2%", _run(0, 20, 0.5)))
    assert _lines(found) == {"lru": [(20, 0.5)]}
    with pytest.raises(UsageError, match="gave hit_ratio and capacity_rows"):
        experiment_figure(experiment(_cell("lru", "1%", _run(0, 10, None))), DESCRIPTION)
    with pytest.raises(UsageError, match="workload 'dlrm' says no figure"):
        experiment_figure(experiment(), DLRM)


def test_the_data_is_told_once_in_the_words_of_the_mode() -> None:
    found = experiment(_cell("lru", "1%", _run(0, 10, 0.5)), _cell("arc", "1%", _run(0, 10, 0.5)))
    assert data_notes(found) == ["lookups.npz, 1,000 requests"]
