from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.dashboard.screens import devices
from harness.dashboard.screens.devices import Examined
from harness.devices.doctor import DeviceReport
from harness.registry import Registry
from tests.dashboard.drive import NARROW, WIDE, check_golden, drive
from tests.dashboard.stage import staged

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "140x45"])
Size = tuple[int, int]

# As `bench doctor --json` told them on a machine with one card and a broken vendor package.
REPORTS = (
    DeviceReport(name="cpu", state="available", sentence="Example CPU, 16 cores, PyTorch 2.13.0",
                 details={"cores": 16, "memory_bytes": 2**37, "flags": ["avx2", "avx512f"], "frequency_hz": None},
                 versions={"torch": "2.13.0", "numpy": "2.4.6", "torch-npu": None}, python="3.11.7"),
    DeviceReport(name="cuda", state="no card", sentence="PyTorch 2.13.0 finds no CUDA device",
                 hint="check nvidia-smi, and CUDA_VISIBLE_DEVICES"),
    DeviceReport(name="npu", state="broken", sentence="the probe of npu was killed by SIGSEGV",
                 hint="see what it prints: python -m harness.devices.probe npu"),
    DeviceReport(name="ipu", state="not installed", sentence="poptorch is not installed, and the ipu device needs it"),
)  # fmt: skip


@SIZES
def test_golden(size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "examine", lambda registry: list(REPORTS))
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")

    async def flow() -> None:
        async with staged("devices", Path("results.db"), size) as app:
            app.screen.post_message(Examined(REPORTS, 5.04))
            await app.settle()
            text = app.text().split("\n recbench  ")[0].split("recbench       0")[0]
            without_bar = "\n".join(line[: size[0] - 2].rstrip() for line in text.splitlines()[1:])
            check_golden(f"devices-{size[0]}x{size[1]}", without_bar.rstrip())  # paths below make it longer or shorter

    drive(flow)


@SIZES
def test_r_asks_again_and_y_copies(size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Registry] = []

    def examine(registry: Registry) -> list[DeviceReport]:
        asked.append(registry)
        return list(REPORTS)

    monkeypatch.setattr(devices, "examine", examine)

    async def flow() -> None:
        async with staged("devices", Path("results.db"), size) as app:
            assert "1 of 4 devices can run here" in app.text() and "killed by SIGSEGV" in app.text()
            await app.keys("r")
            assert asked == [app.app.registry] * 2
            await app.keys("y")
            assert "cuda: no card: PyTorch 2.13.0 finds no CUDA device (check" in app.app.clipboard

    drive(flow)


def test_the_devices_of_this_machine_are_asked_without_blocking() -> None:
    """The real probes, in real children."""

    async def flow() -> None:
        async with staged("devices", Path("results.db"), WIDE) as app:
            await app.until(lambda: "devices can run here" in app.text())
            assert "cpu" in app.text() and "packages" in app.text()

    drive(flow)
