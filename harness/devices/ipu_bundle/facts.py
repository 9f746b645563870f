"""What the Poplar SDK's Python knows of IPUs, as one line of JSON on standard output.

Runs as a script under that Python, which may be 3.8 and has no recbench: it uses the standard library and poptorch
only, in syntax of that age. One command: `python3.8 harness/devices/ipu_bundle/facts.py`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any

# What the enable.sh scripts of the SDK set, and what the person or a job scheduler sets beside them.
VARIABLES = (
    "POPLAR_SDK_ENABLED",
    "POPTORCH_DEFAULT_OPTIONS",
    "POPTORCH_IPU_MODEL",
    "POPTORCH_CACHE_DIR",
    "POPLAR_ENGINE_OPTIONS",
    "IPUOF_VIPU_API_HOST",
    "IPUOF_VIPU_API_PARTITION_ID",
    "IPUOF_CONFIG_PATH",
)
_TRUE = ("1", "true", "on", "yes")


def look() -> dict[str, Any]:
    """Everything by name; None where it is not there. Raises nothing that a vendor's package raises."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "sdk": os.environ.get("POPLAR_SDK_ENABLED"),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "torch": None,
        "torch_problem": None,
        "poptorch": None,
        "problem": None,
        "missing": False,
        "hardware": False,
        "hardware_version": None,
        "emulated": emulation_is_asked_for(),
        "stand_in": False,
        "gcipuinfo": False,
    }
    try:
        import torch

        facts["torch"] = str(torch.__version__)
    except Exception as error:  # noqa: BLE001  # a missing library of the SDK's torch is told to the person
        facts["torch_problem"] = first_line(error)
    try:
        import poptorch

        facts["poptorch"] = str(getattr(poptorch, "__version__", "of an unknown version"))
        facts["stand_in"] = bool(getattr(poptorch, "__standin__", False))
        facts["hardware"] = bool(poptorch.ipuHardwareIsAvailable()) and not facts["stand_in"]
        if facts["hardware"]:
            facts["hardware_version"] = int(poptorch.ipuHardwareVersion())
    except ModuleNotFoundError as error:
        facts["missing"] = error.name == "poptorch"
        facts["problem"] = first_line(error)
    except Exception as error:  # noqa: BLE001  # whatever a vendor's package raises is told to the person
        facts["problem"] = first_line(error)
    try:
        import gcipuinfo  # noqa: F401

        facts["gcipuinfo"] = True
    except Exception:  # noqa: BLE001  # telemetry falls back on gc-info
        facts["gcipuinfo"] = False
    return facts


def emulation_is_asked_for() -> bool:
    """Whether PopTorch is told to use the IPU model, by its variable or by its default options, which come first."""
    try:
        options = json.loads(os.environ.get("POPTORCH_DEFAULT_OPTIONS") or "{}")
    except ValueError:
        options = {}
    if isinstance(options, dict) and "useIpuModel" in options:
        return bool(options["useIpuModel"])
    return os.environ.get("POPTORCH_IPU_MODEL", "").strip().lower() in _TRUE


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(look()) + "\n")
