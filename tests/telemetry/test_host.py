from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from harness.telemetry.host import HOST_UNITS, SLOW_PERIOD_S, HostSample, HostSampler
from harness.telemetry.samples import series_values
from tests.telemetry.trees import Clock, process, remove, stat, write

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


def sampler(root, clock, pids=(7,)) -> HostSampler:
    return HostSampler(lambda: pids, root=root, clock=clock, through_psutil=False)


def test_a_sample_is_the_difference_to_the_one_before(tmp_path):
    clock = Clock()
    write(
        tmp_path,
        {
            "proc/stat": stat({0: {"idle": 10}, 1: {"idle": 10}}, ctxt=100),
            "proc/loadavg": "0.5 0.25 0.125 1/80 99\n",
            "proc/meminfo": "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable: 40 kB\n",
            "sys/devices/system/cpu/online": "0-1\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2600000\n",
            "sys/class/hwmon/hwmon0/name": "nvme\n",
            "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
            "sys/class/hwmon/hwmon1/name": "k10temp\n",
            "sys/class/hwmon/hwmon1/temp1_input": "41500\n",
            "sys/class/hwmon/hwmon1/temp3_input": "44250\n",
        },
    )
    process(tmp_path, 7, cpu_s=3, rss_pages=5, io=(4096, 512))
    process(tmp_path, 8, parent=7, rss_pages=2, io=(1, 2))
    made = sampler(tmp_path, clock)
    clock.now_s += 0.5
    write(tmp_path, {"proc/stat": stat({0: {"idle": 10.1, "user": 0.4}, 1: {"idle": 10.5}}, ctxt=150)})
    process(tmp_path, 7, cpu_s=3.4, rss_pages=5, io=(4096, 512))
    sample = made.sample()
    assert sample.cpu_by_core == (pytest.approx(0.8), 0.0)
    assert sample.cpu_total == pytest.approx(0.4)
    assert sample.context_switches_per_s == 100
    assert (sample.memory_used_bytes, sample.memory_available_bytes) == (60 * 1024, 40 * 1024)
    assert sample.worker_cpu_per_wall == pytest.approx(0.8)
    assert (sample.worker_processes, sample.worker_rss_bytes) == (2, 7 * PAGE)
    assert (sample.worker_read_bytes, sample.worker_write_bytes) == (4097, 514)
    assert (sample.load1, sample.load5, sample.load15) == (0.5, 0.25, 0.125)
    assert (sample.frequency_mhz, sample.temperature_c) == (2600, 44.25)
    assert series_values(sample, HOST_UNITS)["temperature_c"] == 44.25


def test_what_cannot_be_read_is_none_and_nothing_is_raised(tmp_path):
    clock = Clock()
    made = sampler(tmp_path, clock)
    clock.now_s += 1
    sample = made.sample()
    assert set(series_values(sample, HOST_UNITS).values()) == {None}
    assert (sample.cpu_by_core, sample.worker_processes) == (None, 0)


def test_a_worker_that_forbids_asking_for_its_io_has_none_not_zero(tmp_path):
    process(tmp_path, 7, io=(4096, 512))
    process(tmp_path, 8, parent=7)
    sample = sampler(tmp_path, Clock()).sample()
    assert (sample.worker_read_bytes, sample.worker_write_bytes) == (None, None)
    assert sample.worker_rss_bytes == 20 * PAGE


def test_a_worker_that_ends_between_samples_leaves_none(tmp_path):
    clock = Clock()
    process(tmp_path, 7, cpu_s=3)
    made = sampler(tmp_path, clock)
    clock.now_s += 1
    remove(tmp_path, 7)
    sample = made.sample()
    assert (sample.worker_cpu_per_wall, sample.worker_rss_bytes, sample.worker_processes) == (None, None, 0)


def test_a_new_worker_is_seen_at_once_and_new_children_soon(tmp_path):
    clock, pids = Clock(), [7]
    process(tmp_path, 7)
    made = HostSampler(lambda: pids, root=tmp_path, clock=clock, through_psutil=False)
    process(tmp_path, 9, cpu_s=8)
    pids[:] = [9]
    clock.now_s += 1
    first = made.sample()
    assert (first.worker_processes, first.worker_cpu_per_wall) == (1, None)  # nothing to compare with yet
    process(tmp_path, 10, parent=9, cpu_s=4)  # it has run for a while when it is seen
    clock.now_s += SLOW_PERIOD_S
    second = made.sample()
    assert (second.worker_processes, second.worker_cpu_per_wall) == (2, 0.0)
    process(tmp_path, 10, parent=9, cpu_s=4.5)
    clock.now_s += 1
    assert made.sample().worker_cpu_per_wall == pytest.approx(0.5)


def test_two_samples_at_one_moment_divide_by_nothing(tmp_path):
    write(tmp_path, {"proc/stat": stat({0: {"idle": 10}})})
    process(tmp_path, 7)
    made = sampler(tmp_path, Clock())
    sample = made.sample()
    assert (sample.cpu_total, sample.worker_cpu_per_wall, sample.context_switches_per_s) == (None, None, None)


def test_every_unit_belongs_to_a_field():
    assert set(HOST_UNITS) <= set(HostSample.__dataclass_fields__)


@linux
@pytest.mark.parametrize("through_psutil", [False, True], ids=["proc", "psutil"])
def test_this_machine_reads_the_same_either_way(through_psutil):
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        made = HostSampler(lambda: [child.pid], through_psutil=through_psutil)
        began = psutil.Process(child.pid).cpu_times().user
        while psutil.Process(child.pid).cpu_times().user < began + 0.2:  # wait for work done, not for time
            time.sleep(0.02)
        sample = made.sample()
    finally:
        child.kill()
        child.wait()
    assert sample.worker_processes == 1
    assert sample.worker_cpu_per_wall is not None and 0 < sample.worker_cpu_per_wall < 1.5
    assert sample.worker_rss_bytes is not None and sample.worker_rss_bytes > 1 << 20
    assert sample.cpu_by_core is not None and len(sample.cpu_by_core) == psutil.cpu_count()
    assert sample.cpu_total is not None and 0 < sample.cpu_total <= 1
    assert sample.memory_available_bytes == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert sample.load1 is not None
