from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.sweep import parse_axis
from harness.errors import UsageError
from tests.cli.conftest import Bench
from workloads.dlrm.config import DESCRIPTION


def _cells(bench: Bench, *arguments: str) -> list[dict[str, Any]]:
    result = bench(*arguments, "--dry-run", "--json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)["cells"]
    return found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("batch=128", "batch=512 optimizer=adagrad"),
        ("batch=128", "batch=512,optimizer=adagrad"),
        ("--batch 128", "--batch=512 --optimizer adagrad"),
        ("batch=128", "--batch 512 --optimizer=adagrad"),
    ],
)
def test_ab_reads_settings_and_quoted_flags_alike(bench: Bench, a: str, b: str) -> None:
    first, second = _cells(bench, "ab", a, b, "--workload", "dlrm")
    assert (first["params"]["batch"], second["params"]["batch"]) == (128, 512)
    assert second["params"]["optimizer"] == "adagrad"
    assert second["origins"]["batch"] == "B"
    assert first["label"].startswith("A: ")


def test_ab_takes_lists_and_switches(bench: Bench) -> None:
    first, second = _cells(
        bench, "ab", "top_mlp=256,1 batch=64", "--no-shuffle --top-mlp 128,64,1", "--workload", "dlrm"
    )
    assert first["params"]["top_mlp"] == [256, 1]
    assert first["params"]["batch"] == 64
    assert second["params"]["shuffle"] is False
    assert second["params"]["top_mlp"] == [128, 64, 1]


def test_ab_of_two_profiles_needs_no_workload(bench: Bench) -> None:
    first, second = _cells(bench, "ab", "mindspore-ascend910", "pytorch-ascend", "--seed", "7")
    assert (first["profile"], second["profile"]) == ("mindspore-ascend910", "pytorch-ascend")
    assert first["params"]["learning_rate"] == 0.15
    assert second["params"]["learning_rate"] == 0.1


def test_ab_takes_an_interpreter_for_a_side(bench: Bench) -> None:
    first, second = _cells(bench, "ab", "batch=128", sys.executable, "--workload", "dlrm")
    assert first["settings"]["python"] is None
    assert second["settings"]["python"] == sys.executable


def test_ab_sides_are_stronger_than_what_holds_for_both(bench: Bench) -> None:
    first, second = _cells(bench, "ab", "batch=128", "rows=5000", "--profile", "smoke", "--set", "batch=64")
    assert (first["params"]["batch"], second["params"]["batch"]) == (128, 64)
    assert (first["params"]["rows"], second["params"]["rows"]) == (20_000, 5_000)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["batch=1", "batch=2"], "which workload?"),
        (["bacth=1", "batch=2", "--workload", "dlrm"], "A: unknown key 'bacth'"),
        (["batch=1", "--bacth 2", "--workload", "dlrm"], "B: unknown flag '--bacth'"),
        (["repeats=3", "batch=2", "--workload", "dlrm"], "A has repeats 3 and B 6"),
        (["nosuch", "batch=2"], "unknown profile 'nosuch'"),
    ],
)
def test_ab_refuses_in_one_sentence(bench: Bench, arguments: list[str], sentence: str) -> None:
    result = bench("ab", *arguments)
    assert result.code == 2
    assert sentence in result.err.splitlines()[0]
    assert not Path("results.db").exists()


def test_a_sweep_is_every_combination(bench: Bench) -> None:
    cells = _cells(bench, "sweep", "dlrm", "--profile", "smoke", "--over", "batch=64,128", "--over", "top_mlp=64,1;1")
    found = [(cell["params"]["batch"], tuple(cell["params"]["top_mlp"])) for cell in cells]
    assert found == [(64, (64, 1)), (64, (1,)), (128, (64, 1)), (128, (1,))]
    assert cells[0]["label"] == "batch=64, top_mlp=64,1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("batch", "is not KEY=A,B"),
        ("bacth=1,2", "unknown key 'bacth'"),
        ("batch=", "has no values"),
        ("batch=1,1", "the value '1' twice"),
    ],
)
def test_an_axis_that_cannot_be_read_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_axis(text, DESCRIPTION)


def test_a_sweep_needs_an_axis_and_keeps_its_size(bench: Bench) -> None:
    assert "a sweep needs --over" in bench("sweep", "dlrm").err
    many = ",".join(str(number) for number in range(1, 202))
    assert "at most 200" in bench("sweep", "dlrm", "--over", f"batch={many}").err
    assert "cannot vary repeats" not in bench("sweep", "dlrm", "--over", "batch=1,2", "--dry-run").err
