"""The machine and the software a run was made with, as one nested table with the same keys everywhere.

Taken in the orchestrator, without importing torch or any other package that it names; what only the worker knows
(its own torch, the threads it verified, the device and its driver) is merged in by `merge_worker`. A value that
cannot be read is None and its key stays, so that two environments can be laid side by side.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.telemetry import portable
from harness.telemetry.cgroup import cgroup_names, read_limits
from harness.telemetry.fingerprint import KEY_CLASS, classify, environment_hash, flatten
from harness.telemetry.processor import has_hypervisor_flag, read_clock_rules, read_processor
from harness.telemetry.procfs import ROOT, read_memory_bytes, read_text
from harness.telemetry.variables import relevant_variables

__all__ = [
    "KEY_CLASS",
    "classify",
    "environment_hash",
    "flatten",
    "git_state",
    "host_environment",
    "merge_worker",
    "package_versions",
]

PACKAGES = ("recbench", "torch", "torch-npu", "poptorch", "numpy", "numba", "nvidia-ml-py")

# Inductor takes $CXX, else g++ (torch/_inductor/config.py, cpp.cxx); the others only tell what else is there.
COMPILERS = ("g++", "c++", "clang++")

# What container engines leave in the names of their control groups.
CONTAINER_GROUPS = ("docker", "kubepods", "containerd", "lxc", "libpod", "crio", "garden")

# A question to another program must not hold up a run: version questions answer in milliseconds.
ANSWER_TIMEOUT_S = 5.0

GIB = 1 << 30


def host_environment(
    cpus: tuple[int, ...] | None = None,
    *,
    root: Path = ROOT,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The environment as the orchestrator sees it. `cpus` are the cores given to the run (`--cpus`), None for all.

    It starts one compiler to ask its version, reads a few dozen small files, and raises nothing.
    """
    environ = os.environ if environ is None else environ
    allowed = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
    return {
        "cpu": read_processor(allowed, cpus, root),
        "power": read_clock_rules(root),
        "memory": _memory(root),
        "os": _operating_system(root),
        "container": _container(root, environ),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable or None,
        },
        "packages": package_versions(),
        "compiler": _compiler(environ),
        "variables": relevant_variables(environ),
    }


def merge_worker(environment: Mapping[str, Any], worker_part: Mapping[str, Any]) -> dict[str, Any]:
    """The environment of a run: the host's, overruled key by key by what the worker says of itself.

    The worker may run under another interpreter with other packages and variables, so its word counts wherever it
    speaks: `python`, `packages`, `variables` as above, and `threads`, `device`, `compile_cache` of its own.
    Its `variables` replace the host's as a whole: a variable that it did not see was not set. Neither argument is
    changed.
    """
    merged = _merged(environment, worker_part)
    if isinstance(worker_part.get("variables"), Mapping):
        merged["variables"] = dict(worker_part["variables"])
    return merged


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str | None]:
    """Installed versions from their metadata, importing nothing; None for what is not installed."""
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def git_state(folder: Path) -> tuple[str, bool] | None:
    """The commit that `folder` was checked out from, and whether tracked files differ from it.

    None where it is no checkout: also for an installed package that merely lies inside one (a virtual environment in
    somebody's repository), for a repository without commits, and where git is missing or refuses.
    """
    if not _git(folder, "ls-files", "--", "."):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return (commit, bool(changes)) if commit and changes is not None else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None. It is kept from taking locks and from looking at another repository's variables."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ["GIT_OPTIONAL_LOCKS"] = "0"
    return _answer(["git", "-C", str(folder), *arguments], environ)


def _answer(command: list[str], environ: Mapping[str, str] | None = None) -> str | None:
    try:
        done = subprocess.run(
            command,
            env=None if environ is None else dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged


def _memory(root: Path) -> dict[str, Any]:
    sizes = read_memory_bytes(root)
    total = sizes.get("MemTotal")
    if total is None and root == ROOT:
        total = sum(portable.memory_bytes())
    huge = read_text(root / "sys/kernel/mm/transparent_hugepage/enabled") or ""
    return {
        # Rounded: kernels leave a few kilobytes more or less of the same memory.
        "total_gib": None if total is None else round(total / GIB),
        "swap_gib": round(sizes["SwapTotal"] / GIB) if "SwapTotal" in sizes else None,
        "transparent_huge_pages": huge[huge.index("[") + 1 : huge.index("]")] if "[" in huge and "]" in huge else None,
        "huge_pages": sizes.get("HugePages_Total"),
    }


def _operating_system(root: Path) -> dict[str, Any]:
    release: dict[str, str] = {}
    for line in (read_text(root / "etc/os-release") or "").splitlines():
        name, _, value = line.partition("=")
        release[name] = value.strip().strip("\"'")
    return {
        "system": platform.system(),
        "distribution": release.get("PRETTY_NAME") or release.get("NAME"),
        "kernel": read_text(root / "proc/sys/kernel/osrelease") or platform.release(),
        "libc": " ".join(part for part in platform.libc_ver() if part) or None,
        "virtualisation": _virtualisation(root),
    }


def _virtualisation(root: Path) -> str | None:
    """The virtual machine's maker where it shows, `yes` where only the processor tells, None where nothing does."""
    if "microsoft" in (read_text(root / "proc/sys/kernel/osrelease") or "").lower():
        return "WSL"
    xen = read_text(root / "sys/hypervisor/type")
    if xen:
        return xen
    vendor = read_text(root / "sys/class/dmi/id/sys_vendor") or ""
    product = read_text(root / "sys/class/dmi/id/product_name") or ""
    known = ("qemu", "kvm", "vmware", "virtualbox", "amazon ec2", "google", "microsoft", "xen", "openstack", "alibaba")
    named = next((word for word in known if word in f"{vendor} {product}".lower()), None)
    if has_hypervisor_flag(root):
        return " ".join(f"{vendor} {product}".split()) or "yes"
    return " ".join(f"{vendor} {product}".split()) if named in ("qemu", "kvm") else None


def _container(root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    limits = read_limits(root)
    return {
        "inside": _inside_container(root, environ),
        "cgroup": limits.version,
        "cpu_quota_cores": limits.cpu_quota_cores,
        "memory_limit_bytes": limits.memory_limit_bytes,
    }


def _inside_container(root: Path, environ: Mapping[str, str]) -> bool:
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return True
    if environ.get("container") or environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    names = cgroup_names(root, "1") + cgroup_names(root)
    return any(engine in name for name in names for engine in CONTAINER_GROUPS)


def _compiler(environ: Mapping[str, str]) -> dict[str, Any]:
    """The first C++ compiler that answers; all None where there is none."""
    wanted = (environ["CXX"],) if environ.get("CXX") else ()
    for name in (*wanted, *COMPILERS):
        path = shutil.which(name, path=environ.get("PATH"))
        lines = (_answer([path, "--version"]) or "").splitlines() if path else []
        if lines:
            return {"name": Path(name).name, "version": lines[0].strip(), "path": path}
    return {"name": None, "version": None, "path": None}
