from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import harness
from tests.cli.conftest import Bench


def test_nothing_given_prints_help_and_exits_0(bench: Bench) -> None:
    result = bench()
    assert result.code == 0
    for word in ("run", "compare", "list", "doctor", "profiles"):
        assert word in result.out


def test_version_is_the_package_s(bench: Bench) -> None:
    assert bench("--version").out.split() == ["recbench", harness.__version__]


@pytest.mark.parametrize(
    ("arguments", "sentence", "hint"),
    [
        (["rum"], "unknown command 'rum'", "'run'"),
        (["run", "dlrn"], "unknown workload 'dlrn'", "'dlrm'"),
        (["run", "dlrm", "--bach", "3"], "unknown flag --bach", "'--batch'"),
        (["run", "dlrm", "--profile", "deno", "--dry-run"], "unknown profile 'deno'", "'demo'"),
        (["run", "dlrm", "--device", "cudda", "--dry-run"], "unknown device 'cudda'", "'cuda'"),
        (["run", "dlrm", "--set", "bacth=3", "--dry-run"], "unknown key 'bacth' in --set", "'batch'"),
        (["run", "dlrm", "--batch", "many", "--dry-run"], "batch = 'many' in --batch is not a whole number", ""),
        (["run", "dlrm", "--batch", "0", "--dry-run"], "below the smallest allowed, 1", ""),
        (["run", "dlrm", "--optimizer", "sgdd", "--dry-run"], "optimizer = 'sgdd' in --optimizer", "'sgd'"),
        (["run", "dlrm", "--set", "batch", "--dry-run"], "--set 'batch' is not KEY=VALUE", "--set batch=256"),
        (["run", "dlrm", "--data", "nowhere.txt", "--dry-run"], "nowhere.txt (--data) does not exist", ""),
        (["run", "dlrm", "--mode", "trian", "--dry-run"], "has no mode 'trian'", "'train'"),
        (["run", "dlrm", "--shuffle", "--no-shuffle", "--dry-run"], "are both given", ""),
        (["run", "dlrm", "--batch"], "--batch", ""),
        (["show", "@latest"], "results.db", ""),
        (["compare", "only-one"], "", ""),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_2(bench: Bench, arguments: list[str], sentence: str, hint: str) -> None:
    result = bench(*arguments)
    assert result.code == 2
    assert result.out == ""
    first, *rest = result.err.splitlines()
    assert first.startswith("error: ")
    assert sentence in first
    assert hint in "\n".join(rest)
    assert "Traceback" not in result.err
    assert not Path("results.db").exists()


def test_the_dashboard_needs_a_terminal(bench: Bench) -> None:
    result = bench("run", "dlrm", "--ui", "dashboard")
    assert result.code == 5
    assert "the dashboard cannot be shown: standard input is no terminal" in result.err
    assert not Path("results.db").exists()


def test_debug_adds_the_traceback(bench: Bench) -> None:
    result = bench("run", "dlrm", "--profile", "deno", "--debug")
    assert result.code == 2
    assert result.err.startswith("error: unknown profile")
    assert "Traceback" in result.err


def test_python_m_harness_is_bench() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(harness.__file__).parent.parent,
    )
    assert done.stdout.startswith("recbench ")


def test_help_of_a_group_lists_workloads_with_their_summaries(bench: Bench) -> None:
    result = bench("run", "--help")
    assert result.code == 0
    assert "dlrm" in result.out
    assert "click-through" in result.out
