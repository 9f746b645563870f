"""Experiments whose runs go on side by side (`--jobs 2`), with the fake worker and with the real one."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from typing import Any

import psutil
import pytest

from harness.devices.cpu import allowed_cores
from harness.errors import UsageError
from harness.execution.launch import running
from harness.execution.plan import Plan, resume_plan
from harness.execution.recover import recover
from harness.execution.snapshot import Snapshot
from harness.store.queries import Store
from harness.store.records import RunRecord
from tests.execution.conftest import WORKER, House, gone, last, settles, until
from tests.execution.test_end_to_end import finish, plan_of

pytestmark = pytest.mark.skipif(allowed_cores() < 2, reason="runs go side by side only where there are two cores")


def side_by_side(house: House, *behaviours: str, **values: Any) -> Plan:
    """One trace, a cell for each behaviour, two workers."""
    chosen = {"mode": "scan", "share_key": "trace", "jobs": 2, **values}
    return house.plan(*behaviours, **chosen)


def runs_of(house: House, experiment_id: str) -> list[RunRecord]:
    with Store(house.database) as store:
        runs = [run for cell in store.experiment(experiment_id).cells for run in cell.runs]
    return sorted(runs, key=lambda run: run.order_index)


def behaviour_of(house: House, run: RunRecord) -> str:
    with Store(house.database) as store:
        return str(store.cell(run.cell_id).params["behaviour"])


def workers_of(house: House, runs: list[RunRecord]) -> dict[str, str]:
    """The log that each run wrote to, which is its worker's."""
    return {run.id: str(run.log_path) for run in runs}


def both(snapshot: Snapshot) -> bool:
    return len(snapshot.going) == 2 and all(run.phase == "measure" for run in snapshot.going)


def test_runs_are_dealt_over_two_workers_that_overlap(house: House) -> None:
    snapshot = last(house.launch(plan := side_by_side(house, *["normal"] * 8, pause_s=0.05)))
    runs = runs_of(house, plan.experiment_id)
    assert (snapshot.exit_code, [run.status for run in runs]) == (0, ["ok"] * 8)
    with Store(house.database) as store:
        assert len({process.pid for run in runs for process in store.processes(run.id)}) == 2
    logs = workers_of(house, runs)
    spans = {log: [run for run in runs if logs[run.id] == log] for log in set(logs.values())}
    assert len(spans) == 2
    assert all(len(own) >= 2 for own in spans.values())
    for own in spans.values():
        assert all(str(one.ended_at) <= str(other.started_at) for one, other in pairwise(own))
    one, other = spans.values()
    assert any(str(a.started_at) < str(b.ended_at) and str(b.started_at) < str(a.ended_at) for a in one for b in other)
    begun = [run.started_at or "" for run in runs]
    assert begun == sorted(begun)


def test_nothing_is_timed_and_the_run_says_why(house: House) -> None:
    snapshot = last(house.launch(plan := side_by_side(house, "normal", "normal")))
    for run in runs_of(house, plan.experiment_id):
        values = {metric.key: metric.value for metric in run.metrics}
        timings = ("throughput", "setup_s", "warmup_s", "measure_s", "evaluate_s", "energy_j_per_sample")
        assert {name: values[name] for name in timings} == dict.fromkeys(timings)
        assert (values["auc"], values["memory_peak_bytes"]) == (0.75, 1e6)
        assert "roofline_share" not in values
        assert run.contended is None
        assert run.contention_reason == "runs went on side by side, 2 at a time (--jobs), so nothing was timed"
        assert run.contention == {"side_by_side": 2}
        with Store(house.database) as store:
            assert {series.name for series in store.series(run.id)} == {"loss", "curve"}
    assert all(run.throughput is None and not run.windows for cell in snapshot.cells for run in cell.runs)
    with Store(house.database) as store:
        assert {cell.settings["jobs"] for cell in store.experiment(plan.experiment_id).cells} == {2}


