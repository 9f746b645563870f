from __future__ import annotations

import importlib
import inspect
import sys

import pytest

from harness.telemetry import nvidia
from harness.telemetry.nvidia import (
    EVENT_REASONS,
    NVIDIA_UNITS,
    NvidiaSample,
    NvidiaSampler,
    decode_reasons,
    open_nvidia,
)
from harness.telemetry.nvidia_devices import uuid_of_index
from harness.telemetry.power import CounterEnergy, IntegralEnergy
from harness.telemetry.samples import NoTelemetry, series_values
from tests.telemetry.fake_nvml import FakeNvml
from tests.telemetry.trees import Clock

H100 = ("GPU-aaaa1111-0", "NVIDIA H100")
TWINS = [("GPU-aaaa1111-0", "NVIDIA H100"), ("GPU-aaab2222-0", "NVIDIA H100"), ("GPU-bbbb3333-0", "NVIDIA H100")]
MIXED = [("GPU-aaaa1111-0", "NVIDIA T4"), ("GPU-bbbb3333-0", "NVIDIA H100")]

FULL = {
    "driver_version": b"580.82",
    "cuda_driver_version": 12040,
    "rates": (87, 40),
    "memory": (8 << 30, 80 << 30),
    "power_mw": 412_500,
    "energy_mj": 9_000_500,
    "limit_mw": 700_000,
    "clocks": {1: 1755, 2: 2619},
    "max_clocks": {1: 1980, 2: 2619},
    "temperature": 61,
    "capability": (9, 0),
    "mig": [0, 0],
    "ecc": [1, 1],
    "persistence": 1,
    "bus": b"00000000:18:00.0",
    "compute_pids": [100, 200],
    "event_reasons": 0x4 | 0x40,
}


def opened(nvml: FakeNvml, device: int | str = 0, **more) -> NvidiaSampler:
    sampler = open_nvidia(device, environ={}, nvml=nvml, **more)
    assert isinstance(sampler, NvidiaSampler), sampler
    return sampler


def refused(device: int | str, cards, **environ: str) -> str:
    nvml = FakeNvml(cards)
    answer = open_nvidia(device, environ=environ, nvml=nvml)
    assert isinstance(answer, NoTelemetry)
    assert nvml.open == 0  # NVML is let go of again
    return answer.reason


def test_a_sample_is_in_the_units_of_its_names():
    clock = Clock()
    sample = opened(FakeNvml([H100], **FULL), clock=clock).sample(own_pids=[100])
    assert sample == NvidiaSample(
        t_s=clock.now_s,
        utilisation_gpu=0.87,
        utilisation_memory=0.40,
        memory_used_bytes=8 << 30,
        memory_total_bytes=80 << 30,
        power_w=412.5,
        energy_j=9000.5,
        clock_sm_mhz=1755,
        clock_memory_mhz=2619,
        temperature_c=61,
        throttle_reasons=("power cap", "hardware thermal slowdown"),
        other_pids=(200,),
    )
    assert sample.slowed_by == ("power cap", "hardware thermal slowdown")
    assert series_values(sample, NVIDIA_UNITS)["clock_sm_mhz"] == 1755.0


def test_the_card_is_described_in_words_and_plain_numbers():
    card = opened(FakeNvml([H100], **FULL)).card()
    assert (card.name, card.uuid, card.index) == ("NVIDIA H100", "GPU-aaaa1111-0", 0)
    assert (card.driver_version, card.cuda_driver_version, card.compute_capability) == ("580.82", "12.4", "9.0")
    assert (card.power_limit_w, card.clock_sm_max_mhz, card.memory_total_bytes) == (700, 1980, 80 << 30)
    assert (card.mig, card.ecc, card.persistence) == (False, True, True)
    assert card.pci_bus_id == "00000000:18:00.0"


def test_what_a_card_does_not_support_is_none_never_zero():
    sampler = opened(FakeNvml([H100]))
    sample = sampler.sample()
    assert set(series_values(sample, NVIDIA_UNITS).values()) == {None}
    assert (sample.throttle_reasons, sample.other_pids, sample.slowed_by) == (None, None, ())
    card = sampler.card()
    assert (card.mig, card.ecc, card.power_limit_w, card.driver_version) == (None, None, None, None)


