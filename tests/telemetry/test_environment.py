from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.telemetry.environment import (
    flatten,
    git_state,
    host_environment,
    merge_worker,
    package_versions,
)
from tests.telemetry.trees import write

REPOSITORY = Path(__file__).resolve().parents[2]

X86 = """processor\t: {n}
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R)   Platinum 8480+
microcode\t: 0x2b
physical id\t: {socket}
core id\t\t: {core}
flags\t\t: fpu avx2 avx512f amx_bf16 amx_int8 {more}
"""


def x86(*, sockets: int = 2, cores: int = 2, threads: int = 2, more: str = "") -> str:
    blocks = [
        X86.format(n=0, socket=socket, core=core, more=more)
        for _ in range(threads)
        for socket in range(sockets)
        for core in range(cores)
    ]
    return "\n".join(blocks)


def environment(root: Path, **environ: str) -> dict:
    return host_environment(root=root, environ={"PATH": "", **environ})


def test_the_same_keys_stand_everywhere_whatever_can_be_read(tmp_path):
    empty, here = environment(tmp_path), host_environment(environ={})
    assert set(flatten(empty)) == set(flatten(here))
    assert json.loads(json.dumps(here)) == here


def test_sockets_cores_and_threads_are_counted_apart(tmp_path):
    write(
        tmp_path,
        {
            "proc/cpuinfo": x86(),
            "sys/devices/system/cpu/online": "0-7\n",
            "sys/devices/system/cpu/smt/active": "1\n",
            "sys/devices/system/node/node0/x": "",
            "sys/devices/system/node/node1/x": "",
            "sys/devices/system/cpu/cpu0/cache/index0/level": "1\n",
            "sys/devices/system/cpu/cpu0/cache/index2/level": "2\n",
            "sys/devices/system/cpu/cpu0/cache/index2/type": "Unified\n",
            "sys/devices/system/cpu/cpu0/cache/index2/size": "2048K\n",
        },
    )
    cpu = environment(tmp_path)["cpu"]
    assert (cpu["sockets"], cpu["physical"], cpu["logical"], cpu["smt_active"]) == (2, 4, 8, True)
    assert (cpu["numa_nodes"], cpu["l2_bytes"], cpu["l3_bytes"]) == (2, 2 << 20, None)
    assert (cpu["model"], cpu["vendor"]) == ("Intel(R) Xeon(R) Platinum 8480+", "GenuineIntel")
    assert cpu["flags"] == ["avx2", "avx512f", "amx_bf16", "amx_int8"]


def test_arm_parts_are_named_and_their_cores_counted_by_topology(tmp_path):
    block = "processor\t: {}\nFeatures\t: fp asimd asimddp sve\nCPU implementer\t: 0x48\nCPU part\t: 0xd01\n"
    write(
        tmp_path,
        {
            "proc/cpuinfo": "\n".join(block.format(n) for n in range(2)),
            "sys/devices/system/cpu/online": "0-1\n",
            **{f"sys/devices/system/cpu/cpu{n}/topology/core_id": f"{n}\n" for n in range(2)},
            **{f"sys/devices/system/cpu/cpu{n}/topology/physical_package_id": "0\n" for n in range(2)},
        },
    )
    cpu = environment(tmp_path)["cpu"]
    assert (cpu["model"], cpu["vendor"], cpu["physical"]) == ("HiSilicon TSV110 (Kunpeng 920)", "HiSilicon", 2)
    assert cpu["flags"] == ["asimd", "asimddp", "sve"]


@pytest.mark.parametrize(
    ("file", "value", "turbo"),
    [("intel_pstate/no_turbo", "1", False), ("intel_pstate/no_turbo", "0", True), ("cpufreq/boost", "1", True)],
)
def test_turbo_is_read_from_either_driver(tmp_path, file, value, turbo):
    write(tmp_path, {f"sys/devices/system/cpu/{file}": value})
    assert environment(tmp_path)["power"]["turbo"] is turbo


def test_cores_with_different_governors_are_told(tmp_path):
    folder = "sys/devices/system/cpu"
    write(
        tmp_path, {f"{folder}/cpu{n}/cpufreq/scaling_governor": g for n, g in enumerate(["powersave", "performance"])}
    )
    assert environment(tmp_path)["power"]["governor"] == "performance,powersave"


def test_cores_given_and_cores_allowed_are_both_told(tmp_path):
    cpu = host_environment((3, 4, 6), root=tmp_path, environ={})["cpu"]
    assert (cpu["used"], cpu["used_count"]) == ("3-4,6", 3)
    assert cpu["allowed_count"] is not None
    free = environment(tmp_path)["cpu"]
    assert (free["used"], free["used_count"]) == (None, free["allowed_count"])


def test_memory_is_told_rounded_to_what_one_machine_always_shows(tmp_path):
    write(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:       25000000 kB\nSwapTotal: 0 kB\nHugePages_Total: 4\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        },
    )
    assert environment(tmp_path)["memory"] == {
        "total_gib": 24,
        "swap_gib": 0,
        "transparent_huge_pages": "madvise",
        "huge_pages": 4,
    }


