"""Tensors in memory that two processes share, so that no batch and no weight passes through a pipe.

The memory is an anonymous file (memfd_create(2)) that the harness's side opens; the other side reaches it as
/proc/PID/fd/N and, once both have mapped it, it needs no name and leaves nothing behind, however either side ends.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ALIGNMENT = 64  # bytes; a view of another type needs that of its type, a cache line suits all


def lay_out(tensors: list[tuple[str, str, list[int]]]) -> tuple[list[dict[str, Any]], int]:
    """Where each (name, dtype, shape) lies, and the bytes of all."""
    layout = []
    offset = 0
    for name, dtype, shape in tensors:
        layout.append({"name": name, "dtype": dtype, "shape": list(shape), "offset": offset})
        size = element_bytes(dtype)
        for length in shape:
            size *= length
        offset += -(-size // _ALIGNMENT) * _ALIGNMENT
    return layout, max(offset, _ALIGNMENT)


def map_file(path: str, layout: list[dict[str, Any]], size: int) -> dict[str, Tensor]:
    """The tensors of a file of `size` bytes; writing into them writes into the file."""
    memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
    found = {}
    for item in layout:
        count = element_bytes(item["dtype"])
        for length in item["shape"]:
            count *= length
        part = memory[item["offset"] : item["offset"] + count]
        found[item["name"]] = part.view(getattr(torch, item["dtype"])).reshape(item["shape"])
    return found


def element_bytes(dtype: str) -> int:
    return int(torch.empty((), dtype=getattr(torch, dtype)).element_size())


def dtype_name(tensor: Tensor) -> str:
    return str(tensor.dtype).replace("torch.", "")
