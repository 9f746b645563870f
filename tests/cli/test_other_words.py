"""Other words for flags: one setting under one name, however it was called."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cli.complete import assignments
from tests.cli.conftest import Bench


@pytest.fixture(autouse=True)
def traces(own_folders: None) -> None:
    for name in ("day_2.ids", "day_10.ids", "week.ids"):
        Path(name).write_text("1\n2\n")


def _cells(bench: Bench, *arguments: str) -> list[dict[str, Any]]:
    result = bench(*arguments, "--dry-run", "--json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)["cells"]
    return found


def test_another_word_is_kept_under_the_settings_own_name(bench: Bench) -> None:
    cells = _cells(bench, "run", "cachesim", "--trace", "week.ids", "--policy", "lru", "--size", "1%,5%")
    assert [cell["params"]["capacity"] for cell in cells] == ["1%", "5%"]
    assert {cell["settings"]["data"] for cell in cells} == {str(Path("week.ids").absolute())}
    assert (cells[0]["origins"]["capacity"], cells[0]["origins"]["data"]) == ("--size", "--trace")
    assert cells[0]["label"] == "capacity=1%"
    own = _cells(bench, "run", "cachesim", "--data", "week.ids", "--policy", "lru", "--capacity", "1%")
    assert own[0]["params"] == cells[0]["params"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "cachesim", "--set", "size=3%"),
        ("sweep", "cachesim", "--over", "size=3%"),
        ("sweep", "cachesim", "--over", "policy=lru", "--size", "3%"),
        ("run", "cachesim", "--profile", "mine.toml"),
        ("ab", "--workload", "cachesim", "--size 3%", "size=3%"),
        ("run", "cachesim", "--size", "3%", "--capacity", "3%"),
    ],
)
def test_it_is_known_wherever_a_setting_is_named(bench: Bench, arguments: tuple[str, ...]) -> None:
    Path("mine.toml").write_text('[run]\nworkload = "cachesim"\ntrace = "week.ids"\n[workload.cachesim]\nsize = "3%"\n')
    cells = _cells(bench, *arguments)
    assert {cell["params"]["capacity"] for cell in cells} == {"3%"}
    if "mine.toml" in arguments:
        assert cells[0]["settings"]["data"] == str(Path("week.ids").absolute())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "cachesim", "--size", "1%", "--capacity", "2%"), "--capacity 2% and --size 1% are both given"),
        (("run", "cachesim", "--set", "size=1%", "--set", "capacity=2%"), "--set gives both size = 1% and capacity"),
        (("ab", "--workload", "cachesim", "--size 1% --capacity 2%", "size=1%"), "A: --size 1% and --capacity 2% are"),
        (("run", "dlrm", "--trace", "week.ids"), "unknown flag --trace"),
        (("ab", "--workload", "dlrm", "batch=1", "batch=2", "--trace", "week.ids"), "--trace is no flag of workload"),
    ],
)
def test_two_words_that_disagree_and_words_of_others_are_refused(
    bench: Bench, arguments: tuple[str, ...], sentence: str
) -> None:
    result = bench(*arguments, "--dry-run")
    assert result.code == 2
    assert sentence in result.err


def test_help_shows_it_beside_the_flag_and_the_nearest_word_is_named(bench: Bench) -> None:
    page = bench("run", "cachesim", "--help").out
    assert re.search(r"--data,--trace\s+PATH", page) and re.search(r"--capacity,--size\s+TEXT", page)
    assert len(re.findall(r"--size\b", page)) == 1
    assert "did you mean '--trace'?" in bench("run", "cachesim", "--tracee", "x").err
    assert "did you mean 'size'?" in bench("run", "cachesim", "--set", "sise=1%", "--dry-run").err


def test_the_shell_is_offered_it() -> None:
    asked: Any = SimpleNamespace(params={}, info_name="cachesim")
    assert [word for word, _ in assignments(asked, "si")] == ["size="]


def test_a_pattern_several_files_and_a_folder_are_taken_where_the_workload_reads_many(bench: Bench) -> None:
    here = Path().absolute()
    (cell,) = _cells(bench, "run", "cachesim", "--data", "day_*.ids")
    assert cell["settings"]["data"] == f"{here}/day_*.ids"
    (cell,) = _cells(bench, "run", "cachesim", "--data", "week.ids, day_2.ids")
    assert cell["settings"]["data"] == f"{here}/week.ids,{here}/day_2.ids"
    _cells(bench, "run", "cachesim", "--data", ".")
    told = bench("run", "cachesim", "--data", "dai_*.ids", "--dry-run")
    assert told.code == 2
    assert f"no file matches '{here}/dai_*.ids' in {here}, which holds day_2.ids, day_10.ids, week.ids" in told.err
    assert "did you mean 'day_" in told.err


def test_other_workloads_take_one_path_as_before(bench: Bench) -> None:
    told = bench("run", "dlrm", "--data", "day_*.ids", "--dry-run")
    assert told.code == 2
    assert "day_*.ids (--data) does not exist" in told.err


def test_a_pattern_that_the_shell_expanded_is_told(bench: Bench) -> None:
    told = bench("run", "cachesim", "--data", "logs/a.ids", "logs/b.ids")
    assert told.code == 2
    assert "quote a pattern" in told.err
