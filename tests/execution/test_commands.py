from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.execution.commands import cell_starts, interpreter, own_environment, worker_environment
from harness.execution.orphans import MARK
from harness.execution.plan import make_plan
from harness.registry import Registry
from harness.spec import RunSettings, Source, resolve
from tests.execution.conftest import PLUGIN
from tests.execution.plugin_fake import FakeDevice


class Poplar(FakeDevice):
    def interpreter(self) -> str | None:
        return "/opt/poplar/python3"

    def environment(self) -> dict[str, str]:
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "1"}


def starts(**values: Any) -> Any:
    description = Registry([PLUGIN]).workload("fake")
    spec = resolve(description, [Source(origin="t", values={"repeats": 2, "seed": 40, **values})], plugins=[PLUGIN])
    plan = make_plan([spec], command="run", database=Path("results.db"))
    return plan, cell_starts(plan, plan.order[1:2], FakeDevice())


def test_the_first_line_says_all_a_worker_needs() -> None:
    plan, (only,) = starts()
    cell = only.start["cells"][0]
    assert only.start["type"] == "start"
    assert (only.start["rank"], only.start["world_size"]) == (0, 1)
    assert only.start["plugins"] == [str(PLUGIN)]
    assert only.start["orchestrator_pid"] == os.getpid()
    assert (cell["run"], cell["cell"], cell["repeat"], cell["seed"]) == (plan.order[1].id, plan.cells[0].id, 1, 41)
    assert cell["output_dir"].endswith(f"recbench-output/{plan.order[1].id}")
    assert only.argv == (sys.executable, "-P", "-m", "harness.execution.worker")


def test_ranks_meet_at_one_port_and_carry_the_experiments_mark() -> None:
    plan, ranks = starts(ranks=3)
    assert [start.environment["RANK"] for start in ranks] == ["0", "1", "2"]
    assert {start.environment["WORLD_SIZE"] for start in ranks} == {"3"}
    assert len({start.environment["MASTER_PORT"] for start in ranks}) == 1
    assert {start.environment[MARK] for start in ranks} == {plan.experiment_id}


def test_one_rank_needs_no_rendezvous_and_threads_are_set_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    plain = worker_environment(RunSettings(), FakeDevice())
    assert "MASTER_PORT" not in plain
    assert "OMP_NUM_THREADS" not in plain
    assert worker_environment(RunSettings(threads=2), FakeDevice())["MKL_NUM_THREADS"] == "2"


def test_what_numba_compiles_lies_in_our_cache_unless_the_person_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert own_environment()["NUMBA_CACHE_DIR"] == str(tmp_path / "numba")
    assert worker_environment(RunSettings(), FakeDevice())["NUMBA_CACHE_DIR"] == str(tmp_path / "numba")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    assert own_environment()["NUMBA_CACHE_DIR"] == "/mine"


def test_vendors_plug_ins_stay_out_of_torch_unless_the_device_wants_them() -> None:
    assert worker_environment(RunSettings(), FakeDevice())["TORCH_DEVICE_BACKEND_AUTOLOAD"] == "0"
    assert worker_environment(RunSettings(), Poplar())["TORCH_DEVICE_BACKEND_AUTOLOAD"] == "1"


def test_the_person_then_the_device_choose_the_python(tmp_path: Path) -> None:
    assert interpreter(RunSettings(), FakeDevice()) == sys.executable
    assert interpreter(RunSettings(), Poplar()) == "/opt/poplar/python3"
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert interpreter(RunSettings(python=link), Poplar()) == str(link)
    with pytest.raises(UsageError, match="not a program"):
        interpreter(RunSettings(python=tmp_path), Poplar())
