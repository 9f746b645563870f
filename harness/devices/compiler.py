"""Whether `torch.compile` is used for the dense part, and why: decided by rule, so that all repeats agree.

`on` compiles or fails, `off` never compiles, `auto` compiles where it is possible and worth it:

- It is possible where Inductor's C++ compiler is (`$CXX`, else g++), and on CUDA where Triton is installed too.
- On a CPU it is worth it under bf16 or fp16, where it fuses the casts: 1.1 to 1.2 times the speed of eager DLRM
  training. In fp32 it gains 3 to 10 % and costs tens of seconds in every process that finds no compile cache.
- On CUDA it is worth it: unfused activations cost more than the matrix products there.

A measured choice would be finer, and could choose differently in two repeats of one cell. Imports no torch.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError, did_you_mean

CompileMode = Literal["auto", "on", "off"]
MODES: tuple[CompileMode, ...] = ("auto", "on", "off")
_ANSWER_S = 10.0  # a compiler that does not say its version in this time is no compiler


@dataclass(frozen=True, slots=True)
class Decision:
    """`use`: try to compile. `required`: a failure is an error, not a fall-back. `reason`: a few words."""

    use: bool
    required: bool
    reason: str


def find_cxx(environment: Mapping[str, str] | None = None) -> str | None:
    """The C++ compiler that Inductor would call, as the first line of its `--version`; None where there is none.

    Inductor looks at `$CXX`, else for g++ (clang++ on macOS), and nowhere else (torch/_inductor/config.py, cpp.cxx).
    """
    variables = os.environ if environment is None else environment
    named = variables.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    path = shutil.which(named, path=variables.get("PATH"))
    if path is None:
        return None
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = answer.stdout.splitlines()
    return lines[0].strip() if answer.returncode == 0 and lines else None


def decide(asked: str, *, device_type: str, precision: str, environment: Mapping[str, str] | None = None) -> Decision:
    """What to do about `compile = asked` on this kind of device. UsageError for an unknown word."""
    if asked not in MODES:
        raise UsageError(f"compile = {asked!r} is not one of auto, on, off", hint=did_you_mean(asked, MODES))
    if asked == "off":
        return Decision(use=False, required=False, reason="not asked for")
    required = asked == "on"
    if not required and device_type == "cpu" and precision not in ("bf16", "fp16"):
        return Decision(use=False, required=False, reason=f"gains little on a CPU in {precision}")
    compiler = find_cxx(environment)
    if compiler is None:
        return Decision(use=False, required=required, reason="no C++ compiler")
    if device_type == "cuda" and importlib.util.find_spec("triton") is None:
        return Decision(use=False, required=required, reason="no Triton")
    return Decision(use=True, required=required, reason=compiler)