def test_results_are_those_of_one_after_the_other(house: House) -> None:
    cells: list[dict[str, object]] = [{"size": size} for size in (3, 10, 30, 50, 70, 90)]
    found = []
    for jobs in (1, 2):
        snapshot = finish(house, plan_of(house, "many", *cells, repeats=2, jobs=jobs))
        assert snapshot.exit_code == 0, snapshot.message
        with Store(house.database) as store:
            record = store.experiment(snapshot.experiment_id)
            exact = {
                (cell.params["size"], run.repeat, metric.key): metric.value
                for cell in record.cells
                for run in cell.runs
                for metric in run.metrics
                if metric.name == "hit_ratio"
            }
            assert [cell.params_hash for cell in record.cells] == [cell.spec.params_hash for cell in _cells(house)]
        found.append(exact)
    assert len(found[0]) == 12
    assert found[0] == found[1]


def _cells(house: House) -> Any:
    cells: list[dict[str, object]] = [{"size": size} for size in (3, 10, 30, 50, 70, 90)]
    return plan_of(house, "many", *cells, repeats=2).cells


def test_each_real_worker_keeps_to_its_own_cores_and_sets_up_once(house: House) -> None:
    cells: list[dict[str, object]] = [{"size": size} for size in range(1, 9)]
    snapshot = finish(house, plan_of(house, "many", *cells, repeats=1, jobs=2))
    runs = runs_of(house, snapshot.experiment_id)
    logs = workers_of(house, runs)
    with Store(house.database) as store:
        loads = [event for run in runs for event in store.events(run.id) if event.text == "loaded trace a"]
    assert len(loads) == len(set(logs.values())) <= 2


def test_cells_without_a_common_set_up_have_a_worker_each_two_at_a_time(house: House) -> None:
    last(house.launch(plan := side_by_side(house, *["normal"] * 5, share_key=None, pause_s=0.1)))
    runs = runs_of(house, plan.experiment_id)
    assert len(set(workers_of(house, runs).values())) == 5
    at_once = [
        sum(str(other.started_at) <= str(run.started_at) < str(other.ended_at) for other in runs) for run in runs
    ]
    assert max(at_once) == 2


def test_a_worker_goes_on_with_what_it_has_set_up(house: House) -> None:
    plan = side_by_side(house, *["normal"] * 8, share_keys=["a", "b"] * 4, pause_s=0.05)
    assert last(house.launch(plan)).exit_code == 0
    runs = runs_of(house, plan.experiment_id)
    logs = workers_of(house, runs)
    keys = {cell.id: cell.share_key for cell in plan.cells}
    traces: dict[str, set[str | None]] = {}
    for run in runs:
        traces.setdefault(logs[run.id], set()).add(keys[run.cell_id])
    assert all(len(found) == 1 for found in traces.values())
    assert len(traces) <= 4


def test_repeats_of_a_cell_are_never_in_one_process(house: House) -> None:
    plan = side_by_side(house, "normal", "normal", repeats=3, interleave=True)
    assert last(house.launch(plan)).exit_code == 0
    runs = runs_of(house, plan.experiment_id)
    logs = workers_of(house, runs)
    for cell in plan.cells:
        assert len({logs[run.id] for run in runs if run.cell_id == cell.id}) == 3


def test_a_crash_of_one_worker_leaves_the_others_results_and_its_lane_goes_on(house: House) -> None:
    snapshot = last(house.launch(plan := side_by_side(house, "normal", "kill", *["normal"] * 4, pause_s=0.1)))
    runs = runs_of(house, plan.experiment_id)
    assert {behaviour_of(house, run): run.status for run in runs} == {"normal": "ok", "kill": "crashed"}
    assert [run.status for run in runs].count("ok") == 5
    assert (snapshot.exit_code, snapshot.state) == (1, "failed")
    assert "1 of 6 runs did not end well" in str(snapshot.message)