def test_a_driver_older_than_the_library_is_not_supported_rather_than_fatal():
    answers = FULL | {"compute_pids": FakeNvml.NVMLLibraryMismatchError("old")}
    sample = opened(FakeNvml([H100], **answers)).sample()
    assert (sample.other_pids, sample.power_w) == (None, 412.5)


def test_a_library_without_the_newer_names_answers_by_the_older_ones(monkeypatch):
    answers = {key: value for key, value in FULL.items() if key != "event_reasons"} | {"throttle_reasons": 0x8}
    nvml = FakeNvml([H100], **answers)
    assert opened(nvml).sample().throttle_reasons == ("hardware slowdown",)
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetCurrentClocksEventReasons")
    assert opened(nvml).sample().throttle_reasons == ("hardware slowdown",)


def test_reasons_are_decoded_bit_by_bit_and_an_unknown_bit_is_told():
    assert decode_reasons(0, FakeNvml()) == ()
    assert decode_reasons(0x1 | 0x2 | 0x80, FakeNvml()) == ("idle", "application clocks set", "power brake")
    assert decode_reasons(1 << 40, FakeNvml()) == ("reason 0x10000000000",)


def test_fixed_clocks_and_idleness_do_not_count_as_slowed_down():
    assert opened(FakeNvml([H100], event_reasons=0x1 | 0x2)).sample().slowed_by == ()


def test_host_numbers_seen_from_a_container_are_not_taken_for_strangers(tmp_path):
    namespace = tmp_path / "proc/self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to("pid:[4026532999]")
    sampler = opened(FakeNvml([H100], compute_pids=[70001]), root=tmp_path)
    assert sampler.sample(own_pids=[12]).other_pids is None
    assert sampler.sample(own_pids=[70001]).other_pids == ()
    namespace.unlink()
    namespace.symlink_to("pid:[4026531836]")
    assert sampler.sample(own_pids=[12]).other_pids == (70001,)


def test_closing_twice_and_asking_afterwards_is_harmless():
    nvml = FakeNvml([H100], **FULL)
    sampler = opened(nvml)
    sampler.close()
    sampler.close()
    assert nvml.open == 0
    assert sampler.sample().power_w is None


def test_without_a_driver_the_reason_is_told():
    answer = open_nvidia(0, nvml=FakeNvml(driver=False), environ={})
    assert answer == NoTelemetry(
        "the NVIDIA driver does not answer: NVML Shared Library Not Found", nvidia.INSTALL_HINT
    )


def test_without_the_library_the_reason_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    answer = open_nvidia(0, environ={})
    assert isinstance(answer, NoTelemetry)
    assert answer.reason == "nvidia-ml-py is not installed"


@pytest.mark.parametrize(
    ("environ", "index", "card"),
    [
        ({}, 1, 1),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, 0, 2),
        ({"CUDA_VISIBLE_DEVICES": "2,0"}, 1, 0),
        ({"CUDA_VISIBLE_DEVICES": " 1 , 2"}, 1, 2),
        ({"CUDA_VISIBLE_DEVICES": "GPU-bbbb"}, 0, 2),
        ({"CUDA_VISIBLE_DEVICES": "GPU-AAAB,0"}, 0, 1),
        ({"CUDA_VISIBLE_DEVICES": "1,7,0"}, 0, 1),
    ],
)
def test_cuda_s_number_leads_to_the_card_that_cuda_means(environ, index, card):
    uuids, names = zip(*TWINS, strict=True)
    assert uuid_of_index(index, uuids, names, environ) == uuids[card]


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("", "there is no CUDA device 0: no card is visible under CUDA_VISIBLE_DEVICES=''"),
        ("-1", "there is no CUDA device 0: no card is visible under CUDA_VISIBLE_DEVICES='-1'"),
        ("1,1", "there is no CUDA device 0: no card is visible under CUDA_VISIBLE_DEVICES='1,1'"),
        ("GPU-aaa", "there is no CUDA device 0: no card is visible under CUDA_VISIBLE_DEVICES='GPU-aaa'"),
        ("NoDevFiles", "there is no CUDA device 0: no card is visible under CUDA_VISIBLE_DEVICES='NoDevFiles'"),
    ],
)
def test_a_setting_that_hides_every_card_is_told(setting, reason):
    assert refused(0, TWINS, CUDA_VISIBLE_DEVICES=setting) == reason


