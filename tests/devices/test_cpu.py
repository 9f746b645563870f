from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.api import Available, Device, UsageError
from harness.devices.cpu import CpuDevice, allowed_cores, peak_resident_bytes
from harness.errors import RunFailed
from tests.contract.device_contract import TOP, DeviceContract


class TestCpu(DeviceContract):
    place = "harness.devices.cpu:CpuDevice"

    def make(self) -> Device:
        return CpuDevice()


def test_the_cpu_takes_no_index():
    with pytest.raises(UsageError, match="device 'cpu:1': the CPU has no index"):
        CpuDevice(1)


def test_threads_are_asked_for_and_verified(monkeypatch):
    device = CpuDevice()
    device.open(threads=1, seed=0)
    assert device.describe()["threads_asked"] == 1
    assert device.describe()["threads"] == torch.get_num_threads() == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with pytest.raises(RunFailed, match="asked PyTorch for 2 threads and it uses 3"):
        device.open(threads=2, seed=0)


def test_no_threads_is_refused():
    with pytest.raises(UsageError, match="threads = 0"):
        CpuDevice().open(threads=0, seed=0)


def test_all_allowed_cores_are_used_when_threads_are_not_given():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from harness.devices.cpu import CpuDevice; d = CpuDevice(); d.open(threads=None, seed=0)\n"
        "print(d.describe()['threads'], d.describe()['threads_asked'], d.describe()['cores_allowed'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "None", "1"]
    assert 1 <= allowed_cores() <= len(os.sched_getaffinity(0))


def test_the_seed_decides_the_framework_s_random_numbers():
    drawn = []
    for seed in (1, 2, 1):
        CpuDevice().open(threads=1, seed=seed)
        drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[2] != drawn[1]


def test_the_peak_of_memory_grows_with_what_was_held():
    before = peak_resident_bytes()
    held = torch.ones(16 << 20)
    assert peak_resident_bytes() >= before
    assert peak_resident_bytes() >= held.nbytes


def test_no_vendor_s_back_end_loads_itself_into_a_cpu_worker():
    assert CpuDevice().environment()["TORCH_DEVICE_BACKEND_AUTOLOAD"] == "0"


def test_a_machine_with_pytorch_has_a_cpu_device():
    verdict = CpuDevice().probe()
    assert isinstance(verdict, Available)
    assert torch.__version__ in verdict.details["summary"]


def test_the_model_is_named_even_where_the_kernel_does_not(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.devices.cpu._CPUINFO", Path(tmp_path / "none"))
    from harness.devices.cpu import cpu_flags, cpu_name

    assert cpu_name()
    assert cpu_flags() == []
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 amx_bf16\n\n"
    )
    monkeypatch.setattr("harness.devices.cpu._CPUINFO", Path(tmp_path / "cpuinfo"))
    assert cpu_name() == "Some CPU @ 2 GHz"
    assert cpu_flags() == ["avx2", "amx_bf16"]
