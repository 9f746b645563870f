"""Every folder is the test's own, and the terminal's own settings are out of the way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard.stage import make_large
from tests.example_database import make_example


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("NO_COLOR", "TEXTUAL_THEME", "BENCH_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("RECBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECBENCH_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setenv("RECBENCH_CONFIG", str(tmp_path / "config" / "config.toml"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dashboard") / "example.db"
    make_example(path, seed=7, running=True)
    return path


@pytest.fixture
def own(example: Path, tmp_path: Path) -> Path:
    """A copy of the example that may be changed."""
    path = tmp_path / "own.db"
    with sqlite3.connect(example) as source, sqlite3.connect(path) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred thousand runs."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    make_large(path, 100_000)
    return path


@pytest.fixture(autouse=True)
def this_year(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dates of the examples are of this year, whenever the tests run."""
    monkeypatch.setattr("harness.dashboard.words.this_year", lambda: 2026)