def test_the_list_ends_at_its_first_invalid_entry():
    assert refused(1, TWINS, CUDA_VISIBLE_DEVICES="1,7,0") == (
        "there is no CUDA device 1: CUDA sees 1 of 3 cards under CUDA_VISIBLE_DEVICES='1,7,0'"
    )
    assert refused(5, TWINS) == "there is no CUDA device 5: CUDA sees 3 of 3 cards"
    assert refused(0, []) == "the NVIDIA driver lists no card"


def test_different_cards_are_not_guessed_unless_the_order_is_known():
    assert refused(0, MIXED) == (
        "which card CUDA device 0 is cannot be told among different ones (NVIDIA T4, NVIDIA H100)"
    )
    uuids, names = zip(*MIXED, strict=True)
    assert uuid_of_index(0, uuids, names, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}) == uuids[0]
    assert uuid_of_index(0, uuids, names, {"CUDA_VISIBLE_DEVICES": uuids[1]}) == uuids[1]


@pytest.mark.parametrize("wanted", ["GPU-bbbb3333-0", "bbbb3333-0", "BBBB3333"])
def test_a_card_is_opened_by_its_uuid_as_torch_or_nvml_write_it(wanted):
    assert opened(FakeNvml(TWINS), wanted).card().index == 2


def test_a_uuid_that_fits_no_card_or_two_is_told():
    assert refused("GPU-cccc", TWINS).startswith("no card has a UUID that begins with 'GPU-cccc'")
    assert refused("GPU-aaa", TWINS).startswith("2 cards have a UUID that begins with 'GPU-aaa'")


def test_a_slice_is_opened_by_its_own_uuid():
    assert refused("MIG-12", TWINS) == "the card MIG-12 cannot be opened: Not Found"
    nvml = FakeNvml([*TWINS, ("MIG-12", "slice")])
    sampler = open_nvidia(0, nvml=nvml, environ={"CUDA_VISIBLE_DEVICES": "MIG-12"})
    assert isinstance(sampler, NvidiaSampler) and sampler.card().uuid == "MIG-12"


def test_energy_is_the_card_s_counter_else_its_power_else_nothing():
    clock = Clock()
    nvml = FakeNvml([H100], energy_mj=5_000, power_mw=100_000)
    meter = opened(nvml, clock=clock).energy_meter()
    assert isinstance(meter, CounterEnergy) and (meter.method, meter.source) == ("counter", "nvml")
    meter.begin()
    clock.now_s += 2
    nvml.answers["energy_mj"] = 8_500
    meter.end()
    assert (meter.energy_j(), meter.seconds) == (3.5, 2)
    assert isinstance(opened(FakeNvml([H100], power_mw=1)).energy_meter(), IntegralEnergy)
    assert isinstance(opened(FakeNvml([H100])).energy_meter(), NoTelemetry)


def test_the_fake_and_the_sampler_use_only_names_that_nvidia_ml_py_has():
    real = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    used = [name for name in dir(FakeNvml) if name.lower().startswith("nvml")]
    assert len(used) > 25
    assert [name for name in used if not hasattr(real, name)] == []
    for name in used:
        ours, theirs = getattr(FakeNvml, name), getattr(real, name)
        if isinstance(ours, int):
            assert ours == theirs, name
        elif inspect.isfunction(ours):
            parameters = list(inspect.signature(ours).parameters.values())[1:]
            inspect.signature(theirs).bind(*parameters)
    assert issubclass(real.NVMLError, Exception)


def test_every_reason_that_nvidia_ml_py_names_has_words():
    real = importlib.import_module("pynvml")
    for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
        named = {name.removeprefix(prefix) for name in dir(real) if name.startswith(prefix)}
        assert named - {"All", "None", "UserDefinedClocks", "s"} <= set(EVENT_REASONS)
    for bit in range(9):
        assert not decode_reasons(1 << bit, real)[0].startswith("reason")
    assert decode_reasons(0x4, real) == ("power cap",)


def test_this_machine_answers_with_a_card_or_a_reason():
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    answer = open_nvidia(0)
    if isinstance(answer, NoTelemetry):
        assert answer.reason
    else:
        assert answer.card().uuid
        answer.close()
