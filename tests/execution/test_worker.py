"""The real worker process, spoken to over its channel as the orchestrator does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.execution.channel import ORPHANED
from harness.execution.events import Event, Garbage, LineReader
from harness.registry import Registry
from harness.spec import Source, resolve

FAKES = [Path(__file__).resolve().parents[1] / "fakes" / name for name in ("workloads.py", "devices.py")]


class Worker:
    def __init__(self, tmp_path: Path, cells: list[dict[str, Any]], plugins: list[Path] = FAKES, **start: Any) -> None:
        self.parent, child = socket.socketpair()
        self.parent.settimeout(30)
        self.log = tmp_path / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "harness.execution.worker", "--channel", str(child.fileno())],
                pass_fds=[child.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=tmp_path,
            )
        child.close()
        self.tell(
            type="start", v=1, rank=0, world_size=1, cache_dir=str(tmp_path), plugins=[str(path) for path in plugins],
            orchestrator_pid=os.getpid(), cells=cells, **start,
        )  # fmt: skip

    def tell(self, **line: Any) -> None:
        self.parent.sendall(json.dumps(line).encode() + b"\n")

    def read(self) -> list[Event | Garbage]:
        """Everything until the worker closes its end; then its exit status is known."""
        reader, found = LineReader(), []
        while True:
            try:
                chunk = self.parent.recv(1 << 20)
            except ConnectionResetError:
                break
            if not chunk:
                break
            found += list(reader.feed(chunk))
        self.parent.close()
        self.process.wait(30)
        return found


def cell(tmp_path: Path, workload: str, run: str = "r0", **values: Any) -> dict[str, Any]:
    registry = Registry(FAKES)
    spec = resolve(registry.workload(workload), [Source(origin="test", values={"device": "still", **values})])
    return {
        "cell": f"c-{run}", "run": run, "repeat": 0, "seed": 0, "output_dir": str(tmp_path / run), "resumes": None,
        "spec": spec.to_json(),
    }  # fmt: skip


def of(events: list[Any], type: str) -> list[Event]:
    return [event for event in events if event.type == type]


def test_a_run_says_hello_what_it_runs_on_its_phases_and_done(tmp_path: Path) -> None:
    worker = Worker(tmp_path, [cell(tmp_path, "steady", rows=100, epochs=1)])
    events = worker.read()
    assert worker.process.returncode == 0
    assert [event.type for event in events[:3]] == ["hello", "environment", "cell"]  # type: ignore[union-attr]
    environment = of(events, "environment")[0]["values"]
    assert environment["device_kind"] == "stand-in"
    assert environment["compile_cache"]["state"] in ("warm", "cold")
    assert environment["python"]["executable"] == sys.executable
    assert events[-1].type == "done"  # type: ignore[union-attr]
    assert of(events, "cell")[-1]["state"] == "end"


def test_cells_that_share_a_worker_share_their_set_up_and_keep_their_own_numbers(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "many", run=f"r{size}", size=size) for size in (10, 50, 100)]
    events = Worker(tmp_path, cells).read()
    assert len(of(events, "log")) == 1  # the trace was loaded once
    assert [event["value"] for event in of(events, "metric") if event["name"] == "hit_ratio"] == [0.1, 0.5, 1.0]
    assert [event["run"] for event in of(events, "cell") if event["state"] == "end"] == ["r10", "r50", "r100"]


def test_a_cell_that_fails_in_a_shared_worker_does_not_stop_the_others(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "steady", run="bad", fail_at=3), cell(tmp_path, "steady", run="good", rows=100, epochs=1)]
    worker = Worker(tmp_path, cells)
    events = worker.read()
    assert [(event["run"], event["state"]) for event in of(events, "cell")] == [
        ("bad", "begin"), ("bad", "failed"), ("good", "begin"), ("good", "end"),
    ]  # fmt: skip
    error = of(events, "error")[0]
    assert (error["message"], error["hint"], error["kind"]) == ("failed at step 3 as asked", "do not ask", "failed")
    assert worker.process.returncode == 1
    assert "Traceback" in worker.log.read_text()


@pytest.mark.parametrize(
    "values, kind, exit_code", [({"usage_error": True}, "usage", 2), ({"init_from": "/nowhere"}, None, 0)]
)
def test_errors_carry_their_kind_and_exit_code(
    tmp_path: Path, values: dict[str, Any], kind: str | None, exit_code: int
) -> None:
    worker = Worker(tmp_path, [cell(tmp_path, "steady", rows=10, epochs=1, **values)])
    events = worker.read()
    assert [event["kind"] for event in of(events, "error")] == ([kind] if kind else [])
    assert worker.process.returncode == exit_code


def test_what_libraries_print_never_reaches_the_channel(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "import os\nfrom harness.api import *\n"
        "from dataclasses import dataclass\n"
        "print('at import')\n"
        "@dataclass(frozen=True, kw_only=True)\nclass C: pass\n"
        "class W(BaseWorkload):\n"
        "    def setup(self, context): print('hello'); os.write(1, b'raw\\n')\n"
        "    def step(self): return Step(1, done=True)\n"
        "WORKLOADS = [Description(\n"
        "    name='noisy', version=1, summary='', config=C, workload=W, modes={'go': Mode('pass')})]\n"
    )
    spec = resolve(Registry([noisy]).workload("noisy"), [Source(origin="test", values={"device": "still"})])
    work = cell(tmp_path, "steady") | {"spec": spec.to_json()}
    worker = Worker(tmp_path, [work], plugins=[noisy, FAKES[1]])
    events = worker.read()
    assert worker.process.returncode == 0
    assert not [event for event in events if isinstance(event, Garbage)]
    assert all(text in worker.log.read_text() for text in ("at import", "hello", "raw"))


def test_a_worker_does_not_import_modules_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    worker = Worker(tmp_path, [cell(tmp_path, "steady", rows=10, epochs=1)])
    worker.read()
    assert worker.process.returncode == 0


def test_ctrl_c_in_the_terminal_does_not_reach_the_worker(tmp_path: Path) -> None:
    worker = Worker(tmp_path, [cell(tmp_path, "steady", rows=100, epochs=5, step_s=0.01)])
    while worker.parent.recv(1 << 16, socket.MSG_PEEK).count(b"\n") < 3:
        pass
    worker.process.send_signal(signal.SIGINT)
    worker.read()
    assert worker.process.returncode == 0


def test_a_worker_whose_parent_closes_the_channel_ends_at_once(tmp_path: Path) -> None:
    worker = Worker(tmp_path, [cell(tmp_path, "steady", rows=10**9, seconds=60, step_s=0.01)])
    worker.parent.recv(16)
    worker.parent.close()
    assert worker.process.wait(10) == ORPHANED


def test_ceilings_are_a_job_of_their_own(tmp_path: Path) -> None:
    worker = Worker(tmp_path, [], job="ceilings", device="still", threads=1)
    events = worker.read()
    assert [(event["name"], event["value"]) for event in of(events, "metric")] == [
        ("matrix_flops{precision=fp32}", 1e9)
    ]
