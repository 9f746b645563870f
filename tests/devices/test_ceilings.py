"""Rates are not asserted: only that they are there, positive, and computed from amounts and times as they should be."""

from __future__ import annotations

import time

import torch

from harness.analysis.roofline import matrix_ceiling
from harness.devices.ceilings import best_rate, last_cache_bytes, measure
from harness.devices.cpu import CpuDevice


class Sleepy(CpuDevice):
    """A device whose synchronise waits for what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.pending_s = 0.0

    def synchronize(self) -> None:
        time.sleep(self.pending_s)
        self.pending_s = 0.0


def test_every_limit_of_a_cpu_is_measured_or_said_to_be_missing(monkeypatch):
    monkeypatch.setattr("harness.devices.ceilings._buffer_bytes", lambda kind: 4 << 20)
    monkeypatch.setitem(__import__("harness.devices.ceilings", fromlist=["_SHAPES"])._SHAPES, "cpu", ((64, 64, 64),))
    device = CpuDevice()
    device.open(threads=1, seed=0)
    found = measure(device, "cpu", precisions=("fp32", "bf16"), budget_s=0.4)
    missing = {name for name, value in found.items() if value is None}
    assert missing == {"host_to_device_bytes_per_s", "disk_bytes_per_s"}
    assert matrix_ceiling("fp32") in found
    assert matrix_ceiling("bf16") in found
    assert all(value > 0 for value in found.values() if value is not None)


def test_a_trial_counts_the_work_that_is_still_pending():
    device = Sleepy()

    def ask() -> None:
        device.pending_s += 0.005

    rate = best_rate(device, 1.0, [ask], 0.2)
    assert rate is not None
    assert rate <= 200.0


def test_the_best_of_several_ways_counts():
    device = CpuDevice()
    slow = best_rate(device, 1.0, [lambda: time.sleep(0.02)], 0.1)
    both = best_rate(device, 1.0, [lambda: time.sleep(0.02), lambda: None], 0.1)
    assert both > slow
    assert best_rate(device, 1.0, [], 0.1) is None


def test_measuring_leaves_no_gradient_mode_behind(monkeypatch):
    monkeypatch.setattr("harness.devices.ceilings._buffer_bytes", lambda kind: 1 << 20)
    device = CpuDevice()
    measure(device, "cpu", precisions=(), budget_s=0.05)
    assert torch.is_grad_enabled()


def test_the_last_cache_is_read_in_bytes(tmp_path):
    assert last_cache_bytes(tmp_path) == 0
    for index, size in enumerate(("48K", "2048K", "33M")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert last_cache_bytes(tmp_path) == 33 << 20
