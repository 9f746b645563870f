from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def test_the_dashboard_loads_no_torch_and_nothing_of_its_kind(tmp_path: Path) -> None:
    script = """
import sys
from harness.dashboard.app import SCREENS
import harness.dashboard.show, importlib
for entry in SCREENS:
    importlib.import_module(entry.target.partition(":")[0])
heavy = {"torch", "numpy", "numba", "pandas", "scipy", "sqlite_utils", "textual_serve"} & set(sys.modules)
assert not heavy, heavy
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


def test_only_the_dashboard_imports_textual() -> None:
    for folder in ("harness", "workloads"):
        for path in sorted((TOP / folder).rglob("*.py")):
            if "dashboard" in path.relative_to(TOP).parts[1:-1]:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.partition(".")[0] == "textual" for name in names), path


def test_widgets_know_no_sql_no_sockets_and_no_processes() -> None:
    for folder in ("widgets", "views"):
        for path in sorted((TOP / "harness" / "dashboard" / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            for word in ("harness.store.queries", "harness.store.edits", "sqlite3", "socket", "subprocess"):
                assert f"import {word}" not in text, path
                assert f"from {word}" not in text, path
