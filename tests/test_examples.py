"""The examples of the documents, run as a user runs them: by plug-in file, by entry point, and from a wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the examples run on the CPU device, which needs torch")

TOP = Path(__file__).resolve().parents[1]
EXAMPLES = TOP / "docs" / "examples"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    """`bench …` in a folder, a cache and a runtime of its own; gives the JSON that it prints."""
    environment = {
        **os.environ,
        "RECBENCH_CACHE": str(tmp_path / "cache"),
        "RECBENCH_RUNTIME": str(tmp_path / "run"),
        "RECBENCH_CONFIG": str(tmp_path / "config.toml"),
    }
    (tmp_path / "run").mkdir()

    def run(*arguments: str, **variables: str) -> Any:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "harness", *arguments],
            cwd=tmp_path, env={**environment, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout) if "--json" in arguments else answer.stdout

    yield run


def pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", *arguments],
        check=True,
    )


SHORT = ("--repeats", "1", "--steps", "20", "--warmup", "none", "--threads", "1", "--json", "--ui", "none")


def test_a_workload_in_one_file_gets_flags_phases_recording_and_comparison(bench: Any) -> None:
    gather = ("--plugin", str(EXAMPLES / "gather.py"))
    assert "--width" in bench("run", "gather", "--help", *gather)
    for width in (8, 16):
        document = bench("run", "gather", *gather, "--rows", "10k", "--width", str(width), *SHORT[2:], "--repeats", "4")
        cell = document["cells"][0]
        assert cell["params"] == {"rows": 10_000, "width": width, "batch": 4096}
        assert len(cell["runs"]) == 4
        assert cell["metrics"]["throughput"]["n"] == 4
    compared = bench("compare", "@latest~1", "@latest", "--json")
    assert compared["comparisons"][0]["question"] == "width 8 → 16"


def test_a_device_in_one_file_is_recorded_as_the_stand_in_it_is(bench: Any) -> None:
    cell = bench(
        "run", "dlrm", "--plugin", str(EXAMPLES / "throttled.py"), "--device", "throttled", "--profile", "smoke", *SHORT
    )["cells"][0]
    assert (cell["device"], cell["device_kind"]) == ("throttled", "stand-in")
    assert cell["runs"][0]["status"] == "ok"


def test_an_installed_package_brings_a_workload_and_a_device(bench: Any, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip("--target", str(site), str(EXAMPLES / "package"))
    cell = bench("run", "counting", "--device", "twin", "--numbers", "1000", *SHORT, PYTHONPATH=str(site))["cells"][0]
    assert cell["device_kind"] == "stand-in"
    assert cell["runs"][0]["metrics"]["total"]["value"] == sum(range(1000))


def test_a_wheel_carries_profiles_references_and_workloads(bench: Any, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=TOP, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    pip("--target", str(site), str(wheel))
    place = subprocess.run(
        [sys.executable, "-P", "-c", "import harness; print(harness.__file__)"],
        env={**os.environ, "PYTHONPATH": str(site)}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert place.startswith(str(site)), "the checkout was used, not the wheel"
    assert "demo" in bench("profiles", "list", PYTHONPATH=str(site))
    assert bench("list", "--references", "--json", PYTHONPATH=str(site))["references"]
    cell = bench("run", "dlrm", "--profile", "smoke", *SHORT, PYTHONPATH=str(site))["cells"][0]
    assert cell["runs"][0]["status"] == "ok"
