"""An NVIDIA card through torch.cuda (a ROCm build of PyTorch answers to the same name).

What was found is gathered first and judged by a plain function after, so that each sentence can be tested on a machine
without a card. CUDA graphs are not built yet, and `capabilities.graphs` says so.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from harness.devices.cpu import set_threads
from harness.errors import UnavailableError

_DRIVER_VERSION = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaFacts:
    """What a look at this machine found. `problem` is what PyTorch said when it tried to use the card."""

    torch_version: str | None = None
    built_with: str | None = None  # CUDA or ROCm version of the PyTorch build
    driver: bool = False
    driver_version: str | None = None
    visible_devices: str | None = None
    names: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CudaEvent:
    """A torch.cuda.Event with timing, recorded in the current stream."""

    event: Any

    def ready(self) -> bool:
        return bool(self.event.query())

    def seconds_since(self, earlier: DeviceEvent) -> float:
        if not isinstance(earlier, CudaEvent):
            raise TypeError(f"a CUDA event cannot be compared with a {type(earlier).__name__}")
        return float(earlier.event.elapsed_time(self.event)) * 1e-3


class CudaDevice:
    """`cuda` (the first card) or `cuda:i`."""

    name = "cuda"
    device_kind: DeviceKind = "hardware"
    capabilities = Capabilities(precisions=("fp32", "tf32", "bf16", "fp16"), asynchronous=True, graphs=False)

    def __init__(self, index: int | None = None) -> None:
        self.index = index or 0
        self._threads_asked: int | None = None

    @property
    def place(self) -> str:
        return f"cuda:{self.index}"

    def probe(self) -> Available | Unavailable:
        return judge(gather(self.index), self.index)

    def environment(self) -> Mapping[str, str]:
        """Cards numbered as nvidia-smi does, so that telemetry reads the card that works; no vendor's autoload."""
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def interpreter(self) -> str | None:
        return None

    def open(self, *, threads: int | None, seed: int) -> None:
        import torch

        if torch.cuda.device_count() <= self.index:
            verdict = judge(gather(self.index), self.index)
            if isinstance(verdict, Unavailable):
                raise UnavailableError(verdict.reason, hint=verdict.hint)
        self._threads_asked = threads
        if threads is not None:
            set_threads(threads)
        torch.cuda.set_device(self.index)
        torch.manual_seed(seed)
        torch.cuda.reset_peak_memory_stats(self.index)

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize(self.index)

    def record_event(self) -> DeviceEvent:
        import torch

        make: Any = torch.cuda.Event
        event = make(enable_timing=True)
        event.record()
        return CudaEvent(event)

    def memory_peak_bytes(self) -> int | None:
        """The most that tensors held; what the caching allocator kept beside them is not counted."""
        import torch

        return int(torch.cuda.max_memory_allocated(self.index))

    def describe(self) -> Mapping[str, Any]:
        import torch

        cudnn: Any = torch.backends.cudnn
        properties = torch.cuda.get_device_properties(self.index)
        return {
            "name": properties.name,
            "index": self.index,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "mig": "MIG" in properties.name,
            "driver": driver_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "rocm": torch.version.hip,
            "cudnn": cudnn.version(),
            "threads_asked": self._threads_asked,
            "threads": torch.get_num_threads(),
        }

    def ceilings(self) -> Mapping[str, float | None]:
        from harness.devices.ceilings import measure

        return measure(self, self.place, precisions=self.capabilities.precisions)

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        from harness.devices.host_executor import HostExecutor

        device: Device = self
        return HostExecutor(
            model, geometry, device, self.place, precision=precision, compile=compile, optimizer=optimizer
        )


def gather(index: int) -> CudaFacts:
    """Looks at the machine; runs one addition on card `index`, since a card can be there and not usable."""
    if importlib.util.find_spec("torch") is None:
        return CudaFacts()
    import torch

    built_with = torch.version.cuda or torch.version.hip
    if built_with is None:
        return CudaFacts(torch_version=torch.__version__)
    names: tuple[str, ...] = ()
    problem: str | None = None
    start: Any = torch.cuda.init
    try:
        names = tuple(torch.cuda.get_device_name(card) for card in range(torch.cuda.device_count()))
        if index < len(names):
            (torch.ones(1, device=f"cuda:{index}") + 1).item()
        elif not names:
            start()
    except (RuntimeError, AssertionError, OSError) as error:
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CudaFacts(
        torch_version=torch.__version__,
        built_with=built_with,
        driver=torch.version.hip is not None or _driver_is_there(),
        driver_version=driver_version(),
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        names=names,
        problem=problem,
    )


def judge(facts: CudaFacts, index: int) -> Available | Unavailable:
    """One sentence for each way a card can be missing."""
    if facts.torch_version is None:
        return Unavailable(
            reason="PyTorch is not installed, and the cuda device needs it",
            hint="pip install 'recbench[cuda]', or name a Python that has it with --python",
        )
    if facts.built_with is None:
        return Unavailable(
            reason=f"the installed PyTorch {facts.torch_version} is built without CUDA",
            hint="install a CUDA build (pytorch.org/get-started), or name a Python that has one with --python",
        )
    details = {"torch": facts.torch_version, "cuda": facts.built_with, "driver": facts.driver_version}
    if not facts.driver:
        return Unavailable(
            reason=f"PyTorch {facts.torch_version} has CUDA {facts.built_with}, but no NVIDIA driver is installed here",
            hint="install the NVIDIA driver; in a container, start it with the cards passed through (--gpus all)",
            details=details,
        )
    if not facts.names:
        if facts.visible_devices is not None and facts.visible_devices.strip() in ("", "-1"):
            return Unavailable(
                reason=f"CUDA_VISIBLE_DEVICES={facts.visible_devices!r} hides every card",
                hint="unset CUDA_VISIBLE_DEVICES, or list the cards to use",
                state="no card",
                details=details,
            )
        said = f": {facts.problem}" if facts.problem else ""
        return Unavailable(
            reason=f"the NVIDIA driver is installed, but PyTorch finds no card{said}",
            hint="see what nvidia-smi lists, and whether the driver is new enough for this CUDA",
            state="no card",
            details=details,
        )
    if index >= len(facts.names):
        count = len(facts.names)
        has = "1 CUDA card, cuda:0" if count == 1 else f"{count} CUDA cards, cuda:0 to cuda:{count - 1}"
        return Unavailable(
            reason=f"there is no cuda:{index}: this machine has {has}",
            hint="choose one that is there; CUDA_VISIBLE_DEVICES may hide others",
            state="no card",
            details=details,
        )
    if facts.problem is not None:
        return Unavailable(
            reason=f"cuda:{index} ({facts.names[index]}) is there but does not compute: {facts.problem}",
            hint="see nvidia-smi; a PyTorch built for other cards or a card in exclusive use says this too",
            state="broken",
            details=details,
        )
    driver = f", driver {facts.driver_version}" if facts.driver_version else ""
    return Available(
        details={
            **details,
            "summary": f"{facts.names[index]}{driver}, CUDA {facts.built_with}, PyTorch {facts.torch_version}",
            "name": facts.names[index],
            "count": len(facts.names),
            "cards": list(facts.names),
        }
    )


def driver_version() -> str | None:
    """The version of the loaded NVIDIA kernel module; None where the kernel does not tell."""
    try:
        first = _DRIVER_VERSION.read_text(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return None
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", first)
    return found[1] if found else None


def _driver_is_there() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True
