from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.telemetry.processes import (
    ProcessTimes,
    allowed_cpus,
    look_period_s,
    process_tree,
    read_process,
    read_processes,
    tree_cpu_s,
)
from tests.telemetry.trees import process, remove, write

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")


def times(pid: int, own: float, reaped: float = 0.0, started: int = 1) -> ProcessTimes:
    return ProcessTimes(pid=pid, parent=1, started=started, own_cpu_s=own, reaped_cpu_s=reaped, rss_bytes=0)


def keyed(*processes: ProcessTimes) -> dict[tuple[int, int], ProcessTimes]:
    return {(one.pid, one.started): one for one in processes}


@pytest.mark.parametrize("lists", [True, False], ids=["kernel lists children", "kernel does not"])
def test_the_tree_holds_descendants_and_no_strangers(tmp_path, lists):
    children = {10: [11, 12], 11: [13], 12: [], 13: [], 20: [21], 21: []}
    parents = {child: parent for parent, below in children.items() for child in below}
    for pid, below in children.items():
        process(tmp_path, pid, parent=parents.get(pid, 1), children=below if lists else None)
    assert process_tree([10], tmp_path) == (10, 11, 12, 13)
    assert process_tree([10, 21, 99], tmp_path) == (10, 11, 12, 13, 21)
    assert process_tree([99], tmp_path) == ()


def test_a_costly_look_through_the_processes_is_taken_seldomer():
    assert look_period_s(0.001, 5.0) == 5.0
    assert look_period_s(0.2, 5.0) == pytest.approx(100.0)


def test_a_command_with_brackets_and_spaces_does_not_shift_the_fields(tmp_path):
    process(tmp_path, 7, parent=3, cpu_s=1.5, reaped_s=0.5, command="a) R 1 (b c", rss_pages=4)
    found = read_process(7, tmp_path)
    assert found is not None
    assert (found.parent, found.own_cpu_s, found.reaped_cpu_s) == (3, 1.5, 0.5)
    assert found.rss_bytes == 4 * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_is_gone_or_unreadable_is_left_out(tmp_path):
    process(tmp_path, 7)
    write(tmp_path, {"proc/8/stat": "8 (short) S 1"})
    assert set(read_processes([7, 8, 9], tmp_path)) == {(7, 100)}
    remove(tmp_path, 7)
    assert read_processes([7], tmp_path) == {}


def test_a_reaped_child_is_counted_once():
    first = keyed(times(1, own=10), times(2, own=4))
    last = keyed(times(1, own=11, reaped=7))  # the child used 3 more, then its 7 went to the parent
    assert tree_cpu_s(first, last) == 1 + 3


def test_a_child_born_and_reaped_between_the_looks_is_counted():
    assert tree_cpu_s(keyed(times(1, own=10)), keyed(times(1, own=11, reaped=5))) == 6


def test_a_child_that_left_the_tree_unreaped_takes_nothing_off():
    assert tree_cpu_s(keyed(times(1, own=10), times(2, own=40)), keyed(times(1, own=12))) == 2


def test_a_reused_pid_is_another_process():
    first = keyed(times(1, own=10), times(2, own=40, started=1))
    last = keyed(times(1, own=10), times(2, own=3, started=9))
    assert tree_cpu_s(first, last) == 3


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50), st.booleans()), max_size=6),
    st.floats(0, 50),
    st.floats(0, 5),
)
def test_a_tree_whose_children_are_all_reaped_or_alive_adds_up_exactly(children, root_before, root_more):
    """The oracle is the plain sum of what each process used, which the kernel's bookkeeping must give back."""
    first, last = [times(1, root_before)], []
    reaped = 0.0
    for pid, (before, more, ends) in enumerate(children, start=2):
        first.append(times(pid, before))
        if ends:
            reaped += before + more
        else:
            last.append(times(pid, before + more))
    last.append(times(1, root_before + root_more, reaped))
    used = root_more + sum(more for _, more, _ in children)
    assert tree_cpu_s(keyed(*first), keyed(*last)) == pytest.approx(used, abs=1e-9)


def test_the_cores_of_all_threads_are_joined_and_cut_to_those_online(tmp_path):
    process(tmp_path, 7, cpus="0")
    write(tmp_path, {"proc/7/task/70/status": "Cpus_allowed_list:\t2-3\n"})
    assert allowed_cpus([7], tmp_path) == (0, 2, 3)
    write(tmp_path, {"sys/devices/system/cpu/online": "0-2\n"})
    assert allowed_cpus([7], tmp_path) == (0, 2)
    write(tmp_path, {"sys/devices/system/cpu/online": "8-9\n"})
    assert allowed_cpus([7], tmp_path) == (0, 2, 3)  # numbered otherwise in a container
    assert allowed_cpus([99], tmp_path) is None


@linux
def test_this_machine_s_processes_read_as_psutil_reads_them():
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        me = psutil.Process()
        assert set(process_tree([os.getpid()])) >= {os.getpid(), child.pid}
        assert process_tree([child.pid]) == (child.pid,)
        found = read_process(os.getpid())
        assert found is not None and found.parent == me.ppid()
        assert found.own_cpu_s == pytest.approx(sum(me.cpu_times()[:2]), abs=0.5)
        assert allowed_cpus([child.pid]) == tuple(sorted(os.sched_getaffinity(child.pid)))
    finally:
        child.communicate()
    assert process_tree([child.pid]) == ()
