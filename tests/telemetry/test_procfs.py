from __future__ import annotations

import os

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.telemetry.processor import cpu_list
from harness.telemetry.procfs import (
    CpuTimes,
    online_cpus,
    parse_cpu_list,
    read_load,
    read_machine_times,
    read_memory_bytes,
    read_pressure_s,
)
from tests.telemetry.trees import stat, write


def test_seconds_are_read_by_core_with_guest_time_counted_once(tmp_path):
    write(tmp_path, {"proc/stat": stat({0: {"user": 5, "guest": 5, "idle": 7}, 1: {"steal": 2, "irq": 1}}, ctxt=42)})
    times = read_machine_times(tmp_path)
    assert times is not None
    assert times.context_switches == 42
    assert times.cores[0] == CpuTimes(user=5, idle=7)
    assert (times.cores[0].busy, times.cores[0].total) == (5, 12)
    assert (times.cores[1].busy, times.cores[1].total) == (1, 3)


def test_waiting_for_the_disk_is_not_busy():
    assert CpuTimes(iowait=3.0, idle=1.0).busy == 0


def test_only_the_asked_cores_are_added(tmp_path):
    write(tmp_path, {"proc/stat": stat({n: {"user": 2.0**n} for n in range(4)})})
    times = read_machine_times(tmp_path)
    assert times is not None
    assert times.of((1, 3)) == CpuTimes(user=10)
    assert times.of(None) == CpuTimes(user=15)
    assert times.of((1, 9)) is None
    assert times.of(()) is None


def test_cores_renumbered_by_a_container_stand_for_those_allowed(tmp_path):
    write(tmp_path, {"proc/stat": stat({0: {"user": 1}, 1: {"user": 2}})})
    times = read_machine_times(tmp_path)
    assert times is not None and times.of((12, 13)) == CpuTimes(user=3)


def test_a_counter_that_ran_backwards_counts_as_nothing():
    assert CpuTimes(user=2, iowait=1).since(CpuTimes(user=1, iowait=5)) == CpuTimes(user=1)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3", "cpu0 x y z\n", "nonsense"])
def test_an_unusable_stat_file_reads_as_none(tmp_path, text):
    write(tmp_path, {"proc/stat": text})
    assert read_machine_times(tmp_path) is None


def test_everything_missing_reads_as_none(tmp_path):
    assert read_machine_times(tmp_path) is None
    assert read_load(tmp_path) is None
    assert read_pressure_s("cpu", tmp_path) is None
    assert online_cpus(tmp_path) is None
    assert read_memory_bytes(tmp_path) == {}


def test_pressure_is_the_total_of_the_line_that_says_some(tmp_path):
    write(tmp_path, {"proc/pressure/memory": "some avg10=0.1 avg60=0 avg300=0 total=2500000\nfull avg10=0 total=1\n"})
    assert read_pressure_s("memory", tmp_path) == 2.5


def test_memory_sizes_are_bytes_and_counts_are_counts(tmp_path):
    write(tmp_path, {"proc/meminfo": "MemTotal:       2048 kB\nHugePages_Total:       3\n"})
    assert read_memory_bytes(tmp_path) == {"MemTotal": 2048 * 1024, "HugePages_Total": 3}


@given(st.sets(st.integers(0, 300)))
def test_cpu_lists_survive_writing_and_reading(cpus):
    assert set(parse_cpu_list(cpu_list(cpus) or "")) == cpus


def test_cpu_lists_are_written_like_the_kernel_does():
    assert cpu_list((5, 0, 1, 2, 8, 9)) == "0-2,5,8-9"
    assert cpu_list(None) is None


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux's /proc")  # noqa: PTH110
def test_this_machine_reads_as_psutil_reads_it():
    before = psutil.cpu_times()
    times = read_machine_times()
    after = psutil.cpu_times()
    assert times is not None
    ours = times.of(None)
    assert ours is not None
    assert len(times.cores) == psutil.cpu_count()
    assert before.user - 1 <= ours.user <= after.user + 1
    assert before.idle - 1 <= ours.idle <= after.idle + 1
