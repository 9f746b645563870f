from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.telemetry.power import (
    IDLE_S,
    LONGEST_GAP_S,
    CounterEnergy,
    IntegralEnergy,
    idle_power_w,
    mean_power_w,
    rapl_meter,
    trapezoid,
)
from harness.telemetry.samples import NoTelemetry
from tests.telemetry.trees import Clock, write

POWERCAP = "sys/class/powercap"


def zone(root, folder: str, name: str, energy_uj: int, range_uj: int = 1_000_000_000) -> None:
    write(
        root,
        {
            f"{POWERCAP}/{folder}/name": f"{name}\n",
            f"{POWERCAP}/{folder}/energy_uj": f"{energy_uj}\n",
            f"{POWERCAP}/{folder}/max_energy_range_uj": f"{range_uj}\n",
        },
    )


def rapl(root, clock: Clock) -> CounterEnergy:
    meter = rapl_meter(root=root, clock=clock)
    assert isinstance(meter, CounterEnergy), meter
    return meter


def test_packages_and_memory_are_added_and_nothing_is_counted_twice(tmp_path):
    for n, (folder, name) in enumerate(
        [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        ]
    ):
        zone(tmp_path, folder, name, 10**n)
    meter = rapl(tmp_path, Clock())
    assert (meter.method, meter.source) == ("counter", "rapl: package-0 + dram + package-1")
    meter.begin()
    zone(tmp_path, "intel-rapl:0", "package-0", 1 + 2_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 10 + 1_000_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 100 + 500_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 1000 + 250_000)
    meter.end()
    assert meter.energy_j() == pytest.approx(2.75)


def test_a_counter_that_wraps_goes_on_from_its_range(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
    meter = rapl(tmp_path, Clock())
    meter.begin()
    for energy_uj in (2_000_000, 8_000_000, 1_000_000):  # wraps twice: ticks must not miss one
        zone(tmp_path, "intel-rapl:0", "package-0", energy_uj, range_uj=10_000_000)
        meter.tick()
    meter.end()
    assert meter.energy_j() == pytest.approx(3 + 6 + 3)


def test_a_machine_without_counters_and_one_that_forbids_them_say_so(tmp_path):
    none = rapl_meter(root=tmp_path)
    assert isinstance(none, NoTelemetry) and "no RAPL" in none.reason
    write(tmp_path, {f"{POWERCAP}/intel-rapl:0/name": "package-0\n"})
    forbidden = rapl_meter(root=tmp_path)
    assert isinstance(forbidden, NoTelemetry)
    assert forbidden.reason == "the RAPL energy counter intel-rapl:0 may not be read"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_counter_for_root_only_is_forbidden(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (tmp_path / POWERCAP / "intel-rapl:0/energy_uj").chmod(0)
    assert isinstance(rapl_meter(root=tmp_path), NoTelemetry)


def test_a_counter_that_becomes_unreadable_makes_the_energy_unknown(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    meter = rapl(tmp_path, Clock())
    meter.begin()
    (tmp_path / POWERCAP / "intel-rapl:0/energy_uj").unlink()
    meter.end()
    assert meter.energy_j() is None


def test_energy_of_several_segments_leaves_out_what_lies_between():
    clock, counter = Clock(), {"card": 100.0}
    meter = CounterEnergy(lambda: dict(counter), source="nvml", clock=clock)
    assert meter.energy_j() is None  # nothing measured is not 0
    for used in (5.0, 7.0):
        meter.begin()
        clock.now_s += 2
        counter["card"] += used
        meter.end()
        counter["card"] += 1000.0
    assert (meter.energy_j(), meter.seconds, mean_power_w(meter)) == (12.0, 4.0, 3.0)


def test_a_counter_without_a_range_that_falls_is_unknown():
    counter = {"card": 100.0}
    meter = CounterEnergy(lambda: dict(counter), source="nvml", clock=Clock())
    meter.begin()
    counter["card"] = 1.0  # the driver was loaded anew
    meter.end()
    assert meter.energy_j() is None


def test_a_card_that_used_nothing_used_zero():
    meter = CounterEnergy(lambda: {"card": 3.0}, source="nvml", clock=Clock())
    meter.begin()
    meter.end()
    assert meter.energy_j() == 0.0


def powered(clock: Clock, values: Iterator[float | None]) -> IntegralEnergy:
    return IntegralEnergy(lambda: next(values), source="nvml", clock=clock)


def test_power_is_integrated_by_trapezoids():
    clock = Clock()
    meter = powered(clock, iter([100.0, 200.0, 200.0]))
    meter.begin()
    clock.now_s += 1
    meter.tick()
    clock.now_s += 0.5
    meter.end()
    assert meter.energy_j() == pytest.approx(150 + 100)
    assert meter.seconds == 1.5
    assert meter.method == "integral"


def test_a_missing_sample_in_the_middle_is_bridged_but_a_long_silence_is_not():
    for gap_s, known in ((LONGEST_GAP_S / 2 - 0.1, True), (LONGEST_GAP_S / 2 + 0.1, False)):
        clock = Clock()
        meter = powered(clock, iter([100.0, None, 100.0]))
        meter.begin()
        clock.now_s += gap_s
        meter.tick()
        clock.now_s += gap_s
        meter.end()
        assert (meter.energy_j() is not None) is known


@pytest.mark.parametrize("values", [[None, 5.0], [5.0, None]], ids=["at the start", "at the end"])
def test_power_missing_at_an_edge_makes_the_energy_unknown(values):
    clock = Clock()
    meter = powered(clock, iter(values))
    meter.begin()
    clock.now_s += 1
    meter.end()
    assert meter.energy_j() is None


def test_ticks_outside_a_segment_do_nothing():
    calls: list[int] = []
    meter = IntegralEnergy(lambda: calls.append(1) or 1.0, source="nvml", clock=Clock())
    meter.tick()
    meter.end()
    assert (calls, meter.energy_j()) == ([], None)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20), st.floats(0, 700), st.floats(-50, 50))
def test_a_straight_line_is_integrated_exactly(steps, start_w, slope):
    times = [0.0]
    for step in steps:
        times.append(times[-1] + step)
    end = times[-1]
    exact = start_w * end + slope * end * end / 2
    assert trapezoid(times, [start_w + slope * t for t in times]) == pytest.approx(exact, rel=1e-9, abs=1e-6)


def test_fewer_than_two_samples_have_no_integral():
    assert trapezoid([], []) is None
    assert trapezoid([1.0], [5.0]) is None


def test_idle_power_is_measured_over_its_seconds():
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now_s += seconds

    meter = CounterEnergy(lambda: {"card": clock.now_s * 70.0}, source="nvml", clock=clock)
    assert idle_power_w(meter, sleep=sleep) == pytest.approx(70.0)
    assert meter.seconds == IDLE_S
    unknown = CounterEnergy(lambda: None, source="nvml", clock=clock)
    assert idle_power_w(unknown, sleep=sleep) is None
