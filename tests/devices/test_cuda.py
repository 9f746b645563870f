"""Sentences are tested by facts, without a card; what needs a card is skipped where there is none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harness.api import Available, Device, Unavailable, UnavailableError
from harness.devices import cuda
from harness.devices.cuda import CudaDevice, CudaEvent, CudaFacts, judge
from tests.contract.device_contract import DeviceContract
from tests.contract.executor_contract import ExecutorContract

HAS_CARD = torch.cuda.is_available()
TWO = CudaFacts(
    torch_version="2.13.0+cu130",
    built_with="13.0",
    driver=True,
    driver_version="580.1",
    names=("NVIDIA H200", "NVIDIA L4"),
)


class TestCuda(DeviceContract):
    place = "harness.devices.cuda:CudaDevice"
    runs = HAS_CARD

    def make(self) -> Device:
        return CudaDevice()


@pytest.mark.skipif(not HAS_CARD, reason="no CUDA card here")
class TestCudaExecutor(ExecutorContract):
    exact = False  # index_add_ adds the rows of equal ids in no fixed order

    def make_device(self) -> Device:
        return CudaDevice()


def because(facts: CudaFacts, index: int = 0) -> str:
    verdict = judge(facts, index)
    assert isinstance(verdict, Unavailable)
    assert verdict.hint
    return f"{verdict.state}: {verdict.reason}"


def test_each_way_a_card_can_be_missing_has_its_own_sentence():
    no_card = dataclasses.replace(TWO, names=())
    said = [
        because(CudaFacts()),
        because(CudaFacts(torch_version="2.13.0+cpu")),
        because(dataclasses.replace(no_card, driver=False)),
        because(dataclasses.replace(no_card, visible_devices="")),
        because(dataclasses.replace(no_card, problem="CUDA driver version is insufficient")),
        because(dataclasses.replace(TWO, problem="no kernel image is available"), 1),
        because(TWO, 7),
        because(dataclasses.replace(TWO, names=("NVIDIA H200",)), 7),
    ]
    assert said == [
        "not installed: PyTorch is not installed, and the cuda device needs it",
        "not installed: the installed PyTorch 2.13.0+cpu is built without CUDA",
        "not installed: PyTorch 2.13.0+cu130 has CUDA 13.0, but no NVIDIA driver is installed here",
        "no card: CUDA_VISIBLE_DEVICES='' hides every card",
        "no card: the NVIDIA driver is installed, but PyTorch finds no card: CUDA driver version is insufficient",
        "broken: cuda:1 (NVIDIA L4) is there but does not compute: no kernel image is available",
        "no card: there is no cuda:7: this machine has 2 CUDA cards, cuda:0 to cuda:1",
        "no card: there is no cuda:7: this machine has 1 CUDA card, cuda:0",
    ]


def test_an_available_card_is_summed_up():
    verdict = judge(TWO, 1)
    assert isinstance(verdict, Available)
    assert verdict.details["summary"] == "NVIDIA L4, driver 580.1, CUDA 13.0, PyTorch 2.13.0+cu130"
    assert verdict.details["count"] == 2


def test_the_first_card_is_meant_without_an_index():
    assert CudaDevice().place == "cuda:0"
    assert CudaDevice(3).place == "cuda:3"


@pytest.mark.skipif(HAS_CARD, reason="a CUDA card is here")
def test_opening_a_card_that_is_not_there_says_why():
    with pytest.raises(UnavailableError) as caught:
        CudaDevice().open(threads=None, seed=0)
    assert caught.value.hint


def test_events_tell_seconds_from_milliseconds():
    class Recorded:
        """What torch.cuda.Event is to us: `query` and `elapsed_time` in milliseconds."""

        def __init__(self, at_ms: float) -> None:
            self.at_ms = at_ms

        def query(self) -> bool:
            return True

        def elapsed_time(self, later: Recorded) -> float:
            return later.at_ms - self.at_ms

    first, second = CudaEvent(Recorded(10.0)), CudaEvent(Recorded(2510.0))
    assert second.seconds_since(first) == pytest.approx(2.5)
    assert second.ready()


def test_the_driver_s_version_is_read_where_the_kernel_tells_it(monkeypatch, tmp_path):
    file = tmp_path / "version"
    monkeypatch.setattr(cuda, "_DRIVER_VERSION", file)
    assert cuda.driver_version() is None
    file.write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Wed Mar  6 15:12:14 UTC 2024\nGCC version: 12\n"
    )
    assert cuda.driver_version() == "535.161.08"


def test_graphs_are_not_claimed():
    assert CudaDevice().capabilities.graphs is False
    assert CudaDevice().capabilities.asynchronous is True
