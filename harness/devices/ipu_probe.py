"""What can run under the Poplar SDK's Python, and what an installation lacks: one sentence for each way.

The look happens in that Python, by `ipu_bundle/facts.py`, which needs nothing of recbench.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from harness.api import Available, DeviceKind, Unavailable
from harness.devices.ipu_process import BUNDLE, child_environment

_GUIDE = "docs.graphcore.ai"
_RUN = "import runpy, sys; sys.path.pop(0); runpy.run_path(sys.argv[1], run_name='__main__')"
# Which torch each PopTorch is built for (docs.graphcore.ai, "Installation", versions 2.4 to 3.4).
TORCH_OF = {
    "3.4": "2.0.1",
    "3.3": "2.0.1",
    "3.2": "1.13.1",
    "3.1": "1.13.0",
    **dict.fromkeys(("3.0", "2.6", "2.5", "2.4"), "1.10.0"),
}
OLDEST_TORCH = (2, 0)  # what the bundle and the models are written for


@dataclass(frozen=True, slots=True, kw_only=True)
class IpuFacts:
    """What `ipu_bundle/facts.py` found. `missing`: poptorch is not installed; `problem`: why it does not import or
    answer; `starts`: the interpreter is a program that starts."""

    python: str | None = None
    sdk: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    torch: str | None = None
    torch_problem: str | None = None
    poptorch: str | None = None
    problem: str | None = None
    missing: bool = False
    hardware: bool = False
    hardware_version: int | None = None
    emulated: bool = False
    stand_in: bool = False
    gcipuinfo: bool = False
    starts: bool = True

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> IpuFacts:
        """From the script's answer. TypeError where it is none."""
        known = {item.name for item in fields(cls)}
        if not known & found.keys():
            raise TypeError("no fact is in it")
        return cls(**{name: value for name, value in found.items() if name in known})


def gather(python: str) -> IpuFacts:
    """Runs the script; its answer is the last line that is an object of JSON, since the SDK logs to stdout too."""
    try:
        answer = subprocess.run(
            [python, "-c", _RUN, str(BUNDLE / "facts.py")],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=child_environment(),
        )
    except OSError as error:
        return IpuFacts(starts=False, problem=error.strerror)
    for line in reversed(answer.stdout.splitlines()):
        try:
            return IpuFacts.of(json.loads(line))
        except (json.JSONDecodeError, TypeError, AttributeError):
            continue
    ended = f"was killed by signal {-answer.returncode}" if answer.returncode < 0 else f"ended with {answer.returncode}"
    return IpuFacts(problem=f"{python} {ended} while it imported poptorch")


def kind_of(facts: IpuFacts) -> DeviceKind:
    """`hardware` only where PopTorch found an IPU and was not told to emulate one."""
    if facts.stand_in:
        return "stand-in"
    return "hardware" if facts.hardware and not facts.emulated else "emulated"


def judge(facts: IpuFacts, python: str) -> Available | Unavailable:
    """One sentence for each way an IPU can be missing."""
    details = details_of(facts, python)
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
        return _broken(facts, python, details)
    if facts.torch is not None and not _torch_is_new_enough(facts.torch):
        return Unavailable(
            reason=f"poptorch {facts.poptorch} runs torch {facts.torch} in {python}, and recbench's models need "
            "torch 2.0 or newer",
            hint=f"use Poplar SDK 3.3 or 3.4, which bring torch 2.0.1 ({_GUIDE})",
            state="broken",
            details=details,
        )
    if not (facts.hardware or facts.emulated or facts.stand_in):
        return Unavailable(
            reason=f"poptorch {facts.poptorch} is installed, but no IPU is found",
            hint=f"see what gc-info -l lists, and {_partition(facts)}; POPTORCH_IPU_MODEL=1 emulates one, to try "
            "things out",
            state="no card",
            details=details,
        )
    return Available(details={"summary": _summary(facts, python), "name": "Graphcore IPU", **details})


def details_of(facts: IpuFacts, python: str) -> dict[str, Any]:
    """What `bench doctor --json` shows: each part of an installation, None or false where it is missing."""
    return {
        "interpreter": python,
        "python": facts.python,
        "torch": facts.torch,
        "torch_expected": expected_torch(facts.poptorch),
        "poptorch": facts.poptorch,
        "sdk": facts.sdk,
        "hardware": facts.hardware,
        "gcipuinfo": facts.gcipuinfo,
        "variables": dict(facts.variables),
    }


def expected_torch(poptorch: str | None) -> str | None:
    """The torch that this PopTorch is built for; None where nobody knows."""
    return TORCH_OF.get(".".join((poptorch or "").split(".")[:2]))


def _broken(facts: IpuFacts, python: str, details: Mapping[str, Any]) -> Unavailable:
    """PopTorch is there and does not import: the SDK is not enabled, or torch is another than its own."""
    expected = expected_torch(facts.poptorch)
    if facts.torch_problem is not None:
        hint = f"torch itself does not import there: {facts.torch_problem}"
    elif expected is not None and facts.torch is not None and not facts.torch.startswith(expected):
        hint = f"it is built for torch {expected}, and {python} has torch {facts.torch}"
    elif facts.sdk is None:
        hint = "POPLAR_SDK_ENABLED is not set: source enable.sh of poplar and of popart before starting bench"
    else:
        hint = f"source enable.sh of the Poplar SDK it belongs to ({facts.sdk} is enabled now)"
    return Unavailable(
        reason=f"poptorch does not work in {python}: {facts.problem}",
        hint=f"{hint} ({_GUIDE})",
        state="broken",
        details=details,
    )


def _summary(facts: IpuFacts, python: str) -> str:
    kind = kind_of(facts)
    versions = f"poptorch {facts.poptorch}, torch {facts.torch}, Python {facts.python}"
    lacks = _lacks(facts)
    tail = f"; {lacks}" if lacks else ""
    if kind == "stand-in":
        return f"a stand-in for PopTorch in {python} ({versions}): it tests recbench, its rates mean nothing{tail}"
    if kind == "emulated":
        return f"Graphcore's IPU model, an emulation ({versions}): its rates mean nothing{tail}"
    version = "" if facts.hardware_version is None else f" version {facts.hardware_version}"
    return f"Graphcore IPU{version}, {versions}{tail}"


def _lacks(facts: IpuFacts) -> str:
    """What an installation that runs still lacks."""
    found = []
    expected = expected_torch(facts.poptorch)
    if expected is not None and facts.torch is not None and not facts.torch.startswith(expected):
        found.append(f"PopTorch {facts.poptorch} is built for torch {expected}")
    if not facts.gcipuinfo and not facts.stand_in:
        found.append("gcipuinfo does not import, so telemetry comes from gc-info where that is on the path")
    return "; ".join(found)


def _partition(facts: IpuFacts) -> str:
    host = facts.variables.get("IPUOF_VIPU_API_HOST")
    if host is None:
        return "whether IPUOF_VIPU_API_HOST and the partition are set"
    return f"whether the partition of {host} (IPUOF_VIPU_API_HOST) is there"


def _torch_is_new_enough(version: str) -> bool:
    parts = version.split("+")[0].split(".")
    try:
        return (int(parts[0]), int(parts[1])) >= OLDEST_TORCH
    except (IndexError, ValueError):
        return True
