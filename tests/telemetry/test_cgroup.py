from __future__ import annotations

from harness.telemetry.cgroup import CgroupLimits, Throttling, cgroup_names, read_limits, read_throttling
from tests.telemetry.trees import write

V2 = {
    "proc/self/mounts": "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
    "proc/self/cgroup": "0::/pod/box\n",
}
V1 = {
    "proc/self/mounts": (
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    ),
    "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n",
}


def test_the_tightest_limit_of_any_level_holds_in_version_2(tmp_path):
    write(
        tmp_path,
        V2
        | {
            "sys/fs/cgroup/pod/box/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/box/memory.max": "4096\n",
            "sys/fs/cgroup/pod/memory.max": "8192\n",
            "sys/fs/cgroup/memory.max": "max\n",
        },
    )
    assert read_limits(tmp_path) == CgroupLimits("v2", 1.5, 4096)


def test_version_1_limits_are_read_and_its_huge_numbers_are_no_limit(tmp_path):
    group = "sys/fs/cgroup/cpu,cpuacct/docker/abc"
    write(
        tmp_path,
        V1
        | {
            f"{group}/cpu.cfs_quota_us": "-1\n",
            f"{group}/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert read_limits(tmp_path) == CgroupLimits("v1", None, None)
    write(tmp_path, {f"{group}/cpu.cfs_quota_us": "50000\n"})
    assert read_limits(tmp_path).cpu_quota_cores == 0.5


def test_a_host_path_that_is_not_mounted_here_means_the_mount_itself(tmp_path):
    write(tmp_path, V1 | {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000"})
    write(tmp_path, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"})
    assert read_limits(tmp_path).cpu_quota_cores == 2.0


def test_throttling_is_that_of_the_level_held_back_most(tmp_path):
    write(
        tmp_path,
        V2
        | {
            "sys/fs/cgroup/pod/box/cpu.stat": "usage_usec 5\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
            "sys/fs/cgroup/pod/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 4\nthrottled_usec 1500000\n",
        },
    )
    assert read_throttling(tmp_path) == Throttling(4, 1.5)


def test_version_1_throttling_is_in_nanoseconds(tmp_path):
    write(tmp_path, V1 | {"sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.stat": "nr_throttled 2\nthrottled_time 250000000"})
    assert read_throttling(tmp_path) == Throttling(2, 0.25)


def test_a_machine_without_groups_has_no_limit_and_no_throttling(tmp_path):
    assert read_limits(tmp_path) == CgroupLimits(None, None, None)
    assert read_throttling(tmp_path) is None
    write(tmp_path, V2 | {"sys/fs/cgroup/cpu.stat": "usage_usec 5\n"})  # the root group counts no throttling
    assert read_throttling(tmp_path) is None


def test_group_names_are_told_once(tmp_path):
    write(tmp_path, V1)
    assert cgroup_names(tmp_path) == ("/docker/abc", "/")
