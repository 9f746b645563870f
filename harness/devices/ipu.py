"""Graphcore's IPU through PopTorch, in a process of its own under the Poplar SDK's Python.

PopTorch is on no package index: it comes with the Poplar SDK, for a Python of its own age (3.8, torch 2.0). recbench's
worker runs in our Python as on any device; `--python` names the SDK's interpreter, in which the probe looks and from
which the executor starts its process. `POPTORCH_IPU_MODEL=1` asks for Graphcore's emulation, which is labelled so.

SGD is the one optimizer: PopTorch's Adam moves every row of a table in each update, the hosts' only those of the batch,
so the two would be different algorithms under one name.

`RECBENCH_IPU_MEMORY_PROPORTION` (0 to 1) is PopTorch's setAvailableMemoryProportion of each replica's IPU;
`POPTORCH_CACHE_DIR` is where compiled executables are kept (recbench's cache folder when not set).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import paths
from harness.api import (
    Available,
    Capabilities,
    DeviceEvent,
    DeviceKind,
    Executor,
    Geometry,
    Model,
    OptimizerSpec,
    Unavailable,
)
from harness.devices.host_event import HostEvent
from harness.devices.ipu_probe import IpuFacts, gather, judge, kind_of
from harness.errors import UnavailableError, UsageError, did_you_mean

if TYPE_CHECKING:
    from harness.devices.ipu_executor import IpuExecutor
    from harness.devices.ipu_process import IpuProcess

MEMORY_VARIABLE = "RECBENCH_IPU_MEMORY_PROPORTION"


class IpuDevice:
    """`ipu`. `python`: the Poplar SDK's interpreter; this one when None."""

    name = "ipu"
    device_kind: DeviceKind = "emulated"  # until `open` has found hardware, or a stand-in
    capabilities = Capabilities(
        static_shapes=True, jagged=False, optimizers=("sgd",), precisions=("fp32",), asynchronous=True
    )
    foreign = True  # recbench itself does not run in its Python: whoever starts a process hands `python` over

    def __init__(self, index: int | None = None, python: str | None = None) -> None:
        if index is not None:
            raise UsageError(f"device 'ipu:{index}': PopTorch chooses the IPUs itself", hint="write it as ipu")
        self.python = python
        self._report: Any = None
        self._process: IpuProcess | None = None
        self._executor: IpuExecutor | None = None
        self._facts: IpuFacts | None = None
        self._threads: int | None = None
        self._seed = 0

    def probe(self) -> Available | Unavailable:
        python = self.python or sys.executable
        return judge(gather(python), python)

    def environment(self) -> Mapping[str, str]:
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}

    def interpreter(self) -> str | None:
        return self.python

    def report_to(self, context: Any) -> None:
        """Who hears the compiler's progress and PopTorch's counters: a `harness.api.Context`."""
        self._report = context

    def open(self, *, threads: int | None, seed: int) -> None:
        """Starts the SDK's process and asks it what it found. UnavailableError where nothing could run there."""
        import torch

        torch.manual_seed(seed)
        self._threads, self._seed = threads, seed
        self._process = self._start()
        python = self.python or sys.executable
        self._facts = IpuFacts.of(self._process.facts)
        verdict = judge(self._facts, python)
        if isinstance(verdict, Unavailable):
            self._process.end()
            raise UnavailableError(verdict.reason, hint=verdict.hint)
        self.device_kind = kind_of(self._facts)

    def synchronize(self) -> None:
        if self._executor is not None:
            self._executor.wait()

    def record_event(self) -> DeviceEvent:
        return HostEvent() if self._executor is None else self._executor.record_event()

    def memory_peak_bytes(self) -> int | None:
        return None  # PopTorch tells it in profiling reports only

    def describe(self) -> Mapping[str, Any]:
        facts = self._facts
        assert facts is not None, "open comes first"
        return {
            "name": f"Graphcore IPU ({self.device_kind})",
            "python": facts.python,
            "torch": facts.torch,
            "poptorch": facts.poptorch,
            "sdk": facts.sdk,
            "hardware_version": facts.hardware_version,
            "default_options": facts.variables.get("POPTORCH_DEFAULT_OPTIONS"),
            "memory_proportion": memory_proportion(),
        }

    def ceilings(self) -> Mapping[str, float | None]:
        return {}

    def executor(
        self, model: Model, geometry: Geometry, *, precision: str, compile: str, optimizer: OptimizerSpec
    ) -> Executor:
        """`compile`: PopTorch always compiles; off is refused by nobody, since it means torch.compile."""
        from harness.devices.ipu_executor import IpuExecutor, IpuOptions, check_loss, portable_of

        _check_offered("precision", precision, self.capabilities.precisions)
        _check_offered("optimizer", optimizer.name, self.capabilities.optimizers)
        if self.device_kind == "emulated" and geometry.replicas > 1:
            raise UsageError(
                f"replicas = {geometry.replicas}: the IPU model runs one replica only",
                hint="use --replicas 1 with POPTORCH_IPU_MODEL, or real IPUs",
            )
        portable_of(model)
        check_loss(model)
        process, self._process = self._process or self._start(), None
        made = IpuExecutor(
            model,
            geometry,
            process,
            IpuOptions(
                seed=self._seed,
                threads=self._threads,
                emulated=self.device_kind == "emulated",
                cache=_cache_folder(),
                memory_proportion=memory_proportion(),
            ),
            optimizer=optimizer,
            report=lambda: self._report,
            release=self._release,
        )
        self._executor = made
        return made

    def _start(self) -> IpuProcess:
        from harness.devices.ipu_process import IpuProcess

        return IpuProcess(self.python or sys.executable)

    def _release(self, process: IpuProcess) -> None:
        process.end()


def memory_proportion() -> float | None:
    """Of the variable; UsageError where it is no share."""
    text = os.environ.get(MEMORY_VARIABLE)
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise UsageError(f"{MEMORY_VARIABLE} = {text!r} is not a share of the IPU's memory, like 0.3")
    return share


def _cache_folder() -> Path:
    own = os.environ.get("POPTORCH_CACHE_DIR")
    folder = Path(own) if own else paths.cache_dir() / "ipu-executables"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _check_offered(what: str, value: str, offered: tuple[str, ...]) -> None:
    if value not in offered:
        raise UsageError(
            f"{what} = {value!r} is not offered on ipu; it offers {', '.join(offered)}",
            hint=did_you_mean(value, offered),
        )
