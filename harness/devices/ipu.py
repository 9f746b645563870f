"""Graphcore's IPU through PopTorch: probed truthfully; execution is not built yet.

PopTorch is on no package index: it comes with the Poplar SDK, for a Python of its own age. So the look happens in that
Python (`--python`), by a script that needs nothing of recbench.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.api import Available, Capabilities, DeviceKind, Unavailable
from harness.devices.unbuilt import HINT, Unbuilt
from harness.errors import UsageError

_SCRIPT = Path(__file__).with_name("ipu_facts.py")
_GUIDE = "docs.graphcore.ai"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpuFacts:
    """What `ipu_facts.py` found. `missing`: poptorch is not installed; `problem`: why it does not import or answer."""

    python: str | None = None
    sdk: str | None = None
    poptorch: str | None = None
    problem: str | None = None
    missing: bool = False
    hardware: bool = False
    starts: bool = True


class IpuDevice(Unbuilt):
    """`ipu`. `python`: the Poplar SDK's interpreter; this one when None."""

    name = "ipu"
    device_kind: DeviceKind = "hardware"
    capabilities = Capabilities(
        static_shapes=True, jagged=False, optimizers=("sgd",), precisions=("fp32", "fp16"), asynchronous=True
    )
    foreign = True  # recbench itself does not run in its Python: `harness.devices.probe` hands `python` over

    def __init__(self, index: int | None = None, python: str | None = None) -> None:
        if index is not None:
            raise UsageError(f"device 'ipu:{index}': PopTorch chooses the IPUs itself", hint="write it as ipu")
        self.python = python

    def probe(self) -> Available | Unavailable:
        return judge(gather(self.python or sys.executable), self.python or sys.executable)

    def environment(self) -> Mapping[str, str]:
        return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}

    def interpreter(self) -> str | None:
        return self.python


def gather(python: str) -> IpuFacts:
    """Runs the script; its answer is the last line that is an object of JSON, since the SDK logs to stdout too."""
    try:
        answer = subprocess.run([python, str(_SCRIPT)], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return IpuFacts(starts=False, problem=error.strerror)
    for line in reversed(answer.stdout.splitlines()):
        try:
            return IpuFacts(**json.loads(line))
        except (json.JSONDecodeError, TypeError):
            continue
    ended = f"was killed by signal {-answer.returncode}" if answer.returncode < 0 else f"ended with {answer.returncode}"
    return IpuFacts(problem=f"{python} {ended} while it imported poptorch")


def judge(facts: IpuFacts, python: str) -> Unavailable:
    """One sentence for each way an IPU can be missing; with one there, execution is what is missing."""
    details = {"interpreter": python, "python": facts.python, "poptorch": facts.poptorch, "sdk": facts.sdk}
    if not facts.starts:
        return Unavailable(
            reason=f"the interpreter {python} does not start: {facts.problem}", hint="check --python", state="broken"
        )
    if facts.missing:
        return Unavailable(
            reason=f"poptorch is not installed in {python}, and the ipu device needs it",
            hint="install Graphcore's Poplar SDK, source its enable.sh, and name the Python that has its poptorch "
            f"wheel with --python ({_GUIDE})",
            details=details,
        )
    if facts.problem is not None:
        return Unavailable(
            reason=f"poptorch does not work in {python}: {facts.problem}",
            hint=f"source enable.sh of the Poplar SDK it belongs to before starting bench ({_GUIDE})",
            state="broken",
            details=details,
        )
    if not facts.hardware:
        return Unavailable(
            reason=f"poptorch {facts.poptorch} is installed, but no IPU is found",
            hint="see what gc-info -l lists, and whether IPUOF_VIPU_API_HOST or the partition is set",
            state="no card",
            details=details,
        )
    return Unavailable(
        reason=f"an IPU is there (poptorch {facts.poptorch}), but execution on ipu is not built yet",
        hint=HINT,
        state="not built",
        details=details,
    )
