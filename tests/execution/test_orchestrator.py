"""Whole experiments with the fake worker: what is recorded, how misbehaving workers end, what the person can do."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import paths
from harness.errors import ExitCode, StoreError, UnavailableError, UsageError
from harness.execution.launch import attach, running
from harness.execution.plan import resume_plan
from harness.execution.snapshot import Snapshot
from harness.store.queries import Store
from harness.store.records import CellRecord, ExperimentRecord, RunRecord
from tests.execution.conftest import House, gone, last, make_house, until

BEHAVIOURS = (
    "normal", "kill", "exit", "raise", "garbage", "flood", "endless_line", "lost", "partial", "segfault_after",
    "usage", "silent", "deaf",
)  # fmt: skip


class Zoo:
    """One sweep over every way in which a worker can behave."""

    def __init__(self, house: House) -> None:
        self.house = house
        plan = house.plan(*BEHAVIOURS, command="sweep")
        self.snapshot = last(house.launch(plan))
        with Store(house.database) as store:
            self.record = store.experiment(plan.experiment_id)

    def cell(self, behaviour: str) -> CellRecord:
        return next(cell for cell in self.record.cells if cell.params["behaviour"] == behaviour)

    def run(self, behaviour: str) -> RunRecord:
        return self.cell(behaviour).runs[0]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with make_house(tmp_path_factory.mktemp("zoo")) as house:
        yield Zoo(house)


def record_of(house: House, snapshot: Snapshot) -> ExperimentRecord:
    with Store(house.database) as store:
        return store.experiment(snapshot.experiment_id)


def runs_of(house: House, snapshot: Snapshot) -> list[RunRecord]:
    runs = [run for cell in record_of(house, snapshot).cells for run in cell.runs]
    return sorted(runs, key=lambda run: run.order_index)


def value(run: RunRecord, key: str) -> float | None:
    metric = run.metric(key)
    assert metric is not None, f"{key} is not there"
    return metric.value


def test_throughput_is_all_samples_over_all_measured_seconds(zoo: Zoo) -> None:
    run = zoo.run("normal")
    assert run.status == "ok"
    assert value(run, "throughput") == pytest.approx(300 / 0.06)
    metric = run.metric("throughput")
    assert metric is not None
    assert (metric.role, metric.unit, metric.better) == ("primary", "samples/s", "higher")


def test_phases_are_timed_apart(zoo: Zoo) -> None:
    run = zoo.run("normal")
    found = {name: value(run, name) for name in ("setup_s", "warmup_s", "measure_s", "evaluate_s")}
    assert found == {"setup_s": 0.0, "warmup_s": 0.5, "measure_s": pytest.approx(0.06), "evaluate_s": 0.25}


def test_what_the_worker_tells_is_recorded(zoo: Zoo) -> None:
    cell, run = zoo.cell("normal"), zoo.run("normal")
    assert cell.data["fingerprint"] == "f00d"
    assert cell.engine["engine_resolved"] == "fake"
    assert cell.device_kind == "emulated"
    assert value(run, "auc") == 0.75
    assert run.environment["device"] == {"name": "fake"}
    assert run.environment["harness"]["version"]
    with Store(zoo.house.database) as store:
        series = {item.name: item for item in store.series(run.id)}
        artifact = store.artifacts(run.id)[0]
        assert len(store.checkpoints(run.id)) == 1
        process = store.processes(run.id)[0]
    assert series["curve"].y == (0.5, None)
    assert series["throughput"].y == pytest.approx((5000.0, 5000.0, 5000.0))
    assert series["loss"].x == (100.0, 200.0, 300.0)
    assert artifact.sha256 == hashlib.sha256(b"p\n").hexdigest()
    assert (process.exit_code, process.signal) == (0, None)
    assert run.log_path is not None
    assert Path(run.log_path).read_text() == "printed by a library\n"


def test_the_share_of_the_machines_limit_names_what_binds(zoo: Zoo) -> None:
    # 1e6 bytes a step at 1e10 bytes/s take 0.1 ms; a step took 0.06 s / 30.
    assert value(zoo.run("normal"), "roofline_share") == pytest.approx(1e-4 / 2e-3)
    assert zoo.cell("normal").engine["roofline_binding"] == "stream_bytes_per_s"


@pytest.mark.parametrize(
    ("behaviour", "status", "reason"),
    [
        ("kill", "crashed", "the worker was killed by SIGKILL"),
        ("exit", "crashed", "the worker ended with exit code 3 without a word"),
        ("raise", "failed", "ValueError: no"),
        ("flood", "failed", "more than 1000 lines that are no events"),
        ("endless_line", "failed", "64 MiB without an end of line"),
        ("lost", "failed", "2 events of the worker's channel were lost"),
        ("partial", "crashed", "the worker ended with exit code 0 without a word"),
        ("usage", "failed", "data/x.tsv:3: column 2 holds 'q'"),
        ("silent", "timeout", "the worker said nothing for 4s in its measure phase"),
        ("deaf", "timeout", "the worker said nothing for 4s in its measure phase"),
    ],
)
def test_a_run_that_ends_badly_says_why(zoo: Zoo, behaviour: str, status: str, reason: str) -> None:
    run = zoo.run(behaviour)
    assert run.status == status
    assert reason in str(run.reason)
    assert run.metric("throughput") is None


@pytest.mark.parametrize("behaviour", ["kill", "exit", "raise", "lost", "silent", "deaf", "flood"])
def test_a_run_that_ends_badly_keeps_its_windows(zoo: Zoo, behaviour: str) -> None:
    with Store(zoo.house.database) as store:
        assert len(store.series(zoo.run(behaviour).id, "throughput")[0].x) == 2


def test_garbage_is_told_and_survived(zoo: Zoo) -> None:
    run = zoo.run("garbage")
    assert run.status == "ok"
    with Store(zoo.house.database) as store:
        told = [event.text for event in store.events(run.id) if event.kind == "garbage"]
    assert len(told) == 3
    assert "library noise" in told[0]


def test_a_crash_after_the_work_is_done_is_a_warning(zoo: Zoo) -> None:
    assert zoo.run("segfault_after").status == "ok"
    assert any("SIGSEGV after its work was done" in line.text for line in zoo.snapshot.lines)


def test_a_kill_reaches_what_a_deaf_worker_started(zoo: Zoo) -> None:
    with Store(zoo.house.database) as store:
        told = next(e.text for e in store.events(zoo.run("deaf").id) if e.text.startswith("child "))
        process = store.processes(zoo.run("deaf").id)[0]
    assert gone(int(told.split()[1]))
    assert process.pid is not None
    assert gone(process.pid)
    assert process.signal == 9


def test_one_run_failing_does_not_stop_the_others(zoo: Zoo) -> None:
    assert {cell.params["behaviour"] for cell in zoo.record.cells if cell.runs[0].status == "ok"} == {
        "normal", "garbage", "segfault_after",
    }  # fmt: skip
    assert zoo.snapshot.exit_code == ExitCode.RUN_FAILED
    assert "10 of 13 runs did not end well" in str(zoo.snapshot.message)
    assert zoo.record.status == "failed"


def test_the_last_snapshot_says_what_the_database_says(zoo: Zoo) -> None:
    shown = {run.id: (run.status, run.reason) for cell in zoo.snapshot.cells for run in cell.runs}
    assert shown == {run.id: (run.status, run.reason) for cell in zoo.record.cells for run in cell.runs}


def test_nothing_is_left_in_the_runtime_folder(zoo: Zoo) -> None:
    deadline = time.monotonic() + 5
    folder = zoo.house.folder / "runtime"
    while (names := {path.name for path in folder.iterdir()} - {"recbench-measurement.lock"}) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert not names


def test_ranks_count_all_their_samples_and_the_longest_time(house: House) -> None:
    snapshot = house.finish(ranks=2)
    (run,) = runs_of(house, snapshot)
    assert value(run, "throughput") == pytest.approx((300 + 600) / (3 * 0.02 * 2))
    assert value(run, "memory_peak_bytes{rank=1}") == 1e6 + 1
    with Store(house.database) as store:
        assert len({process.pid for process in store.processes(run.id)}) == 2
        assert len(store.series(run.id, "throughput")) == 2
    shown = snapshot.cells[0].runs[0]
    assert [window.samples for window in shown.windows] == [300, 300, 300]


def test_a_rank_that_dies_takes_the_others_with_it(house: House) -> None:
    snapshot = house.finish("kill_rank_1", ranks=2, windows=100_000)
    (run,) = runs_of(house, snapshot)
    assert run.status == "crashed"
    assert "rank 1 of the worker was killed by SIGKILL" in str(run.reason)
    with Store(house.database) as store:
        assert all(gone(process.pid or 0) for process in store.processes(run.id))


def test_cells_that_share_a_set_up_share_a_worker_and_repeats_do_not(house: House) -> None:
    plan = house.plan("normal", "kill", "normal", mode="scan", share_key="trace", interleave=True, repeats=2,
                      only_repeat=1)  # fmt: skip
    snapshot = last(house.launch(plan))
    runs = runs_of(house, snapshot)
    with Store(house.database) as store:
        workers = [process.pid for run in runs for process in store.processes(run.id)]
    killed = next(run for run in runs if run.status == "crashed")
    assert [run.status for run in runs].count("ok") == 5
    assert killed.repeat == 1
    after = [run for run in runs if run.order_index > killed.order_index]
    assert len(workers) == len(set(workers)) == 2 + bool(after)
    assert len({run.log_path for run in runs if run.repeat == 0}) == 1
    metric = runs[0].metric("throughput")
    assert metric is not None
    assert metric.unit == "requests/s"


def test_stop_finishes_the_window_and_keeps_its_throughput(house: House) -> None:
    attachment = house.launch(house.plan("endless", repeats=3))
    until(attachment, lambda s: s.current_run is not None and bool(s.cells[0].runs[0].windows))
    attachment.send("stop")
    snapshot = last(attachment)
    assert snapshot.exit_code == ExitCode.INTERRUPTED
    assert snapshot.state == "interrupted"
    first, *others = runs_of(house, snapshot)
    assert first.status == "interrupted"
    assert value(first, "throughput")
    assert first.metric("auc") is None
    assert [run.status for run in others] == ["skipped", "skipped"]


def test_finish_lets_the_run_end_well_and_begins_no_other(house: House) -> None:
    attachment = house.launch(house.plan(repeats=3, setup_s=0.5))
    until(attachment, lambda s: s.current_run is not None)
    assert "is the last one" in attachment.send("finish")
    snapshot = last(attachment)
    assert (snapshot.state, snapshot.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert [run.status for run in runs_of(house, snapshot)] == ["ok", "skipped", "skipped"]


def test_finish_during_the_last_run_changes_nothing(house: House) -> None:
    attachment = house.launch(house.plan(repeats=1, setup_s=0.5))
    until(attachment, lambda s: s.current_run is not None)
    attachment.send("finish")
    snapshot = last(attachment)
    assert (snapshot.state, snapshot.exit_code) == ("done", ExitCode.OK)


def test_kill_ends_a_worker_that_does_not_stop(house: House) -> None:
    attachment = house.launch(house.plan("ignore_stop"))
    until(attachment, lambda s: s.current_run is not None and bool(s.cells[0].runs[0].windows))
    attachment.send("stop")
    attachment.send("kill")
    snapshot = last(attachment)
    (run,) = runs_of(house, snapshot)
    assert (snapshot.exit_code, run.status, run.reason) == (130, "interrupted", "killed by the person")
    assert run.metric("throughput") is None


def test_a_skipped_run_leaves_the_others_alone_and_can_be_retried(house: House) -> None:
    plan = house.plan("endless", "normal", only_repeat=0, setup_s=0.5)
    attachment = house.launch(plan)
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    with pytest.raises(UsageError, match="no run has failed"):
        attachment.send("retry")
    attachment.send("skip")
    until(attachment, lambda s: s.cells[0].runs[0].status == "skipped")
    attachment.send("retry", run=plan.order[0].id)
    until(attachment, lambda s: len(s.cells[0].runs) == 2 and bool(s.cells[0].runs[1].windows))
    attachment.send("skip", scope="cell")
    snapshot = last(attachment)
    assert [run.status for run in runs_of(house, snapshot)] == ["skipped", "ok", "skipped"]
    assert snapshot.exit_code == 0
    assert snapshot.message == "1 of 2 runs done, 1 skipped"


def test_a_time_limit_ends_a_run_whatever_it_does(house: House) -> None:
    (run,) = runs_of(house, house.finish("endless", time_limit="1.5s"))
    assert run.status == "timeout"
    assert "longer than its time limit of 1.5s" in str(run.reason)


def test_wrong_input_found_by_the_worker_leaves_nothing(house: House) -> None:
    snapshot = house.finish("usage", repeats=3)
    assert snapshot.exit_code == ExitCode.USAGE
    assert snapshot.message == "data/x.tsv:3: column 2 holds 'q'"
    assert [run.status for run in snapshot.cells[0].runs] == ["failed", "skipped", "skipped"]
    with Store(house.database) as store:
        assert store.list_experiments() == ()
    assert not paths.output_dir(house.database).exists()


def test_an_unavailable_device_leaves_nothing(house: House) -> None:
    with pytest.raises(UnavailableError, match="there is no fake card 9") as caught:
        house.finish(device="fake:9")
    assert caught.value.hint == "use fake:0"
    assert caught.value.exit_code == ExitCode.UNAVAILABLE
    assert not house.database.exists()
    assert not list((house.folder / "runtime").iterdir())


@pytest.mark.parametrize(
    "content", [b"hello, this is text and no database\n" * 40, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_an_unusable_database_is_refused_with_its_own_error(house: House, content: bytes) -> None:
    house.database.write_bytes(content)
    with pytest.raises(StoreError):
        house.finish()
    assert house.database.read_bytes() == content


def test_a_foreign_database_is_refused_and_left_alone(house: House) -> None:
    connection = sqlite3.connect(house.database)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="not one of recbench"):
        house.finish()


def test_a_missing_interpreter_is_a_usage_error(house: House) -> None:
    with pytest.raises(UsageError, match="is not a program that can be started"):
        house.finish(python="/nowhere/python")


def test_a_missing_core_is_a_usage_error(house: House) -> None:
    with pytest.raises(UsageError, match="core 5000 is not there"):
        house.finish(cpus="5000")


def test_a_running_experiment_is_found_attached_to_and_described(house: House) -> None:
    first = house.launch(house.plan("endless"))
    until(first, lambda s: bool(s.cells[0].runs[0].windows))
    (found,) = running()
    assert (found.id, found.database) == (first.experiment_id, house.database)
    with attach(found.id) as second:
        snapshot = second.next_snapshot(10)
        assert snapshot is not None
        assert snapshot.cells[0].runs[0].windows
    first.send("kill")
    assert last(first).exit_code == 130
    with pytest.raises(UsageError, match="does not run on this machine"):
        attach("nosuchthing1")


def test_a_face_that_never_reads_holds_up_nothing(house: House) -> None:
    attachment = house.launch(house.plan(repeats=2, windows=300, pause_s=0.002))
    address = house.folder / "runtime" / f"{attachment.experiment_id}.sock"
    with socket.socket(socket.AF_UNIX) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(str(address))
        assert last(attachment).exit_code == 0


def test_a_command_that_is_none_is_answered(house: House) -> None:
    attachment = house.launch(house.plan("endless"))
    address = house.folder / "runtime" / f"{attachment.experiment_id}.sock"
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(address))
        raw.sendall(b"nonsense\n" + json.dumps({"command": "dance", "id": 7}).encode() + b"\n")
        answers = []
        with raw.makefile("rb") as lines:
            while len(answers) < 2:
                message = json.loads(lines.readline())
                if message["type"] == "answer":
                    answers.append(message)
    assert not answers[0]["ok"]
    assert "unknown command 'dance'" in answers[1]["message"]
    attachment.send("kill")
    last(attachment)


def test_two_experiments_at_once_measure_one_after_the_other_and_lose_nothing(house: House) -> None:
    first = house.launch(house.plan("endless"))
    until(first, lambda s: bool(s.cells[0].runs[0].windows))
    second = house.launch(house.plan())
    waiting = until(second, lambda s: s.state == "waiting")
    assert first.experiment_id[:6] in str(waiting.waiting_for)
    first.send("stop")
    assert last(first).exit_code == 130
    assert last(second).exit_code == 0
    with Store(house.database) as store:
        runs = [store.experiment(item.experiment_id).cells[0].runs[0] for item in (first, second)]
        assert all(run.started_at for run in runs)
        assert str(runs[0].ended_at) <= str(runs[1].started_at)


def test_an_experiment_that_waits_can_be_stopped(house: House) -> None:
    first = house.launch(house.plan("endless"))
    until(first, lambda s: bool(s.cells[0].runs[0].windows))
    second = house.launch(house.plan())
    until(second, lambda s: s.state == "waiting")
    second.send("stop")
    snapshot = last(second)
    assert (snapshot.exit_code, snapshot.cells[0].runs[0].status) == (130, "skipped")
    first.send("kill")
    assert last(first).over


def test_sharing_the_machine_gives_no_throughput(house: House) -> None:
    first = house.launch(house.plan("endless"))
    until(first, lambda s: bool(s.cells[0].runs[0].windows))
    snapshot = last(house.launch(house.plan(share=True)))
    first.send("kill")
    assert last(first).over
    (run,) = runs_of(house, snapshot)
    assert run.status == "ok"
    assert value(run, "throughput") is None
    assert record_of(house, snapshot).shared


def test_a_resumed_experiment_runs_what_is_missing_in_place(house: House) -> None:
    plan = house.plan("kill", repeats=3, only_repeat=1)
    assert last(house.launch(plan)).exit_code == 1
    finished = [(plan.cells[0].id, 0), (plan.cells[0].id, 2)]
    again = resume_plan(plan, finished, {})
    assert last(house.launch(again)).exit_code == 1
    with Store(house.database) as store:
        assert len(store.list_experiments()) == 1
        runs = sorted(store.experiment(plan.experiment_id).cells[0].runs, key=lambda run: run.order_index)
    assert [(run.repeat, run.order_index) for run in runs] == [(0, 0), (1, 1), (2, 2), (1, 3)]


def test_ceilings_are_measured_once_a_machine(house: House) -> None:
    house.finish()
    house.finish()
    with sqlite3.connect(f"file:{house.database}?mode=ro", uri=True) as connection:
        ((names, moments),) = connection.execute(
            "SELECT count(DISTINCT name), count(DISTINCT measured_at) FROM ceiling"
        )
    connection.close()
    assert (names, moments) == (2, 1)


def test_an_experiment_runs_in_a_folder_with_a_long_path(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = house.folder / ("deep-" * 30)
    folder.mkdir()
    monkeypatch.setenv("RECBENCH_RUNTIME", str(folder))
    attachment = house.launch(house.plan("endless"))
    with attach(attachment.experiment_id) as second:
        assert second.next_snapshot(10) is not None
    attachment.send("kill")
    assert last(attachment).over


def test_the_worker_gets_the_devices_variables_and_its_threads(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_MARK", str(house.folder / "mark"))
    attachment = house.launch(house.plan("marked", threads=3, ranks=2))
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    pids = [int(line) for line in (house.folder / "mark").read_text().split()]
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in pids]
    attachment.send("kill")
    assert last(attachment).over
    for environment in environments:
        assert {b"FAKE_DEVICE=yes", b"OMP_NUM_THREADS=3", b"TORCH_DEVICE_BACKEND_AUTOLOAD=0", b"WORLD_SIZE=2"} <= set(
            environment
        )
    assert {line for environment in environments for line in environment if line.startswith(b"RANK=")} == {
        b"RANK=0", b"RANK=1",
    }  # fmt: skip
    assert os.getpid() not in pids
