"""A package that is not installed: one sentence, how to get it, exit 5."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UnavailableError, UsageError
from harness.registry import load
from tests.cli.conftest import Bench


@pytest.fixture
def without_numba(own_folders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every child a numba that says what a missing one does, found before the real one."""
    folder = tmp_path / "blocked" / "numba"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('raise ModuleNotFoundError("No module named \'numba\'", name="numba")\n')
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder.parent), os.environ.get("PYTHONPATH", "")]))


def test_cache_commands_and_runs_say_which_extra_brings_numba(bench: Bench, without_numba: None) -> None:
    Path("a.ids").write_text("1\n2\n")
    for arguments, what in (
        (("cache", "inspect", "a.ids"), "bench cache inspect"),
        (("run", "cachesim", "--trace", "a.ids", "--ui", "plain"), "workload 'cachesim'"),
    ):
        told = bench(*arguments)
        assert told.code == 5, told.err
        assert f"{what} needs the package numba, which is not installed" in told.err
        assert "pip install 'recbench[cache]'" in told.err


def test_a_broken_module_of_our_own_is_no_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_plugin.py").write_text("import broken_plugin.parts\n")
    (tmp_path / "poor_plugin.py").write_text("import a_package_that_is_nowhere.inside\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="does not import"):
        load("broken_plugin:X", "workload 'x'", install="pip install x")
    with pytest.raises(UsageError, match="does not import"):
        load("poor_plugin:X", "workload 'x'")
    with pytest.raises(UnavailableError, match="needs the package a_package_that_is_nowhere") as error:
        load("poor_plugin:X", "workload 'x'", install="pip install x")
    assert error.value.hint == "pip install x"
