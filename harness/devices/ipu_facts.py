"""What the Poplar SDK's Python knows of IPUs, as one line of JSON on standard output.

Runs as a script under that Python, which may be 3.8 and has no recbench: it uses the standard library and poptorch
only, in syntax of that age. One command: `python3.8 harness/devices/ipu_facts.py`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import Any, Dict  # noqa: UP035  # Python 3.8


def look() -> Dict[str, Any]:  # noqa: UP006  # Python 3.8
    facts: Dict[str, Any] = {  # noqa: UP006
        "python": platform.python_version(),
        "sdk": os.environ.get("POPLAR_SDK_ENABLED"),
        "poptorch": None,
        "problem": None,
        "missing": False,
        "hardware": False,
    }
    try:
        import poptorch

        facts["poptorch"] = str(getattr(poptorch, "__version__", "of an unknown version"))
        facts["hardware"] = bool(poptorch.ipuHardwareIsAvailable())
    except ModuleNotFoundError as error:
        facts["missing"] = error.name == "poptorch"
        facts["problem"] = str(error)
    except Exception as error:  # noqa: BLE001  # whatever a vendor's package raises is told to the person
        lines = str(error).strip().splitlines()
        facts["problem"] = lines[0] if lines else type(error).__name__
    return facts


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(look()) + "\n")
