"""What an environment's keys mean for a comparison, and the hash that says whether two environments are the same.

Every leaf of the environment has a class (how they compare: docs/methods.md):

- `subject`: may be the very thing compared (device, driver, versions, threads, commit); printed as the question;
- `nuisance`: should not differ between two runs on the same device (processor, kernel, governor, memory);
- `ignore`: says nothing about speed, or differs from one run to the next (paths, caches, exact byte counts).

The hash covers every leaf that is not `ignore`, so it is the same for two runs exactly when compare would find
nothing to say about their environments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

KeyClass = Literal["subject", "nuisance", "ignore"]
Scalar = str | int | float | bool | None

# The first pattern that fits decides (`*` spans dots); what none fits is a nuisance, so that nothing new goes unseen.
KEY_CLASS: Mapping[str, KeyClass] = {
    "cpu.used": "subject",  # --cpus
    "cpu.used_count": "subject",
    "cpu.*": "nuisance",
    "memory.*": "nuisance",
    "os.*": "nuisance",
    "container.*": "nuisance",
    "power.*": "nuisance",
    "python.executable": "ignore",
    "python.*": "subject",
    "packages.nvidia-ml-py": "ignore",  # only reads telemetry
    "packages.*": "subject",
    "compiler.path": "ignore",
    "compiler.*": "subject",
    "variables.*_DIR": "ignore",
    "variables.*_HOME": "ignore",
    "variables.*_PATH": "ignore",
    "variables.*": "subject",
    "harness.*": "subject",
    "compile_cache.*": "ignore",  # changes the compile time alone, which is timed apart
    "device.uuid": "ignore",  # one card of several alike
    "device.serial": "ignore",
    "device.pci_bus_id": "ignore",
    "device.*memory_free*": "ignore",
    "device.temperature*": "ignore",
    "device.*": "subject",
    "device_kind": "subject",
    "threads.*": "subject",
    "worker.*": "subject",
}


def flatten(environment: Mapping[str, Any]) -> dict[str, Scalar]:
    """Nested tables as `a.b.c` keys in alphabetical order. A list becomes its items joined by commas."""
    flat: dict[str, Scalar] = {}
    for key in sorted(environment):
        value = environment[key]
        if isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": leaf for inner, leaf in flatten(value).items()})
        elif isinstance(value, (list, tuple, set, frozenset)):
            items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
            flat[key] = ",".join(str(item) for item in items)
        elif value is None or isinstance(value, (str, int, float, bool)):
            flat[key] = value
        else:
            flat[key] = str(value)
    return flat


def classify(key: str) -> KeyClass:
    """The class of a flattened key."""
    return next((kind for pattern, kind in KEY_CLASS.items() if fnmatchcase(key, pattern)), "nuisance")


def environment_hash(environment: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits over every leaf that is not `ignore`. A key that is absent counts like None, so
    that an older record without it stays the same as a newer one where it could not be read."""
    counted = {
        key: value for key, value in flatten(environment).items() if value is not None and classify(key) != "ignore"
    }
    text = json.dumps(counted, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
