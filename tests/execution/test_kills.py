"""Kills at moments nobody chose: what is older than a second is kept, no orphan stays, the next start explains."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from harness import paths
from harness.execution.launch import attach, running
from harness.execution.recover import recover
from harness.store.queries import Store
from harness.store.records import RunRecord
from tests.execution.conftest import PLUGIN, WORKER, House, gone, last, until

_LAUNCHER = """
import sys, time
from pathlib import Path
from tests.execution.conftest import House
attachment = House(Path(sys.argv[1])).launch(House(Path(sys.argv[1])).plan("endless"))
print(attachment.experiment_id, flush=True)
time.sleep(600)
"""


def worker_pids(house: House, experiment_id: str) -> list[int]:
    with Store(house.database) as store:
        runs = [run for cell in store.experiment(experiment_id).cells for run in cell.runs]
        return [process.pid or 0 for run in runs for process in store.processes(run.id)]


def first_run(house: House, experiment_id: str) -> RunRecord:
    with Store(house.database) as store:
        return store.experiment(experiment_id).cells[0].runs[0]


def windows_kept(house: House, run_id: str) -> int:
    with Store(house.database) as store:
        return sum(len(series.x) for series in store.series(run_id, "throughput"))


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_worker_leaves_its_windows_and_the_next_repeat_runs(house: House, seed: int) -> None:
    attachment = house.launch(house.plan("endless", repeats=2, only_repeat=0))
    snapshot = until(attachment, lambda s: s.cells[0].runs[0].status == "running")
    time.sleep(random.Random(seed).uniform(0.0, 1.5))
    (pid,) = _children(running()[0].pid)
    seen = attachment.next_snapshot(0.0) or snapshot
    os.kill(pid, signal.SIGKILL)
    assert last(attachment).exit_code == 1
    run = first_run(house, attachment.experiment_id)
    assert run.status == "crashed"
    assert "killed by SIGKILL" in str(run.reason)
    assert windows_kept(house, run.id) >= len(seen.cells[0].runs[0].windows)
    with Store(house.database) as store:
        assert store.experiment(attachment.experiment_id).cells[0].runs[1].status == "ok"


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_orchestrator_leaves_no_orphan_and_is_explained(house: House, seed: int) -> None:
    attachment = house.launch(house.plan("deaf" if seed == 0 else "endless", repeats=2))
    until(attachment, lambda s: len(s.cells[0].runs[0].windows) >= 2)
    time.sleep(random.Random(seed).uniform(0.0, 1.0))
    (item,) = running()
    workers = _children(item.pid)
    a_second_ago = attachment.snapshot
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        attachment.next_snapshot(0.1)
    os.kill(item.pid, signal.SIGKILL)
    assert workers
    assert gone(item.pid)
    assert all(gone(pid) for pid in workers)
    with pytest.raises(Exception, match=r"is gone"):
        last(attachment)
    assert running() == []
    sentences = recover(house.database)
    assert sentences == [f"experiment {item.id[:6]} was lost: its orchestrator was killed or the machine went down"]
    assert recover(house.database) == []
    run = first_run(house, item.id)
    assert run.status == "lost"
    assert a_second_ago is not None
    assert windows_kept(house, run.id) >= len(a_second_ago.cells[0].runs[0].windows)
    with Store(house.database) as store:
        record = store.experiment(item.id)
    assert record.status == "lost"
    assert record.cells[0].runs[1].status == "skipped"
    assert not list(paths.runtime_dir().glob(f"{item.id}*.sock"))


def test_the_next_start_explains_and_gets_the_machine(house: House) -> None:
    attachment = house.launch(house.plan("endless"))
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    os.kill(running()[0].pid, signal.SIGKILL)
    snapshot = house.finish()
    assert snapshot.exit_code == 0
    assert any(f"experiment {attachment.experiment_id[:6]} was lost" in line.text for line in snapshot.lines)


def test_the_next_start_ends_what_a_dead_worker_had_started(house: House) -> None:
    attachment = house.launch(house.plan("deaf"))
    snapshot = until(attachment, lambda s: any(line.text.startswith("child ") for line in s.lines))
    child = next(int(line.text.split()[1]) for line in snapshot.lines if line.text.startswith("child "))
    (item,) = running()
    (worker,) = _children(item.pid)
    os.kill(item.pid, signal.SIGKILL)
    assert gone(worker)
    assert house.finish().exit_code == 0
    assert gone(child)


def test_an_experiment_of_another_host_is_not_judged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = house.launch(house.plan("endless"))
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    (item,) = running()
    os.kill(item.pid, signal.SIGKILL)
    assert gone(item.pid)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert recover(house.database) == []


def test_a_living_experiment_is_not_declared_lost_from_another_runtime_folder(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment = house.launch(house.plan("endless"))
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("RECBENCH_RUNTIME", str(house.folder / "cache"))
        assert recover(house.database) == []
    attachment.send("kill")
    assert last(attachment).exit_code == 130


def test_a_closed_terminal_leaves_the_experiment_running(house: House) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, str(house.folder)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=PLUGIN.parents[2],
    )
    assert launcher.stdout is not None
    with launcher, launcher.stdout:
        experiment_id = launcher.stdout.readline().decode().strip()
        os.killpg(launcher.pid, signal.SIGHUP)
        assert launcher.wait(10) == -signal.SIGHUP
    (item,) = running()
    assert item.id == experiment_id
    os.kill(item.pid, signal.SIGHUP)
    with attach(experiment_id) as attachment:
        seen = until(attachment, lambda s: bool(s.cells[0].runs[0].windows)).cells[0].runs[0].windows[-1].number
        until(attachment, lambda s: s.cells[0].runs[0].windows[-1].number > seen)
        attachment.send("stop")
        assert last(attachment).exit_code == 130


def test_sigterm_stops_after_the_window_and_a_second_one_kills(house: House) -> None:
    attachment = house.launch(house.plan("ignore_stop"))
    until(attachment, lambda s: bool(s.cells[0].runs[0].windows))
    (item,) = running()
    os.kill(item.pid, signal.SIGTERM)
    until(attachment, lambda s: s.state == "stopping")
    os.kill(item.pid, signal.SIGTERM)
    assert last(attachment).exit_code == 130
    assert first_run(house, item.id).reason == "killed by the person"
    assert gone(item.pid)


def _children(pid: int) -> list[int]:
    """The workers of an orchestrator."""
    return [child.pid for child in psutil.Process(pid).children() if str(WORKER) in child.cmdline()]


def test_ctrl_c_before_the_start_leaves_nothing(house: House) -> None:
    code = f"""
from pathlib import Path
from harness.errors import Interrupted
from harness.execution.launch import launch
from tests.execution.conftest import House
house = House(Path({str(house.folder)!r}))
plan = house.plan(device="fake:7")
print("ready", flush=True)
try:
    launch(plan)
except Interrupted as problem:
    print(problem.message, problem.exit_code)
"""
    launcher = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=PLUGIN.parents[2], text=True)
    assert launcher.stdout is not None
    with launcher, launcher.stdout:
        assert launcher.stdout.readline() == "ready\n"
        time.sleep(0.6)
        launcher.send_signal(signal.SIGINT)
        assert launcher.stdout.readline() == "interrupted before the experiment had started 130\n"
    assert not house.database.exists()
    assert not list(paths.runtime_dir().iterdir())
