"""Huawei's Ascend NPU through torch-npu: probed truthfully; execution is not built yet.

torch-npu is a Python package; CANN, which it needs, comes from Huawei's own installers. With the one and without the
other even `import torch` fails, because torch loads the back-end by itself. So this file imports both only inside
`gather`, which runs in a child process, and every other device switches the automatic loading off.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from harness.api import Available, Capabilities, DeviceKind, Unavailable
from harness.devices.unbuilt import HINT, Unbuilt

_GUIDE = "the CANN installation guide on hiascend.com and the version table on pypi.org/project/torch-npu"


@dataclass(frozen=True, slots=True, kw_only=True)
class NpuFacts:
    """What a look at this interpreter found. `problem`: why torch_npu does not import or does not count its cards."""

    torch_npu_version: str | None = None
    torch_version: str | None = None
    torch_is_there: bool = True
    problem: str | None = None
    names: tuple[str, ...] = ()


class NpuDevice(Unbuilt):
    """`npu` (the first card) or `npu:i`."""

    name = "npu"
    device_kind: DeviceKind = "hardware"
    capabilities = Capabilities(precisions=("fp32", "bf16", "fp16"), asynchronous=True)

    def __init__(self, index: int | None = None) -> None:
        self.index = index or 0

    def probe(self) -> Available | Unavailable:
        return judge(gather(), self.index)

    def environment(self) -> Mapping[str, str]:
        """torch_npu is imported by name, so that its failure is ours to tell and not torch's."""
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}

    def interpreter(self) -> str | None:
        return None


def gather() -> NpuFacts:
    """Looks for the distribution first, then imports it and counts the cards."""
    versions: dict[str, str | None] = {}
    for name in ("torch-npu", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    if versions["torch-npu"] is None:
        return NpuFacts(torch_version=versions["torch"])
    torch_is_there = importlib.util.find_spec("torch") is not None
    problem: str | None = None
    names: tuple[str, ...] = ()
    if torch_is_there:
        try:
            import torch
            import torch_npu  # noqa: F401  # registers torch.npu

            npu: Any = vars(torch)["npu"]
            names = tuple(str(npu.get_device_name(card)) for card in range(npu.device_count()))
        except Exception as error:  # noqa: BLE001  # whatever a vendor's package raises is told to the person
            lines = str(error).strip().splitlines()
            problem = lines[0] if lines else type(error).__name__
    return NpuFacts(
        torch_npu_version=versions["torch-npu"],
        torch_version=versions["torch"],
        torch_is_there=torch_is_there,
        problem=problem,
        names=names,
    )


def judge(facts: NpuFacts, index: int) -> Unavailable:
    """One sentence for each way an NPU can be missing; with one there, execution is what is missing."""
    if facts.torch_npu_version is None:
        return Unavailable(
            reason="torch-npu is not installed, and the npu device needs it and Huawei's CANN",
            hint=f"install CANN first, as {_GUIDE} describe, then pip install 'recbench[npu]'",
        )
    package = f"torch-npu {facts.torch_npu_version}"
    details = {"torch-npu": facts.torch_npu_version, "torch": facts.torch_version}
    if not facts.torch_is_there:
        return Unavailable(
            reason=f"{package} is installed without PyTorch",
            hint="pip install 'recbench[npu]' installs the PyTorch it is built for",
            details=details,
        )
    if facts.problem is not None:
        library = re.search(r"(lib[\w.+-]+\.so[\d.]*): cannot open shared object file", facts.problem)
        if library is not None:
            return Unavailable(
                reason=f"{package} is installed, but CANN is not: {library[1]} is missing",
                hint=f"install CANN as {_GUIDE} describe, and source its set_env.sh before starting bench",
                state="no card",
                details=details,
            )
        return Unavailable(
            reason=f"{package} is installed but does not work: {facts.problem}",
            hint=f"its version must fit PyTorch ({facts.torch_version}) and CANN: see {_GUIDE}",
            state="broken",
            details=details,
        )
    if not facts.names:
        return Unavailable(
            reason=f"{package} and CANN are installed, but no Ascend card is found",
            hint="see what npu-smi info lists; ASCEND_RT_VISIBLE_DEVICES or the container may hide the cards",
            state="no card",
            details=details,
        )
    details |= {"cards": ", ".join(facts.names)}
    if index >= len(facts.names):
        return Unavailable(
            reason=f"there is no npu:{index}: {len(facts.names)} Ascend card(s) are found, numbered from 0",
            hint="choose one that is there",
            state="no card",
            details=details,
        )
    return Unavailable(
        reason=f"{facts.names[index]} is there, but execution on npu is not built yet",
        hint=HINT,
        state="not built",
        details=details,
    )
