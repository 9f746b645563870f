"""The meter over made-up /proc trees, and once over this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from harness.analysis.contention import judge
from harness.telemetry.contention import TICK_PERIOD_S, ContentionMeter
from tests.telemetry.trees import Clock, process, remove, stat, write

WORKER, ORCHESTRATOR = 50, 40


class Machine:
    """Two cores, a worker and an orchestrator, all at rest until moved."""

    def __init__(self, root, *, cores: int = 2, worker_cpus: str | None = None) -> None:
        self.root = root
        self.clock = Clock()
        self.cores = {n: {"idle": 100.0} for n in range(cores)}
        self.cpu_s = {WORKER: 5.0, ORCHESTRATOR: 1.0}
        self.worker_cpus = worker_cpus or f"0-{cores - 1}"
        self.own_cpus = f"0-{cores - 1}"
        self.orchestrator_reaped_s = 0.0
        self.extra: dict[str, str] = {}
        self.write()

    def write(self) -> None:
        write(self.root, {"proc/stat": stat(self.cores), "proc/loadavg": "1.5 1.0 0.5 1/80 99\n", **self.extra})
        process(self.root, WORKER, parent=ORCHESTRATOR, cpu_s=self.cpu_s[WORKER], cpus=self.worker_cpus)
        process(
            self.root,
            ORCHESTRATOR,
            cpu_s=self.cpu_s[ORCHESTRATOR],
            reaped_s=self.orchestrator_reaped_s,
            cpus=self.own_cpus,
        )

    def move(self, wall_s: float, *, worker=0.0, own=0.0, busy: dict[int, float] | None = None, steal=0.0) -> None:
        """Let `wall_s` pass in which core n was busy for busy[n] seconds; the rest of it is idle."""
        self.clock.now_s += wall_s
        self.cpu_s[WORKER] += worker
        self.cpu_s[ORCHESTRATOR] += own
        for n, core in self.cores.items():
            used = (busy or {}).get(n, 0.0)
            core["user"] = core.get("user", 0.0) + used
            core["steal"] = core.get("steal", 0.0) + steal
            core["idle"] += wall_s - used - steal
        self.write()

    def meter(self, **more) -> ContentionMeter:
        return ContentionMeter(lambda: [WORKER], lambda: [ORCHESTRATOR], root=self.root, clock=self.clock, **more)


def test_foreign_time_is_what_is_busy_less_the_worker_less_the_harness(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.move(10, worker=9, own=0.2, busy={0: 9.5, 1: 2.7})
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert reading.foreign_cores == pytest.approx((12.2 - 9.2) / 10)
    assert reading.foreign_cpu_share == pytest.approx(3.0 / 20)
    assert reading.own_share == pytest.approx(0.2 / 20)
    assert reading.worker_cpu_per_wall == pytest.approx(0.9)
    assert (reading.wall_s, reading.cores, reading.segments, reading.load1) == (10, 2, 1, 1.5)
    assert judge(reading, 2)[0] is True


def test_what_happens_between_segments_does_not_count(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.move(4, worker=4, busy={0: 4})
    meter.end()
    machine.move(100, busy={0: 90, 1: 90})  # evaluation, with the whole machine busy
    meter.begin()
    machine.move(6, worker=6, busy={0: 6, 1: 2})
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert (reading.wall_s, reading.segments) == (10, 2)
    assert reading.foreign_cores == pytest.approx(0.2)


def test_only_the_cores_of_the_worker_count(tmp_path):
    machine = Machine(tmp_path, cores=4, worker_cpus="2-3")
    meter = machine.meter()
    meter.begin()
    machine.move(10, worker=18, busy={0: 10, 1: 10, 2: 9, 3: 9})
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert reading.cores == 2
    assert reading.foreign_cores == pytest.approx(0.0)
    assert judge(reading, 2) == (False, None)


def test_cores_given_by_the_person_win_over_what_the_threads_say(tmp_path):
    machine = Machine(tmp_path, cores=4)
    meter = machine.meter(cpus=[1])
    meter.begin()
    machine.move(10, worker=5, busy={0: 10, 1: 8})
    meter.end()
    reading = meter.reading()
    assert reading is not None and reading.cores == 1
    assert reading.foreign_cores == pytest.approx(0.3)


def test_an_orchestrator_kept_away_from_the_workers_cores_is_not_taken_off_there(tmp_path):
    machine = Machine(tmp_path, cores=4, worker_cpus="2-3")
    machine.own_cpus = "0-1"
    machine.write()
    meter = machine.meter()
    meter.begin()
    machine.move(10, worker=10, own=5, busy={0: 5, 2: 10, 3: 4})
    meter.end()
    reading = meter.reading()
    assert reading is not None and reading.foreign_cores == pytest.approx(0.4)


def test_a_program_that_the_orchestrator_ran_and_waited_for_is_its_own_time(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.orchestrator_reaped_s = 3.0  # npu-smi, say
    machine.move(10, worker=10, busy={0: 10, 1: 3})
    meter.end()
    reading = meter.reading()
    assert reading is not None and reading.foreign_cores == pytest.approx(0.0)


def test_steal_pressure_and_throttling_are_told_apart(tmp_path):
    machine = Machine(tmp_path)
    machine.extra = {
        "proc/pressure/cpu": "some avg10=0 avg60=0 avg300=0 total=1000000\n",
        "proc/pressure/memory": "some avg10=0 avg60=0 avg300=0 total=0\n",
        "proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.stat": "nr_periods 1\nnr_throttled 10\nthrottled_usec 5000000\n",
    }
    machine.write()
    meter = machine.meter()
    meter.begin()
    machine.extra["proc/pressure/cpu"] = "some avg10=0 avg60=0 avg300=0 total=3000000\n"
    machine.extra["sys/fs/cgroup/cpu.stat"] = "nr_periods 1\nnr_throttled 13\nthrottled_usec 5750000\n"
    machine.move(10, worker=10, busy={0: 10}, steal=0.0)
    machine.move(10, worker=0, steal=1.0)
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert reading.pressure_some_avg == pytest.approx(0.1)
    assert reading.memory_pressure_some_avg == 0
    assert (reading.nr_throttled, reading.throttled_s) == (3, pytest.approx(0.75))
    assert reading.steal_share == pytest.approx(2 / 40)


def test_a_worker_that_dies_is_judged_up_to_the_last_tick_that_saw_it(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.move(TICK_PERIOD_S, worker=TICK_PERIOD_S, busy={0: TICK_PERIOD_S, 1: 1.0})
    meter.tick()
    machine.move(2, busy={0: 2, 1: 2})
    remove(tmp_path, WORKER)
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert reading.wall_s == TICK_PERIOD_S
    assert reading.foreign_cores == pytest.approx(1.0 / TICK_PERIOD_S)


def test_a_worker_that_dies_unseen_makes_strangers_unknown_not_guilty(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.move(3, busy={0: 3})
    remove(tmp_path, WORKER)
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert (reading.foreign_cores, reading.worker_cpu_per_wall) == (None, None)
    assert reading.wall_s == 3


def test_ticks_come_seldom_and_the_open_segment_counts_up_to_them(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.tick()
    assert meter.reading() is None
    meter.begin()
    machine.move(TICK_PERIOD_S / 2, worker=1, busy={0: 1})
    meter.tick()
    assert meter.reading() is None
    machine.move(TICK_PERIOD_S, worker=1, busy={0: 1})
    meter.tick()
    reading = meter.reading()
    assert reading is not None and reading.wall_s == TICK_PERIOD_S * 1.5


def test_ending_what_never_began_is_nothing(tmp_path):
    meter = Machine(tmp_path).meter()
    meter.end()
    assert meter.reading() is None


def test_a_machine_that_tells_nothing_gives_none_everywhere(tmp_path):
    clock = Clock()
    meter = ContentionMeter(lambda: [WORKER], list, root=tmp_path, clock=clock)
    meter.begin()
    clock.now_s += 10
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert (reading.foreign_cores, reading.steal_share, reading.throttled_s, reading.load1) == (None,) * 4
    assert (reading.own_share, reading.pressure_some_avg, reading.cores) == (None,) * 3
    assert judge(reading, 2)[0] is None


def test_counters_that_stand_still_are_not_believed(tmp_path):
    machine = Machine(tmp_path)
    meter = machine.meter()
    meter.begin()
    machine.clock.now_s += 10  # /proc/stat shows the same zeros, as under gVisor
    meter.end()
    reading = meter.reading()
    assert reading is not None
    assert (reading.foreign_cores, reading.steal_share) == (None, None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_a_busy_neighbour_is_seen_on_this_machine():
    """A worker that sleeps, and a stranger that spins for over a second: at least half of a core is foreign."""
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stranger = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        meter = ContentionMeter(lambda: [worker.pid], lambda: [os.getpid()])
        meter.begin()
        began = time.monotonic()
        while time.monotonic() - began < 1.2:
            time.sleep(0.1)
        meter.end()
    finally:
        stranger.kill()
        stranger.wait()
        worker.communicate(b"\n")
    reading = meter.reading()
    assert reading is not None and reading.foreign_cores is not None and reading.worker_cpu_per_wall is not None
    assert reading.foreign_cores > 0.3
    assert reading.worker_cpu_per_wall < 0.2
    assert judge(reading, reading.cores)[0] is True
