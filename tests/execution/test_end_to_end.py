"""The orchestrator with the real worker: both sides of the channel, on the fakes that real workloads resemble."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.execution.launch import launch
from harness.execution.plan import Plan, make_plan, share_keys
from harness.execution.snapshot import Snapshot
from harness.registry import Registry
from harness.spec import Source, resolve
from harness.store.queries import Store
from harness.store.records import RunRecord
from tests.execution.conftest import House, last, until

FAKES = [Path(__file__).resolve().parents[1] / "fakes" / name for name in ("workloads.py", "devices.py")]


def plan_of(house: House, workload: str, *cells: dict[str, object], command: str = "run", **values: object) -> Plan:
    registry = Registry(FAKES)
    description = registry.workload(workload)
    specs = [
        resolve(description, [Source(origin="test", values={"device": "still", **values, **cell})], plugins=FAKES)
        for cell in (cells or ({},))
    ]
    keys = share_keys(description, specs)
    return make_plan(specs, command=command, database=house.database, share_keys=keys, interleave=len(cells) > 1)  # type: ignore[arg-type]


def finish(house: House, plan: Plan) -> Snapshot:
    attachment = launch(plan)
    house.attachments.append(attachment)
    return last(attachment)


def runs_of(house: House, snapshot: Snapshot) -> list[RunRecord]:
    with Store(house.database) as store:
        cells = store.experiment(snapshot.experiment_id).cells
    return sorted((run for cell in cells for run in cell.runs), key=lambda run: run.order_index)


def test_a_steady_run_gives_its_declared_metrics(house: House) -> None:
    snapshot = finish(house, plan_of(house, "steady", rows=1000, epochs=2, step_s=0.001, repeats=2))
    assert (snapshot.exit_code, snapshot.message) == (0, "2 runs done")
    for run in runs_of(house, snapshot):
        found = {metric.key for metric in run.metrics}
        assert {"throughput", "measure_s", "setup_s", "evaluate_s", "seen", "auc"} <= found
        throughput, measure = run.metric("throughput"), run.metric("measure_s")
        assert throughput is not None and measure is not None
        assert throughput.value is not None and measure.value is not None
        assert 0 < round(throughput.value * measure.value) <= 2000
        assert run.environment["device"]["name"] == "a stand-in"


def test_many_cells_share_one_worker_and_its_set_up(house: House) -> None:
    plan = plan_of(house, "many", {"size": 10}, {"size": 50}, {"size": 90}, command="sweep", repeats=2)
    snapshot = finish(house, plan)
    runs = runs_of(house, snapshot)
    assert [run.status for run in runs] == ["ok"] * 6
    with Store(house.database) as store:
        cells = {cell.id: cell for cell in store.experiment(snapshot.experiment_id).cells}
        assert sum(len(store.processes(run.id)) for run in runs) == 2
        loads = [event for run in runs for event in store.events(run.id) if event.text == "loaded trace a"]
    assert len(loads) == 2
    for run in runs:
        size = cells[run.cell_id].params["size"]
        metric = run.metric(f"hit_ratio{{size={size}}}")
        assert metric is not None
        assert metric.value == size / 100


def test_a_driven_run_and_one_of_two_ranks_end_well(house: House) -> None:
    for workload, values in (("driven", {}), ("ranks", {"ranks": 2})):
        if workload in Registry(FAKES).workload_names():
            snapshot = finish(house, plan_of(house, workload, **values, repeats=1))  # type: ignore[arg-type]
            assert snapshot.exit_code == 0, snapshot.message


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("fail_at", "failed", "failed at step 3 as asked"),
        ("kill_at", "crashed", "killed by SIGKILL"),
        ("hang_at", "timeout", "said nothing for"),
    ],
)
def test_a_fault_in_the_workload_is_told(house: House, fault: str, status: str, reason: str) -> None:
    hang_limit = "4s" if fault == "hang_at" else None
    plan = plan_of(house, "steady", repeats=1, hang_limit=hang_limit, warmup="none", **{fault: 3})
    snapshot = finish(house, plan)
    (run,) = runs_of(house, snapshot)
    assert (snapshot.exit_code, run.status) == (1, status)
    assert reason in str(run.reason)


def test_wrong_input_ends_the_experiment_with_its_sentence(house: House) -> None:
    snapshot = finish(house, plan_of(house, "steady", usage_error=True))
    assert (snapshot.exit_code, snapshot.message) == (2, "batch = 0 makes no sense")


def test_stop_reaches_the_real_worker(house: House) -> None:
    attachment = launch(plan_of(house, "steady", step_s=0.001, rows=10**8, warmup="none", repeats=2, window_s=0.05))
    house.attachments.append(attachment)
    until(attachment, lambda s: len(s.cells[0].runs[0].windows) > 2)
    asked = time.monotonic()
    attachment.send("stop")
    snapshot = last(attachment)
    assert time.monotonic() - asked < 20
    assert snapshot.exit_code == 130
    run = runs_of(house, snapshot)[0]
    assert run.status == "interrupted"
    throughput = run.metric("throughput")
    assert throughput is not None
    assert throughput.value
