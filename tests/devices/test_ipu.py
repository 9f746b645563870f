from __future__ import annotations

import ast
import dataclasses
import json
import sys
from pathlib import Path

import pytest

from harness.api import Device, UnavailableError, UsageError
from harness.devices import ipu, ipu_facts
from harness.devices.ipu import IpuDevice, IpuFacts, gather, judge
from harness.devices.probe import probe_in_child
from tests.contract.device_contract import DeviceContract

READY = IpuFacts(python="3.8.10", sdk="/opt/poplar", poptorch="3.3.0", hardware=True)


class TestIpu(DeviceContract):
    place = "harness.devices.ipu:IpuDevice"
    runs = False

    def make(self) -> Device:
        return IpuDevice()


def test_nothing_installed_no_ipu_and_not_built_are_told_apart():
    cases = [
        IpuFacts(missing=True, problem="No module named 'poptorch'"),
        dataclasses.replace(READY, hardware=False),
        dataclasses.replace(READY, problem="libpoplar.so: cannot open shared object file"),
        dataclasses.replace(READY, starts=False, problem="Permission denied"),
        READY,
    ]
    verdicts = [judge(facts, "/sdk/python") for facts in cases]
    assert [f"{verdict.state}: {verdict.reason}" for verdict in verdicts] == [
        "not installed: poptorch is not installed in /sdk/python, and the ipu device needs it",
        "no card: poptorch 3.3.0 is installed, but no IPU is found",
        "broken: poptorch does not work in /sdk/python: libpoplar.so: cannot open shared object file",
        "broken: the interpreter /sdk/python does not start: Permission denied",
        "not built: an IPU is there (poptorch 3.3.0), but execution on ipu is not built yet",
    ]
    assert all(verdict.hint for verdict in verdicts)
    assert "enable.sh" in verdicts[0].hint
    assert "--python" in verdicts[0].hint


def test_the_sdk_s_python_is_asked_through_a_child(tmp_path):
    """A recorded stand-in of the SDK's Python that logs before it answers, as Poplar does."""
    python = tmp_path / "python3.8"
    body = {key: value for key, value in dataclasses.asdict(READY).items() if key != "starts"}
    python.write_text(f"#!/bin/sh\necho '[poplar] a log line'\necho '{json.dumps(body)}'\n")
    python.chmod(0o755)
    assert gather(str(python)) == READY
    verdict = probe_in_child("ipu", python=python)
    assert verdict.reason == "an IPU is there (poptorch 3.3.0), but execution on ipu is not built yet"


def test_a_python_that_dies_or_does_not_exist_is_a_fact(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    assert "was killed by signal 11" in judge(gather(str(python)), "P").reason
    assert (
        judge(gather(str(tmp_path / "none")), "P").reason
        == "the interpreter P does not start: No such file or directory"
    )


def test_the_script_runs_under_python_3_8():
    source = Path(ipu_facts.__file__).read_text()
    ast.parse(source, feature_version=(3, 8))
    imported = {node.names[0].name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)}
    assert imported <= {*sys.stdlib_module_names, "poptorch"}


def test_poptorch_is_looked_for_truthfully(tmp_path, monkeypatch):
    assert ipu_facts.look()["missing"] is True
    (tmp_path / "poptorch.py").write_text('__version__ = "3.3.0"\ndef ipuHardwareIsAvailable(): return False\n')
    monkeypatch.syspath_prepend(tmp_path)
    facts = ipu_facts.look()
    monkeypatch.delitem(sys.modules, "poptorch")
    assert (facts["missing"], facts["poptorch"], facts["hardware"]) == (False, "3.3.0", False)


def test_an_index_is_refused_and_so_is_every_use():
    with pytest.raises(UsageError, match="ipu:1"):
        IpuDevice(1)
    with pytest.raises(UnavailableError, match="execution on ipu is not built yet"):
        IpuDevice().open(threads=None, seed=0)
    assert ipu.IpuDevice(python="/sdk/python").interpreter() == "/sdk/python"
