"""Weights from a file: read without running any code that the file may carry, and mapped rather than read, so that
tables larger than half the memory still load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import DataError, UsageError


def read_state(path: Path, workload: str) -> Any:
    """What a checkpoint holds. DataError where the file is missing or is none."""
    if not path.is_file():
        raise DataError(f"checkpoint {path} is not a file", hint=f"bench run {workload} --checkpoint writes one")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as problem:
        raise DataError(f"{path} is not a checkpoint: {_first_line(problem)}") from problem


def load_module(module: nn.Module, weights: Mapping[str, Tensor], hint: str) -> None:
    """Copies weights into `module`. UsageError naming the first that is missing or has another shape."""
    for name, tensor in module.state_dict().items():
        if name not in weights:
            raise UsageError(f"the checkpoint has no {name}", hint=hint)
        if weights[name].shape != tensor.shape:
            raise UsageError(
                f"the checkpoint's {name} is {tuple(weights[name].shape)}, this model's is {tuple(tensor.shape)}",
                hint=hint,
            )
    module.load_state_dict(dict(weights))


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