def test_a_worker_killed_from_outside_does_not_touch_the_other(house: House) -> None:
    attachment = house.launch(plan := side_by_side(house, "endless", "endless", "normal"))
    until(attachment, both)
    first, second = _children(running()[0].pid)
    os.kill(first, signal.SIGKILL)
    until(attachment, lambda s: any(run.status == "ok" for cell in s.cells for run in cell.runs))
    assert psutil.pid_exists(second)
    attachment.send("stop")
    last(attachment)
    statuses = [run.status for run in runs_of(house, plan.experiment_id)]
    assert sorted(statuses) == ["crashed", "interrupted", "ok"]


def test_one_that_says_nothing_is_ended_and_the_others_are_not(house: House) -> None:
    plan = side_by_side(house, "silent", *["normal"] * 3)
    assert last(house.launch(plan)).exit_code == 1
    runs = runs_of(house, plan.experiment_id)
    assert {behaviour_of(house, run): run.status for run in runs} == {"silent": "timeout", "normal": "ok"}


def test_a_time_limit_is_each_runs_own(house: House) -> None:
    plan = side_by_side(house, "endless", *["normal"] * 4, time_limit="2s", pause_s=0.15)
    assert last(house.launch(plan)).exit_code == 1
    runs = runs_of(house, plan.experiment_id)
    assert {behaviour_of(house, run): run.status for run in runs} == {"endless": "timeout", "normal": "ok"}


def test_stop_ends_both_after_their_windows(house: House) -> None:
    attachment = house.launch(plan := side_by_side(house, *["endless"] * 4))
    until(attachment, both)
    attachment.send("stop")
    snapshot = last(attachment)
    assert (snapshot.exit_code, snapshot.state) == (130, "interrupted")
    statuses = [run.status for run in runs_of(house, plan.experiment_id)]
    assert sorted(statuses) == ["interrupted"] * 2 + ["skipped"] * 2


def test_finish_lets_both_end_well_and_begins_no_other(house: House) -> None:
    attachment = house.launch(plan := side_by_side(house, *["normal"] * 6, setup_s=0.8))
    snapshot = until(attachment, lambda s: len(s.going) == 2)
    names = [run.id[:6] for run in snapshot.going]
    said = attachment.send("finish")
    assert "are the last ones" in said
    assert all(name in said for name in names)
    snapshot = last(attachment)
    statuses = [run.status for run in runs_of(house, plan.experiment_id)]
    assert sorted(statuses) == ["ok"] * 2 + ["skipped"] * 4
    assert snapshot.exit_code == 130


def test_kill_ends_both_that_do_not_stop(house: House) -> None:
    attachment = house.launch(plan := side_by_side(house, *["ignore_stop"] * 3))
    until(attachment, both)
    pids = _children(running()[0].pid)
    attachment.send("stop")
    assert attachment.send("kill") == "the workers are being killed"
    assert last(attachment).exit_code == 130
    reasons = [(run.status, run.reason) for run in runs_of(house, plan.experiment_id)]
    assert reasons.count(("interrupted", "killed by the person")) == 2
    assert all(gone(pid) for pid in pids)


def test_sigterm_stops_both_and_a_second_one_kills_them(house: House) -> None:
    attachment = house.launch(side_by_side(house, *["ignore_stop"] * 2))
    until(attachment, both)
    (item,) = running()
    os.kill(item.pid, signal.SIGTERM)
    until(attachment, lambda s: s.state == "stopping")
    os.kill(item.pid, signal.SIGTERM)
    assert last(attachment).exit_code == 130
    assert {run.reason for run in runs_of(house, item.id)} == {"killed by the person"}


