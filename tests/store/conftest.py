"""One example database for all tests that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.store.queries import Store
from tests.example_database import make_example


@pytest.fixture(scope="session")
def example_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "example.db"
    make_example(path, runs=300, running=True)
    return path


@pytest.fixture
def example(example_path: Path) -> Iterator[Store]:
    with Store(example_path) as store:
        yield store
