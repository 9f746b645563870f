"""What every device must keep. Subclass it, give `make`, and pytest runs the rules: see tests/devices/test_cpu.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.api import Available, Capabilities, Device, Executor, Geometry, OptimizerSpec, Unavailable, UsageError

TOP = Path(__file__).resolve().parents[2]


class DeviceContract:
    """`place`: where the class is, as "package.module:Class". Rules from `open` on hold where `runs` is true."""

    place: str
    runs: bool = True

    def make(self) -> Device:
        raise NotImplementedError

    @pytest.fixture
    def opened(self) -> Iterator[Device]:
        if not self.runs:
            pytest.skip("execution on this device is not built, or it is not here")
        device = self.make()
        device.open(threads=1, seed=0)
        yield device

    def test_constructing_and_reading_imports_no_torch_and_no_numpy(self):
        module, _, name = self.place.partition(":")
        program = (
            f"import sys; from {module} import {name} as D; d = D(None); d.name, d.device_kind, d.capabilities;"
            "d.environment(); d.interpreter();"
            "bad = {'torch', 'numpy', 'torch_npu', 'poptorch'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
        )
        done = subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def test_it_is_a_device_with_a_name_and_a_kind(self):
        device = self.make()
        assert isinstance(device, Device)
        assert device.name and ":" not in device.name
        assert device.device_kind in ("hardware", "emulated", "stand-in")
        assert isinstance(device.capabilities, Capabilities)
        assert "fp32" in device.capabilities.precisions

    def test_the_environment_is_text(self):
        for key, value in self.make().environment().items():
            assert isinstance(key, str)
            assert isinstance(value, str)

    def test_a_probe_answers_in_plain_data_and_an_unavailable_device_says_what_to_do(self):
        verdict = self.make().probe()
        json.dumps(dict(verdict.details))
        if isinstance(verdict, Unavailable):
            assert verdict.reason
            assert "\n" not in verdict.reason
            assert verdict.hint
        else:
            assert isinstance(verdict, Available)
            assert verdict.details["summary"]

    def test_a_description_is_plain_data_with_a_name(self, opened: Device):
        described = dict(opened.describe())
        json.dumps(described)
        assert described["name"]

    def test_events_are_ready_after_a_synchronise_and_time_does_not_run_back(self, opened: Device):
        first = opened.record_event()
        second = opened.record_event()
        opened.synchronize()
        assert first.ready()
        assert second.ready()
        assert second.seconds_since(first) >= 0.0

    def test_the_peak_of_memory_is_a_number_of_bytes_or_unknown(self, opened: Device):
        peak = opened.memory_peak_bytes()
        assert peak is None or (isinstance(peak, int) and peak > 0)

    def test_what_a_device_does_not_offer_is_refused_by_name(self, opened: Device):
        with pytest.raises(UsageError, match="int3"):
            make_executor(opened, precision="int3")
        with pytest.raises(UsageError, match="lion"):
            make_executor(opened, optimizer="lion")


def make_executor(device: Device, *, precision: str = "fp32", optimizer: str = "sgd") -> Executor:
    from tests.contract.models import SmallModel

    return device.executor(
        SmallModel(),
        Geometry(micro_batch=4),
        precision=precision,
        compile="off",
        optimizer=OptimizerSpec(name=optimizer, learning_rate=0.1),
    )
