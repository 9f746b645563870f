"""Commands that workloads contribute: flags from their settings, work in a process of its own, errors caught once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import registry
from harness.errors import RunFailed, UsageError
from harness.execution.job import run_job
from tests.cli.conftest import Bench

TRACE = "7\n8\n7\n9\n" * 50


@pytest.fixture
def trace(own_folders: None) -> Path:
    path = Path("ids.txt")
    path.write_text(TRACE)
    return path


def _job(command: str, **values: object) -> dict[str, object]:
    said: list[tuple[str, str]] = []
    answer = run_job(
        "cache", command, values, width=80, progress=lambda *told: None, log=lambda *told: said.append(told),
        debug=False,
    )  # fmt: skip
    return dict(answer.value)


def test_the_answer_of_a_job_comes_back(trace: Path) -> None:
    assert _job("inspect", trace=["ids.txt"])["requests"] == 200


def test_an_error_of_a_job_is_the_one_that_was_raised(trace: Path) -> None:
    with pytest.raises(UsageError, match="does not tell its format") as error:
        _job("convert", trace=["ids.txt"], output="ids.what")
    assert "--to" in (error.value.hint or "")


def test_a_job_that_dies_is_told_from_one_that_answers(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "no number")  # no Python starts with it
    with pytest.raises(RunFailed, match="bench cache inspect ended with status 1 and gave no answer"):
        _job("inspect", trace=["ids.txt"])


def test_data_goes_to_stdout_as_lines_or_json(bench: Bench, trace: Path) -> None:
    told = bench("cache", "inspect", "ids.txt")
    assert told.code == 0
    assert told.out.startswith("requests")
    found = json.loads(bench("cache", "inspect", "ids.txt", "--json").out)
    assert (found["schema"], found["requests"], found["unique"]) == (1, 200, 3)


def test_wrong_settings_are_refused_before_a_process_starts(bench: Bench, trace: Path) -> None:
    told = bench("cache", "inspect", "ids.txt", "--window", "0")
    assert told.code == 2
    assert "window = 0 in bench cache inspect is below the smallest allowed, 1" in told.err
    assert bench("cache", "inspekt", "ids.txt").code == 2
    assert "unknown flag --windo" in bench("cache", "inspect", "ids.txt", "--windo", "3").err


def test_a_group_that_does_not_load_breaks_only_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "COMMANDS", {"cache": "nowhere.at_all:GROUP", "other": "harness.api:Mode"})
    assert bench("--help").code == 0
    for name, sentence in (("cache", "does not import"), ("other", "expected a harness.api.CommandGroup")):
        told = bench(name, "inspect", "x")
        assert told.code == 2
        assert sentence in told.err
