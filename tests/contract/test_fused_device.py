"""The fused stand-in keeps both contracts, and trains the same weights as the host's loop, bit for bit."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api import Device, Geometry, OptimizerSpec, Schedule, UsageError
from harness.devices.cpu import CpuDevice
from tests.contract.device_contract import DeviceContract
from tests.contract.executor_contract import ExecutorContract
from tests.contract.fakes import FusedDevice
from tests.contract.models import DENSE, SmallModel, differing, make_batch, weights_of

SIZES = st.integers(1, 3)


class TestFusedDevice(DeviceContract):
    place = "tests.contract.fakes:FusedDevice"

    def make(self) -> Device:
        return FusedDevice()


class TestFusedExecutor(ExecutorContract):
    def make_device(self) -> Device:
        return FusedDevice()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), SIZES, SIZES, SIZES, st.integers(0, 3), st.data())
def test_fused_and_host_training_give_the_same_bits(micro, replicas, accumulation, iterations, seed, data):
    geometry = Geometry(
        micro_batch=micro, replicas=replicas, gradient_accumulation=accumulation, device_iterations=iterations
    )
    rows = data.draw(st.integers(0, geometry.call_samples))
    schedule = Schedule(learning_rate=0.3, warmup_updates=3)
    trained = []
    for device in (CpuDevice(), FusedDevice()):
        device.open(threads=1, seed=0)
        model = SmallModel(seed)
        optimizer = OptimizerSpec(name="sgd", learning_rate=0.3)
        executor = device.executor(model, geometry, precision="fp32", compile="off", optimizer=optimizer)
        executor.prepare(make_batch(geometry.call_samples), None, schedule)
        executor.train_call(executor.stage(make_batch(geometry.call_samples, seed=seed)))
        executor.train_call(executor.stage(make_batch(geometry.call_samples, rows, seed=seed + 1)))
        stats = executor.drain()
        trained.append((weights_of(model), stats))
    assert differing(trained[0][0], trained[1][0]) == []
    assert trained[0][1].samples == trained[1][1].samples
    assert trained[0][1].loss_mean == pytest.approx(trained[1][1].loss_mean, rel=1e-12)


def test_a_new_shape_is_refused_by_the_fused_device():
    device = FusedDevice()
    geometry = Geometry(micro_batch=4)
    optimizer = OptimizerSpec(name="sgd", learning_rate=0.1)
    executor = device.executor(SmallModel(), geometry, precision="fp32", compile="off", optimizer=optimizer)
    executor.prepare(make_batch(4), None, Schedule(learning_rate=0.1))
    wider = make_batch(4)
    wider = type(wider)(inputs=(torch.zeros(4, DENSE + 1),), ids=wider.ids, labels=wider.labels, rows=4)
    with pytest.raises(UsageError, match="static shapes"):
        executor.train_call(executor.stage(wider))


def test_the_fused_device_names_an_interpreter_of_its_own_and_is_no_hardware():
    assert FusedDevice().interpreter() == sys.executable
    assert FusedDevice().device_kind == "stand-in"