def test_a_run_is_skipped_by_its_name_and_can_be_tried_again_beside_the_other(house: House) -> None:
    attachment = house.launch(plan := side_by_side(house, "endless", "endless"))
    snapshot = until(attachment, both)
    followed = snapshot.current_run
    wanted = next(run.id for run in snapshot.going if run.id != followed)
    with pytest.raises(UsageError, match="is not going on"):
        attachment.send("skip", run="nosuchrun")
    assert wanted[:6] in attachment.send("skip", run=wanted)
    until(attachment, lambda s: s.run(wanted).status == "skipped")  # type: ignore[union-attr]
    assert "tried again" in attachment.send("retry", run=wanted)
    snapshot = until(attachment, both)
    assert snapshot.current_run == followed
    attachment.send("kill")
    last(attachment)
    assert sorted(run.status for run in runs_of(house, plan.experiment_id)) == ["interrupted", "interrupted", "skipped"]


def test_wrong_input_in_one_cell_leaves_the_others(house: House) -> None:
    snapshot = last(house.launch(plan := side_by_side(house, "usage", *["normal"] * 3)))
    runs = runs_of(house, plan.experiment_id)
    assert {behaviour_of(house, run): run.status for run in runs} == {"usage": "failed", "normal": "ok"}
    assert snapshot.exit_code == 1


def test_wrong_input_everywhere_leaves_nothing(house: House) -> None:
    snapshot = last(house.launch(side_by_side(house, *["usage"] * 4)))
    assert (snapshot.exit_code, snapshot.forgotten) == (2, True)
    with Store(house.database) as store:
        assert store.list_experiments() == ()


def test_a_killed_orchestrator_leaves_no_orphan_and_both_runs_lost(house: House) -> None:
    attachment = house.launch(side_by_side(house, "endless", "endless", "normal"))
    until(attachment, both)
    (item,) = running()
    workers = _children(item.pid)
    time.sleep(1.2)  # what is older than a second is kept
    os.kill(item.pid, signal.SIGKILL)
    assert len(workers) == 2
    assert all(gone(pid) for pid in workers)
    assert settles(lambda: running() == [])
    assert len(recover(house.database)) == 1
    assert sorted(run.status for run in runs_of(house, item.id)) == ["lost", "lost", "skipped"]


def test_a_resumed_experiment_goes_on_side_by_side(house: House) -> None:
    plan = side_by_side(house, "kill", *["normal"] * 4, pause_s=0.05)
    assert last(house.launch(plan)).exit_code == 1
    finished = [(run.cell_id, run.repeat) for run in runs_of(house, plan.experiment_id) if run.status == "ok"]
    again = resume_plan(plan, finished[:1], {})
    snapshot = last(house.launch(again))
    assert (snapshot.lanes, snapshot.exit_code) == (2, 1)
    runs = runs_of(house, plan.experiment_id)
    assert [run.order_index for run in runs] == list(range(len(runs)))
    assert all(run.contention.get("side_by_side") == 2 for run in runs if run.status == "ok")


def test_one_run_alone_is_timed_whatever_jobs_says(house: House) -> None:
    snapshot = last(house.launch(plan := side_by_side(house, "normal")))
    (run,) = runs_of(house, plan.experiment_id)
    metric = run.metric("throughput")
    assert metric is not None
    assert metric.value == pytest.approx(300 / 0.06)
    assert snapshot.lanes == 1


def test_the_picture_stays_with_the_run_that_began_first(house: House) -> None:
    attachment = house.launch(side_by_side(house, "endless", *["normal"] * 6, pause_s=0.1))
    snapshot = until(attachment, lambda s: sum(run.status == "ok" for cell in s.cells for run in cell.runs) >= 4)
    endless = snapshot.cells[0].runs[0]
    assert (snapshot.current_run, endless.status, snapshot.lanes) == (endless.id, "running", 2)
    attachment.send("stop")
    last(attachment)


def _children(pid: int) -> list[int]:
    """The workers of an orchestrator."""
    return sorted(child.pid for child in psutil.Process(pid).children() if str(WORKER) in child.cmdline())
