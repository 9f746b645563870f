from __future__ import annotations

import dataclasses

import pytest

from harness.api import Device, Geometry, OptimizerSpec, UnavailableError
from harness.devices.npu import NpuDevice, NpuFacts, gather, judge
from tests.contract.device_contract import DeviceContract

READY = NpuFacts(torch_npu_version="2.13.0", torch_version="2.13.0", names=("Ascend910B1",))


class TestNpu(DeviceContract):
    place = "harness.devices.npu:NpuDevice"
    runs = False

    def make(self) -> Device:
        return NpuDevice()


def test_nothing_installed_no_cann_no_card_and_not_built_are_told_apart():
    cases = [
        (NpuFacts(torch_version="2.13.0+cpu"), 0),
        (
            dataclasses.replace(
                READY,
                names=(),
                problem="libhccl.so: cannot open shared object file: No such file or directory",
            ),
            0,
        ),
        (dataclasses.replace(READY, names=()), 0),
        (dataclasses.replace(READY, names=(), torch_is_there=False), 0),
        (dataclasses.replace(READY, names=(), problem="undefined symbol: _ZN3c10"), 0),
        (READY, 4),
        (READY, 0),
    ]
    verdicts = [judge(facts, index) for facts, index in cases]
    assert [f"{verdict.state}: {verdict.reason}" for verdict in verdicts] == [
        "not installed: torch-npu is not installed, and the npu device needs it and Huawei's CANN",
        "no card: torch-npu 2.13.0 is installed, but CANN is not: libhccl.so is missing",
        "no card: torch-npu 2.13.0 and CANN are installed, but no Ascend card is found",
        "not installed: torch-npu 2.13.0 is installed without PyTorch",
        "broken: torch-npu 2.13.0 is installed but does not work: undefined symbol: _ZN3c10",
        "no card: there is no npu:4: 1 Ascend card(s) are found, numbered from 0",
        "not built: Ascend910B1 is there, but execution on npu is not built yet",
    ]
    assert all(verdict.hint for verdict in verdicts)


def test_hints_name_no_package_that_does_not_exist():
    words = " ".join(judge(facts, 0).hint for facts in (NpuFacts(), dataclasses.replace(READY, names=())))
    for invented in ("pip install cann", "ascend-toolkit", "torchrec-npu", "hybrid-torchrec"):
        assert invented not in words


def test_a_package_that_fails_on_import_is_a_fact_and_not_a_crash(tmp_path, monkeypatch):
    (tmp_path / "torch_npu.py").write_text(
        'raise ImportError("libhccl.so: cannot open shared object file: No such file")'
    )
    info = tmp_path / "torch_npu-2.13.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch-npu\nVersion: 2.13.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    facts = gather()
    assert facts.torch_npu_version == "2.13.0"
    assert "libhccl.so is missing" in judge(facts, 0).reason


def test_using_it_is_refused_in_one_sentence_with_a_hint():
    device = NpuDevice()
    uses = [
        lambda: device.open(threads=None, seed=0),
        device.synchronize,
        device.record_event,
        device.memory_peak_bytes,
        device.describe,
        device.ceilings,
        lambda: device.executor(
            None,
            Geometry(micro_batch=1),
            precision="fp32",
            compile="off",
            optimizer=OptimizerSpec(name="sgd", learning_rate=1.0),
        ),
    ]
    for use in uses:
        with pytest.raises(UnavailableError, match="execution on npu is not built yet") as caught:
            use()
        assert caught.value.hint
