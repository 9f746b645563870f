from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.api import Device, Geometry, UnavailableError, UsageError
from harness.devices.ipu import MEMORY_VARIABLE, IpuDevice, memory_proportion
from harness.devices.probe import make_device
from harness.execution.commands import interpreter
from harness.registry import Registry
from harness.spec import RunSettings
from tests.contract.device_contract import DeviceContract
from tests.contract.executor_contract import SGD
from tests.contract.models import SmallModel
from tests.devices.ipu_pool import STANDINS


class TestIpu(DeviceContract):
    place = "harness.devices.ipu:IpuDevice"
    runs = False

    def make(self) -> Device:
        return IpuDevice()


def test_an_index_is_refused():
    with pytest.raises(UsageError, match="ipu:1"):
        IpuDevice(1)


def test_without_poptorch_it_does_not_open():
    with pytest.raises(UnavailableError, match="poptorch is not installed in"):
        IpuDevice().open(threads=None, seed=0)


def test_it_is_no_hardware_until_that_is_proven():
    assert IpuDevice().device_kind != "hardware"


def test_the_worker_stays_in_our_python_and_the_device_gets_the_person_s(tmp_path):
    python = tmp_path / "python3.8"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    settings = RunSettings(device="ipu", python=python)
    registry = Registry()
    assert interpreter(settings, registry.device("ipu")) == sys.executable
    assert interpreter(settings, registry.device("cpu")) == str(python)
    assert make_device(registry, "ipu", str(python)).interpreter() == str(python)
    assert make_device(registry, "cpu", str(python)).interpreter() is None
    with pytest.raises(UsageError, match="is not a program that can be started"):
        interpreter(RunSettings(device="ipu", python=tmp_path / "none"), registry.device("ipu"))


def test_the_emulation_runs_one_replica(monkeypatch):
    device = IpuDevice()
    device.device_kind = "emulated"
    with pytest.raises(UsageError, match="replicas = 2: the IPU model runs one replica only"):
        device.executor(
            SmallModel(), Geometry(micro_batch=2, replicas=2), precision="fp32", compile="off", optimizer=SGD
        )


@pytest.mark.parametrize("text", ["0", "1.5", "a lot", "-1"])
def test_a_share_of_memory_is_between_nothing_and_all(monkeypatch, text):
    monkeypatch.setenv(MEMORY_VARIABLE, text)
    with pytest.raises(UsageError, match=MEMORY_VARIABLE):
        memory_proportion()


def test_a_share_of_memory_is_read(monkeypatch):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    assert memory_proportion() is None
    monkeypatch.setenv(MEMORY_VARIABLE, "0.25")
    assert memory_proportion() == 0.25


def what_opens(path: Path, **variables: str) -> str:
    """In a process of its own, since the environment decides what the SDK's Python finds: kind, name, options."""
    program = (
        "from harness.devices.ipu import IpuDevice\n"
        "device = IpuDevice()\n"
        "try:\n"
        "    device.open(threads=1, seed=0)\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "else:\n"
        "    print(device.device_kind, '|', device.describe()['name'], '|', device.describe()['default_options'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{STANDINS.parents[1]}:{path}", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_stand_in_is_a_stand_in_wherever_it_appears():
    found = what_opens(STANDINS, POPTORCH_IPU_MODEL="1", POPTORCH_DEFAULT_OPTIONS="{}")
    assert found == "stand-in | Graphcore IPU (stand-in) | {}"


def test_poptorch_s_own_emulation_is_an_emulation(tmp_path):
    """A PopTorch that does not call itself a stand-in and finds no IPU: told to emulate it runs, else it does not."""
    package = tmp_path / "poptorch"
    package.mkdir()
    for file in (STANDINS / "poptorch").glob("*.py"):
        text = file.read_text().replace("__standin__ = True", "__standin__ = False")
        (package / file.name).write_text(text.replace('"3.4.0+standin"', '"3.4.0"'))
    assert what_opens(tmp_path) == "poptorch 3.4.0 is installed, but no IPU is found"
    assert what_opens(tmp_path, POPTORCH_IPU_MODEL="1") == "emulated | Graphcore IPU (emulated) | None"