@pytest.mark.parametrize(
    ("files", "environ", "inside"),
    [
        ({}, {}, False),
        ({".dockerenv": ""}, {}, True),
        ({"run/.containerenv": ""}, {}, True),
        ({"proc/1/cgroup": "0::/kubepods/pod1\n"}, {}, True),
        ({"proc/1/cgroup": "0::/init.scope\n"}, {}, False),
        ({}, {"container": "systemd-nspawn"}, True),
    ],
)
def test_a_container_is_known_by_what_engines_leave(tmp_path, files, environ, inside):
    write(tmp_path, files)
    assert environment(tmp_path, **environ)["container"]["inside"] is inside


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ({"proc/cpuinfo": x86()}, None),
        ({"proc/cpuinfo": x86(more="hypervisor")}, "yes"),
        (
            {
                "proc/cpuinfo": x86(more="hypervisor"),
                "sys/class/dmi/id/sys_vendor": "QEMU\n",
                "sys/class/dmi/id/product_name": "Standard PC\n",
            },
            "QEMU Standard PC",
        ),
        ({"sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, None),
        ({"proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2\n"}, "WSL"),
    ],
)
def test_a_virtual_machine_is_named_as_far_as_it_shows(tmp_path, files, hint):
    write(tmp_path, files)
    assert environment(tmp_path)["os"]["virtualisation"] == hint


def test_the_distribution_is_read_from_its_release_file(tmp_path):
    write(
        tmp_path,
        {"etc/os-release": 'NAME="Kylin"\nPRETTY_NAME="Kylin Linux V10"\n', "proc/sys/kernel/osrelease": "4.19"},
    )
    system = environment(tmp_path)["os"]
    assert (system["distribution"], system["kernel"]) == ("Kylin Linux V10", "4.19")


def compiler_in(folder: Path, name: str, says: str, status: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    (folder / name).chmod(0o755)


def test_the_compiler_is_the_first_that_answers(tmp_path):
    assert environment(tmp_path)["compiler"] == {"name": None, "version": None, "path": None}
    binaries = tmp_path / "bin"
    compiler_in(binaries, "c++", "broken", status=1)
    compiler_in(binaries, "g++", "g++ 12.2.0")
    compiler_in(binaries, "icpx", "icpx 2025")
    found = host_environment(root=tmp_path, environ={"PATH": str(binaries)})["compiler"]
    assert found == {"name": "g++", "version": "g++ 12.2.0", "path": str(binaries / "g++")}
    found = host_environment(root=tmp_path, environ={"PATH": str(binaries), "CXX": "icpx"})["compiler"]
    assert found["name"] == "icpx"


def test_variables_that_matter_are_kept_and_secrets_are_not(tmp_path):
    kept = {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "", "ASCEND_RT_VISIBLE_DEVICES": "0"}
    dropped = {
        "USER": "me",
        "AWS_SECRET_ACCESS_KEY": "x",
        "TORCH_HUB_TOKEN": "x",
        "NCCL_AUTH": "x",
        "TORCH_PROXY": "http://me:pass@host/",
        "NVIDIA_API_KEY": "x",
    }
    assert environment(tmp_path, **kept, **dropped)["variables"] == kept


def test_the_home_folder_is_not_told(tmp_path):
    made = environment(tmp_path, HOME="/home/me", TORCH_HOME="/home/me/t", LD_PRELOAD="/home/me2/a:/home/me/b")
    assert made["variables"] == {"TORCH_HOME": "~/t", "LD_PRELOAD": "/home/me2/a:~/b"}


def test_the_worker_overrules_the_host_where_it_speaks():
    host = {"packages": {"torch": None, "numpy": "2.0"}, "variables": {"OMP_NUM_THREADS": "8", "KMP_X": "1"}}
    worker = {
        "packages": {"torch": "2.1.0"},
        "variables": {"OMP_NUM_THREADS": "2"},
        "threads": {"asked": 2, "verified": 2},
    }
    merged = merge_worker(host, worker)
    assert merged["packages"] == {"torch": "2.1.0", "numpy": "2.0"}
    assert merged["variables"] == {"OMP_NUM_THREADS": "2"}
    assert merged["threads"] == {"asked": 2, "verified": 2}
    assert host["packages"]["torch"] is None


def test_versions_are_read_without_importing_anything():
    script = (
        "import sys; from harness.telemetry.environment import host_environment;"
        "versions = host_environment()['packages'];"
        "heavy = [n for n in ('torch', 'numpy', 'numba', 'pynvml') if n in sys.modules];"
        "assert not heavy, heavy; assert set(versions) > {'torch', 'numpy'}, versions"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)
    assert package_versions(("no-such-package-at-all",)) == {"no-such-package-at-all": None}


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_a_commit_is_told_with_whether_tracked_files_differ(tmp_path):
    folder = tmp_path / "project" / "harness"
    write(tmp_path, {"project/harness/a.py": "1\n", "project/.gitignore": ".venv\n"})
    assert git_state(folder) is None  # no repository
    git(tmp_path / "project", "init", "-q")
    assert git_state(folder) is None  # nothing tracked
    git(tmp_path / "project", "add", ".")
    assert git_state(folder) is None  # no commit
    git(tmp_path / "project", "commit", "-qm", "one")
    state = git_state(folder)
    assert state is not None
    assert (len(state[0]), state[1]) == (40, False)
    write(tmp_path, {"project/results.db": "", "project/.venv/lib/harness/a.py": "1\n"})
    assert git_state(folder) == state  # what git does not track is not ours
    assert git_state(tmp_path / "project/.venv/lib/harness") is None  # installed inside a checkout, not part of it
    write(tmp_path, {"project/harness/a.py": "2\n"})
    assert git_state(folder) == (state[0], True)
    assert git_state(tmp_path / "nowhere") is None
