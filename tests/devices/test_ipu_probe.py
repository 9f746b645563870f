from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from harness.api import Available, Unavailable
from harness.devices.ipu_bundle import facts as script
from harness.devices.ipu_probe import IpuFacts, expected_torch, gather, judge, kind_of
from harness.devices.probe import probe_in_child
from tests.devices.ipu_pool import STANDINS

READY = IpuFacts(
    python="3.8.10", sdk="/opt/poplar", torch="2.0.1+cpu", poptorch="3.4.0", hardware=True, hardware_version=2
)


def test_each_way_an_ipu_can_be_missing_is_one_sentence():
    cases = [
        IpuFacts(missing=True, problem="No module named 'poptorch'"),
        dataclasses.replace(READY, hardware=False),
        dataclasses.replace(READY, problem="libpoplar.so: cannot open shared object file"),
        dataclasses.replace(READY, starts=False, problem="Permission denied"),
        dataclasses.replace(READY, torch="1.13.1", poptorch="3.2.0"),
    ]
    verdicts = [judge(facts, "/sdk/python") for facts in cases]
    assert all(isinstance(verdict, Unavailable) for verdict in verdicts)
    assert [f"{verdict.state}: {verdict.reason}" for verdict in verdicts] == [
        "not installed: poptorch is not installed in /sdk/python, and the ipu device needs it",
        "no card: poptorch 3.4.0 is installed, but no IPU is found",
        "broken: poptorch does not work in /sdk/python: libpoplar.so: cannot open shared object file",
        "broken: the interpreter /sdk/python does not start: Permission denied",
        "broken: poptorch 3.2.0 runs torch 1.13.1 in /sdk/python, and recbench's models need torch 2.0 or newer",
    ]
    assert all(verdict.hint for verdict in verdicts)
    assert "enable.sh" in verdicts[0].hint
    assert "--python" in verdicts[0].hint


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"sdk": None}, "POPLAR_SDK_ENABLED is not set: source enable.sh of poplar and of popart"),
        ({}, "source enable.sh of the Poplar SDK it belongs to (/opt/poplar is enabled now)"),
        ({"torch": "2.1.0"}, "it is built for torch 2.0.1, and P has torch 2.1.0"),
        ({"torch": None, "torch_problem": "libgomp.so.1: no such file"}, "torch itself does not import there: libgomp"),
    ],
)
def test_a_poptorch_that_does_not_import_is_explained(change, hint):
    verdict = judge(dataclasses.replace(READY, problem="undefined symbol: _ZN3c10", **change), "P")
    assert verdict.state == "broken"
    assert hint in verdict.hint


def test_an_ipu_that_is_missing_from_a_partition_is_looked_for_there():
    facts = dataclasses.replace(READY, hardware=False, variables={"IPUOF_VIPU_API_HOST": "10.1.2.3"})
    assert "whether the partition of 10.1.2.3 (IPUOF_VIPU_API_HOST) is there" in judge(facts, "P").hint
    assert "POPTORCH_IPU_MODEL=1 emulates one" in judge(facts, "P").hint


@pytest.mark.parametrize(
    ("change", "kind", "summary"),
    [
        ({"gcipuinfo": True}, "hardware", "Graphcore IPU version 2, poptorch 3.4.0, torch 2.0.1+cpu, Python 3.8.10"),
        ({}, "hardware", "gcipuinfo does not import, so telemetry comes from gc-info where that is on the path"),
        ({"emulated": True}, "emulated", "Graphcore's IPU model, an emulation"),
        ({"emulated": True, "hardware": False}, "emulated", "its rates mean nothing"),
        ({"stand_in": True, "hardware": False, "emulated": True}, "stand-in", "a stand-in for PopTorch in P"),
        ({"torch": "2.4.1"}, "hardware", "PopTorch 3.4.0 is built for torch 2.0.1"),
    ],
)
def test_what_runs_is_hardware_only_where_that_is_proven(change, kind, summary):
    facts = dataclasses.replace(READY, **change)
    verdict = judge(facts, "P")
    assert isinstance(verdict, Available)
    assert kind_of(facts) == kind
    assert summary in verdict.details["summary"]
    assert verdict.details["torch_expected"] == "2.0.1"


def test_which_torch_belongs_to_which_poptorch():
    versions = ("3.4.0", "3.2.1+7be", "3.1.0", "2.6.0", "4.0.0", None, "of an unknown version")
    assert [expected_torch(version) for version in versions] == [
        "2.0.1", "1.13.1", "1.13.0", "1.10.0", None, None, None,
    ]  # fmt: skip


def test_the_sdk_s_python_is_asked_through_a_child(tmp_path):
    """A recorded stand-in of the SDK's Python that logs before it answers, as Poplar does."""
    python = tmp_path / "python3.8"
    body = {key: value for key, value in dataclasses.asdict(READY).items() if key != "starts"}
    python.write_text(f"#!/bin/sh\necho '[poplar] a log line'\necho '{json.dumps(body)}'\necho '{{}}'\n")
    python.chmod(0o755)
    assert gather(str(python)) == READY
    verdict = probe_in_child("ipu", python=python)
    assert isinstance(verdict, Available)
    assert verdict.details["interpreter"] == str(python)


def test_a_python_that_dies_or_does_not_exist_is_a_fact(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    assert "was killed by signal 11" in judge(gather(str(python)), "P").reason
    missing = judge(gather(str(tmp_path / "none")), "P").reason
    assert missing == "the interpreter P does not start: No such file or directory"


def test_poptorch_is_looked_for_truthfully(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "poptorch"]:
        monkeypatch.delitem(sys.modules, name)  # the stand-in's own tests import it
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).name != "standins"])
    assert script.look()["missing"] is True
    (tmp_path / "poptorch.py").write_text('__version__ = "3.3.0"\ndef ipuHardwareIsAvailable(): return False\n')
    monkeypatch.syspath_prepend(tmp_path)
    facts = script.look()
    del sys.modules["poptorch"]
    assert (facts["missing"], facts["poptorch"], facts["hardware"]) == (False, "3.3.0", False)


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"POPTORCH_IPU_MODEL": "1"}, True),
        ({"POPTORCH_IPU_MODEL": "0"}, False),
        ({"POPTORCH_DEFAULT_OPTIONS": '{"useIpuModel": true}'}, True),
        ({"POPTORCH_DEFAULT_OPTIONS": '{"useIpuModel": false}', "POPTORCH_IPU_MODEL": "1"}, False),
        ({"POPTORCH_DEFAULT_OPTIONS": "not json"}, False),
    ],
)
def test_emulation_is_asked_for_by_variables(monkeypatch, variables, asked):
    for name in ("POPTORCH_IPU_MODEL", "POPTORCH_DEFAULT_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert script.emulation_is_asked_for() is asked


def test_the_stand_in_says_so_itself(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))
    facts = gather(sys.executable)
    assert facts.stand_in
    assert not facts.hardware
    assert kind_of(facts) == "stand-in"
