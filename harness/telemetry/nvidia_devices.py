"""Which card CUDA means: from an index under CUDA_VISIBLE_DEVICES to the UUID that NVML knows it by.

CUDA numbers the cards that it may see, fastest first unless CUDA_DEVICE_ORDER=PCI_BUS_ID; NVML numbers all cards by
their place on the bus. The UUID is the one name both share. Sources: CUDA C++ Programming Guide, "CUDA Environment
Variables" (the list ends at its first invalid entry, a UUID may be shortened); `torch.cuda._parse_visible_devices` (an
index is read like strtoul, an entry given twice makes nothing visible).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.telemetry.samples import NoTelemetry

ORDER_HINT = "set CUDA_DEVICE_ORDER=PCI_BUS_ID, so that CUDA and NVML count alike"


def nvml_uuid(device: int | str, nvml: Any, environ: Mapping[str, str] | None = None) -> str | NoTelemetry:
    """The UUID of the card that CUDA calls `device`; raises only what `nvml` raises."""
    environ = os.environ if environ is None else environ
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    names = [_text(nvml.nvmlDeviceGetName(handle)) for handle in handles]
    if isinstance(device, str):
        return find_uuid(device, uuids)
    return uuid_of_index(device, uuids, names, environ)


def uuid_of_index(
    index: int, uuids: Sequence[str], names: Sequence[str], environ: Mapping[str, str]
) -> str | NoTelemetry:
    """The card behind CUDA's `index`. `uuids` and `names` list all cards in NVML's order.

    Where cards of different kinds are numbered fastest first, NVML cannot tell the order: then it is refused rather
    than guessed, since the wrong card's telemetry would look right.
    """
    if not uuids:
        return NoTelemetry("the NVIDIA driver lists no card")
    visible = visible_devices(uuids, environ)
    if not 0 <= index < len(visible):
        setting = environ.get("CUDA_VISIBLE_DEVICES")
        limited = "" if setting is None else f" under CUDA_VISIBLE_DEVICES={setting!r}"
        count = "no card is visible" if not visible else f"CUDA sees {len(visible)} of {len(uuids)} cards"
        return NoTelemetry(f"there is no CUDA device {index}: {count}{limited}")
    chosen = visible[index]
    by_uuid = chosen[1]
    by_bus = environ.get("CUDA_DEVICE_ORDER", "").upper() == "PCI_BUS_ID"
    if not by_uuid and not by_bus and len(set(names)) > 1:
        kinds = ", ".join(dict.fromkeys(names))
        return NoTelemetry(
            f"which card CUDA device {index} is cannot be told among different ones ({kinds})", ORDER_HINT
        )
    return chosen[0]


def visible_devices(uuids: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, bool]]:
    """The cards CUDA may use, in CUDA's order: (UUID, whether the variable named it by UUID)."""
    setting = environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None:
        return [(uuid, False) for uuid in uuids]
    visible: list[tuple[str, bool]] = []
    for entry in (word.strip() for word in setting.split(",")):
        number = re.match(r"\+?\d+", entry)
        if number:
            if int(number[0]) >= len(uuids):
                break
            visible.append((uuids[int(number[0])], False))
        elif entry.startswith("MIG-"):
            visible.append((entry, True))  # a slice is not among the cards; NVML opens it by its own UUID
        else:
            found = find_uuid(entry, uuids) if entry.startswith("GPU-") else None
            if not isinstance(found, str):
                break
            visible.append((found, True))
    named = [uuid for uuid, _ in visible]
    return visible if len(set(named)) == len(named) else []


def find_uuid(wanted: str, uuids: Sequence[str]) -> str | NoTelemetry:
    """The one card whose UUID begins with `wanted`; the prefix `GPU-` may be missing, a slice's `MIG-` may not."""
    if wanted.startswith("MIG-"):
        return wanted
    start = wanted.lower().removeprefix("gpu-")
    found = [uuid for uuid in uuids if start and uuid.lower().removeprefix("gpu-").startswith(start)]
    if len(found) == 1:
        return found[0]
    which = "no card has" if not found else f"{len(found)} cards have"
    return NoTelemetry(f"{which} a UUID that begins with {wanted!r}; the driver lists: {', '.join(uuids) or 'none'}")


def _text(value: Any) -> str:
    """Older nvidia-ml-py answers in bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
