"""Which processor this is: model, vector units, cores, caches, clock rules, sockets.

Read from /proc/cpuinfo and /sys; a figure that the kernel does not give (a virtual machine, another architecture) is
None. 64-bit Arm kernels name no model, only the implementer's and the part's number, which are decoded here.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.telemetry import portable
from harness.telemetry.procfs import ROOT, online_cpus, read_int, read_text

# The vector and matrix units that embedding and matrix kernels choose their code by; the names of /proc/cpuinfo.
NOTED_FLAGS = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimdhp",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
    "sme",
)

# (implementer, part) of arch/arm64/include/asm/cputype.h in the Linux kernel: servers that run such workloads.
ARM_PARTS = {
    (0x41, 0xD08): "Arm Cortex-A72",
    (0x41, 0xD0C): "Arm Neoverse-N1",
    (0x41, 0xD40): "Arm Neoverse-V1",
    (0x41, 0xD49): "Arm Neoverse-N2",
    (0x41, 0xD4F): "Arm Neoverse-V2",
    (0x41, 0xD84): "Arm Neoverse-V3",
    (0x48, 0xD01): "HiSilicon TSV110 (Kunpeng 920)",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1A",
}
ARM_IMPLEMENTERS = {0x41: "Arm", 0x48: "HiSilicon", 0xC0: "Ampere", 0x4E: "NVIDIA", 0x61: "Apple"}


def read_processor(allowed: tuple[int, ...] | None, used: tuple[int, ...] | None, root: Path = ROOT) -> dict[str, Any]:
    """The `cpu` part of the environment. `allowed`: this process's affinity, of which only the number is told, since
    containers get other cores each time; `used`: the cores that the person gave to the run, None for all allowed."""
    blocks = _cpuinfo(root)
    first = blocks[0] if blocks else {}
    flags = set((first.get("flags") or first.get("Features") or "").split())
    model, vendor = _model(first)
    sockets = {block["physical id"] for block in blocks if "physical id" in block}
    cores = {(block["physical id"], block["core id"]) for block in blocks if {"physical id", "core id"} <= set(block)}
    online = online_cpus(root)
    logical = len(online) if online else (len(blocks) or os.cpu_count())
    return {
        "model": model,
        "vendor": vendor,
        "architecture": platform.machine(),
        "flags": [flag for flag in NOTED_FLAGS if flag in flags] if flags else None,
        "sockets": len(sockets) or None,
        "physical": len(cores) or _cores_by_topology(online, root) or portable.physical_cores(),
        "logical": logical,
        "allowed_count": None if allowed is None else len(allowed),
        "used": cpu_list(used),
        "used_count": len(used) if used is not None else (None if allowed is None else len(allowed)),
        "smt_active": _flag(root / "sys/devices/system/cpu/smt/active"),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
        "l2_bytes": _cache_bytes(2, root),
        "l3_bytes": _cache_bytes(3, root),
        "microcode": first.get("microcode"),
    }


def read_clock_rules(root: Path = ROOT) -> dict[str, Any]:
    """The `power` part: the governor (several, joined, where cores differ), and whether cores may run above their
    base clock; None where it cannot be read, as in most virtual machines."""
    folder = root / "sys/devices/system/cpu"
    governors = {read_text(file) for file in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {None, ""}
    no_turbo = _flag(folder / "intel_pstate/no_turbo")
    drivers = {read_text(file) for file in folder.glob("cpu[0-9]*/cpufreq/scaling_driver")} - {None, ""}
    return {
        "governor": _joined(governors),
        "governor_driver": _joined(drivers),
        "turbo": (not no_turbo) if no_turbo is not None else _flag(folder / "cpufreq/boost"),
        "max_mhz": _max_mhz(folder),
    }


def cpu_list(cpus: Iterable[int] | None) -> str | None:
    """(0, 1, 2, 5) as the kernel writes it, `0-2,5`."""
    if cpus is None:
        return None
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def has_hypervisor_flag(root: Path = ROOT) -> bool:
    blocks = _cpuinfo(root)
    return bool(blocks) and "hypervisor" in blocks[0].get("flags", "").split()


def _cpuinfo(root: Path) -> list[dict[str, str]]:
    blocks: list[dict[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", read_text(root / "proc/cpuinfo") or ""):
        pairs = (line.partition(":") for line in paragraph.splitlines() if ":" in line)
        block = {name.strip(): value.strip() for name, _, value in pairs}
        if "processor" in block:
            blocks.append(block)
    return blocks


def _model(block: dict[str, str]) -> tuple[str | None, str | None]:
    if "model name" in block:
        return " ".join(block["model name"].split()), block.get("vendor_id")
    try:
        implementer, part = int(block["CPU implementer"], 16), int(block["CPU part"], 16)
    except (KeyError, ValueError):
        return platform.processor() or None, block.get("vendor_id")
    name = ARM_PARTS.get((implementer, part), f"Arm implementer {implementer:#x} part {part:#x}")
    return name, ARM_IMPLEMENTERS.get(implementer, f"{implementer:#x}")


def _cores_by_topology(online: tuple[int, ...] | None, root: Path) -> int | None:
    """Arm kernels do not put the topology into /proc/cpuinfo."""
    cores = set()
    for cpu in online or ():
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        core, package = read_int(folder / "core_id"), read_int(folder / "physical_package_id")
        if core is None:
            return None
        cores.add((package, core))
    return len(cores) or None


def _cache_bytes(level: int, root: Path) -> int | None:
    """The size of one cache of this level, as its first core sees it."""
    for index in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*")):
        if read_int(index / "level") == level and read_text(index / "type") != "Instruction":
            found = re.fullmatch(r"(\d+)([KM]?)", read_text(index / "size") or "")
            if found:
                return int(found[1]) * {"": 1, "K": 1024, "M": 1024 * 1024}[found[2]]
    return None


def _max_mhz(folder: Path) -> float | None:
    khz = [read_int(file) for file in folder.glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")]
    return max((value / 1000 for value in khz if value is not None), default=None)


def _flag(file: Path) -> bool | None:
    value = read_int(file)
    return None if value is None else value != 0


def _joined(words: set[str | None]) -> str | None:
    return ",".join(sorted(word for word in words if word)) or None
