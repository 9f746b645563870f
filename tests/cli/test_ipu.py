"""`bench run din --device ipu` end to end: without an SDK, and on the stand-in for PopTorch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Bench
from tests.devices.ipu_pool import STANDINS

SMALL = (
    "--rows", "700", "--users", "30", "--items", "40", "--categories", "5", "--max-seq-len", "6", "--mean-length", "3",
    "--fc-layers", "8,4", "--attention-layers", "6", "--threads", "1", "--ui", "none",
)  # fmt: skip
TRAIN = ("run", "din", *SMALL, "--micro-batch-size", "8", "--device-iterations", "4", "--epochs", "1", "--repeats", "1")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))


def the_run(text: str) -> tuple[dict, dict]:
    """The cell and the run of an experiment of one."""
    (cell,) = json.loads(text)["cells"]
    (run,) = cell["runs"]
    return cell, run


def test_without_an_sdk_it_is_unavailable_in_one_sentence(bench: Bench) -> None:
    result = bench(*TRAIN, "--device", "ipu")
    assert result.code == 5
    first, second = result.err.strip().splitlines()
    assert first.startswith("error: poptorch is not installed in ")
    assert "source its enable.sh" in second
    assert not Path("results.db").exists()


def test_a_stand_in_trains_as_a_cpu_does_and_is_labelled_everywhere(bench: Bench, stand_in: None) -> None:
    """The same samples in the same order; what is left of the last call is padding on one side only."""
    results = {}
    for device in ("ipu", "cpu"):
        result = bench(
            *TRAIN, "--device", device, "--layout", "padded", "--optimizer", "sgd", "--learning-rate", "0.5",
            "--warmup", "none", "--compile", "off", "--checkpoint", "--python", sys.executable, "--json",
        )  # fmt: skip
        assert result.code == 0, result.err
        results[device] = the_run(result.out)
    cell, run = results["ipu"]
    assert (cell["device"], cell["device_kind"]) == ("ipu", "stand-in")
    for name, within in (("log_loss", 1e-5), ("auc", 0.01)):  # two of few test rows may change their order
        theirs = results["cpu"][1]["metrics"][name]["value"]
        assert run["metrics"][name]["value"] == pytest.approx(theirs, abs=within), name
    assert run["metrics"]["compile_s"]["value"] > 0.0
    assert run["metrics"]["throughput"]["value"] > 0.0

    text = bench("show", run["id"], "--json").out
    assert "poptorch 3.4.0+standin" in text
    assert "stand-in" in text
    assert "ipu_latency_s" in text
    assert "ipu (stand-in)" in bench("list").out
    compared = bench("compare", results["cpu"][1]["id"], run["id"], "--force")
    assert "ran on a stand-in for ipu" in " ".join((compared.out + compared.err).split())

    checkpoint = next(path for path in Path("recbench-output").rglob("checkpoint.pt") if run["id"] in str(path))
    asked = bench(
        "run", "din", *SMALL, "--mode", "infer", "--device", "ipu", "--init-from", str(checkpoint), "--repeats", "1",
        "--micro-batch-size", "8", "--device-iterations", "2", "--warmup", "none", "--json",
    )  # fmt: skip
    assert asked.code == 0, asked.err
    _, answered = the_run(asked.out)
    assert answered["metrics"]["auc"]["value"] == pytest.approx(run["metrics"]["auc"]["value"], abs=1e-6)
    assert answered["metrics"]["latency_p50_s"]["value"] > 0.0


def test_poptorch_s_error_is_the_reason_of_the_run(
    bench: Bench, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POPTORCH_STANDIN_FAIL", "recoverable@3")
    result = bench(*TRAIN, "--device", "ipu", "--json")
    assert result.code == 1
    _, run = the_run(result.out)
    assert run["status"] == "failed"
    assert "The IPU has raised a runtime error: tile exception" in run["reason"]
    assert "(recovery action: IPU_RESET)" in run["reason"]
    assert bench("list").code == 0
    assert bench("show", run["id"]).code == 0


def test_a_compiler_that_hangs_is_ended_by_the_hang_limit(
    bench: Bench, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POPTORCH_STANDIN_FAIL", "hang@compile")
    result = bench(*TRAIN, "--device", "ipu", "--hang-limit", "12s", "--json")
    assert result.code == 1
    _, run = the_run(result.out)
    assert run["status"] == "timeout"
    assert "said nothing for 12s in its setup phase (hang_limit)" in run["reason"]
