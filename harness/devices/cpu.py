"""The CPU: always there as far as PyTorch is; its threads are asked for, verified and recorded."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.api import (
    Available,
    Capabilities,
    Device,
    DeviceEvent,
    DeviceKind,
    Executor,
    Geometry,
    Model,
    OptimizerSpec,
    Unavailable,
)
from harness.devices.host_event import HostEvent
from harness.errors import RunFailed, UsageError
from harness.telemetry.cgroup import read_limits

KEPT_BYTES = str(1 << 29)  # free memory that glibc's malloc keeps, and the size from which it asks the kernel each time
_CPUINFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
# What matters to matrix products in reduced precision; the kernel's names (arch/x86/include/asm/cpufeatures.h).
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")


class CpuDevice:
    """`cpu`. It has no index: `--cpus` chooses the cores, `--threads` how many threads."""

    name = "cpu"
    device_kind: DeviceKind = "hardware"
    capabilities = Capabilities(precisions=("fp32", "bf16"))

    def __init__(self, index: int | None = None) -> None:
        if index is not None:
            raise UsageError(f"device 'cpu:{index}': the CPU has no index", hint="choose its cores with --cpus 0-3")
        self._threads_asked: int | None = None

    def probe(self) -> Available | Unavailable:
        if importlib.util.find_spec("torch") is None:
            return Unavailable(
                reason="PyTorch is not installed, and the cpu device needs it",
                hint="pip install 'recbench[torch]', or name a Python that has it with --python",
            )
        import torch

        name = cpu_name()
        cores = allowed_cores()
        return Available(
            details={
                "summary": f"{name}, {cores} core{'s' if cores != 1 else ''}, PyTorch {torch.__version__}",
                "name": name,
                "count": cores,
                "torch": torch.__version__,
                "flags": cpu_flags(),
            }
        )

    def environment(self) -> Mapping[str, str]:
        """No vendor's back-end loads itself into `import torch`; Inductor compiles in the worker, not in a pool.

        glibc keeps what activations leave behind: giving it back to the kernel at every step cost 10 to 20 % of DIN's
        training, in page faults.
        """
        return {
            "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": KEPT_BYTES,
            "MALLOC_TRIM_THRESHOLD_": KEPT_BYTES,
        }

    def interpreter(self) -> str | None:
        return None

    def open(self, *, threads: int | None, seed: int) -> None:
        """One thread for each allowed core when `threads` is None. RunFailed where PyTorch does not obey."""
        import torch

        self._threads_asked = threads
        set_threads(allowed_cores() if threads is None else threads)
        if torch.get_num_interop_threads() != 1:
            try:
                torch.set_num_interop_threads(1)
            except RuntimeError:
                pass  # too late once parallel work has started; `describe` tells the number that holds
        torch.manual_seed(seed)

    def synchronize(self) -> None:
        return None

    def record_event(self) -> DeviceEvent:
        return HostEvent()

    def memory_peak_bytes(self) -> int | None:
        return peak_resident_bytes()

    def describe(self) -> Mapping[str, Any]:
        import torch

        backends: Any = torch.backends
        backend = re.search(r"ATen parallel backend: (.+)", torch.__config__.parallel_info())
        return {
            "name": cpu_name(),
            "torch": torch.__version__,
            "threads_asked": self._threads_asked,
            "threads": torch.get_num_threads(),
            "interop_threads": torch.get_num_interop_threads(),
            "cores_allowed": allowed_cores(),
            "parallel_backend": backend[1].strip() if backend else None,
            "capability": backends.cpu.get_cpu_capability(),
            "mkldnn": backends.mkldnn.is_available(),
            "mkl": backends.mkl.is_available(),
            "flags": cpu_flags(),
        }

    def ceilings(self) -> Mapping[str, float | None]:
        from harness.devices.ceilings import measure

        return measure(self, "cpu", precisions=self.capabilities.precisions)

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        from harness.devices.host_executor import HostExecutor

        device: Device = self
        return HostExecutor(model, geometry, device, "cpu", precision=precision, compile=compile, optimizer=optimizer)


def set_threads(threads: int) -> None:
    """Asks PyTorch for so many threads and looks whether it uses them."""
    import torch

    if threads < 1:
        raise UsageError(f"threads = {threads}: at least 1 is needed")
    torch.set_num_threads(threads)
    if torch.get_num_threads() != threads:
        raise RunFailed(
            f"asked PyTorch for {threads} threads and it uses {torch.get_num_threads()}",
            hint="its build or OMP_THREAD_LIMIT decides",
        )


def allowed_cores() -> int:
    """Cores this process may run on at once: its affinity, or the container's processor quota where that is less."""
    cores = len(os.sched_getaffinity(0))
    quota = read_limits().cpu_quota_cores
    return cores if quota is None else max(1, min(cores, int(quota)))


def cpu_name() -> str:
    """The model as the kernel names it; the architecture where it does not (ARM)."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_flags() -> list[str]:
    """Those of the instruction sets that decide the speed of matrix products."""
    entry = _cpuinfo()
    has = set((entry.get("flags") or entry.get("features") or "").split())
    return [flag for flag in _FLAGS if flag in has]


def peak_resident_bytes() -> int:
    """The largest resident set of this process: VmHWM, else what getrusage says (kibibytes on Linux)."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return 1024 * (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _cpuinfo() -> dict[str, str]:
    """The first processor's entry, keys in lower case; empty where there is no /proc."""
    try:
        text = _CPUINFO.read_text(errors="replace")
    except OSError:
        return {}
    entry: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, separator, value = line.partition(":")
        if separator:
            entry[key.strip().lower()] = value.strip()
    return entry
