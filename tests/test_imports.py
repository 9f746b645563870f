"""What is really loaded by a command, and the import contracts of pyproject.toml. See docs/architecture.md."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "numpy", "numba", "textual", "sqlite_utils", "pandas", "scipy", "sklearn", "matplotlib"}
_LOADED = """
import json, sys
from harness.cli.app import main
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as ended:
    code = ended.code or 0
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print("\\nLOADED " + json.dumps([int(code), loaded]))
"""


def _loaded(arguments: list[str], folder: Path) -> tuple[int, set[str]]:
    """The exit code of a command in a process of its own, and every top-level package it had imported at its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "COV_"))}
    environment.update(PYTHONPATH=str(TOP), RECBENCH_CACHE=str(folder), RECBENCH_CONFIG=str(folder / "none.toml"))
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=120,
    )
    line = done.stdout.rpartition("LOADED ")[2]
    assert line, done.stderr
    code, names = json.loads(line)
    return code, set(names)


@pytest.mark.parametrize(
    ("arguments", "code", "forbidden"),
    [
        (["--help"], 0, HEAVY),
        (["run", "dlrm", "--help"], 0, HEAVY),
        (["run", "dlrm", "--profile", "demo", "--dry-run"], 0, HEAVY),
        (["run", "din", "--help"], 0, HEAVY),
        (["run", "din", "--use-synthetic-data=True", "--dry-run"], 0, HEAVY),
        (["run", "cachesim", "--help"], 0, HEAVY),
        (["run", "cachesim", "--policy", "all", "--dry-run"], 0, HEAVY),
        (["ab", "--help"], 0, HEAVY),
        (["profiles", "check"], 0, HEAVY),
        (["list", "--references"], 0, HEAVY),
        (["compare", "EXAMPLE::batch-size"], 0, HEAVY),
        (["compare", "nothing", "there"], 2, HEAVY),
        (["show", "EXAMPLE::baseline"], 0, HEAVY),
        (["show", "EXAMPLE::policies", "--plot", "--html", "policies.html"], 0, HEAVY),
        (["show", "EXAMPLE::policies", "--png", "policies.png"], 0, HEAVY - {"matplotlib", "numpy"}),
        (["list", "--db", "EXAMPLE"], 0, HEAVY),
    ],
)
def test_commands_load_nothing_heavy(
    arguments: list[str], code: int, forbidden: set[str], tmp_path: Path, example_db: Path
) -> None:
    arguments = [word.replace("EXAMPLE", str(example_db)) for word in arguments]
    found, loaded = _loaded(arguments, tmp_path)
    assert found == code
    assert not loaded & forbidden


@pytest.fixture(scope="module")
def example_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.example_database import make_example

    path = tmp_path_factory.mktemp("imports") / "example.db"
    make_example(path, seed=7)
    return path


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        capture_output=True,
        text=True,
        cwd=TOP,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_happens_at_import_time(tmp_path: Path) -> None:
    """No logging set-up, no environment writes, no file, no thread, by importing the torch-free part."""
    script = """
import importlib, logging, os, pkgutil, sys, threading
before = dict(os.environ)
import harness
for package in ("harness.analysis", "harness.cli", "harness.report", "harness.store", "harness.telemetry",
                "harness.execution", "harness.devices"):
    module = importlib.import_module(package)
    for found in pkgutil.iter_modules(module.__path__, package + "."):
        workers = ("harness.devices.ceilings", "harness.devices.host_executor", "harness.devices.ipu_executor")
        if found.name not in workers:  # the worker's side
            importlib.import_module(found.name)
import workloads.din.config
import workloads.dlrm.config
assert dict(os.environ) == before, "the environment was written"
assert threading.active_count() == 1, "a thread was started"
assert not logging.root.handlers, "logging was set up"
assert "torch" not in sys.modules, "torch was imported"
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["harness", "workloads"])
def test_vendor_packages_are_imported_inside_functions_only(folder: str) -> None:
    vendors = {"torch_npu", "poptorch", "pynvml"}
    for path in sorted((TOP / folder).rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not vendors & {name.partition(".")[0] for name in names}, path


def test_only_faces_print() -> None:
    allowed = {"cli", "report", "dashboard"}
    programs = {"execution/orchestrator.py", "execution/worker.py"}  # what a process says when nobody is attached
    for path in sorted((TOP / "harness").rglob("*.py")):
        inside = path.relative_to(TOP / "harness")
        if inside.parts[0] in allowed or inside.as_posix() in programs:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path
