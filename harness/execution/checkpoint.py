"""Checkpoints of a run: written whole or not at all, read without executing anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError


def save(path: Path, state: Mapping[str, Any]) -> Path:
    """Writes `state` (tensors, numbers, text, lists, dicts) to `path` through a temporary name."""
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    return path


def load(path: Path) -> dict[str, Any]:
    """The state of a checkpoint, on the host. DataError where the file is missing or is none.

    Reads with `weights_only`, so a checkpoint from elsewhere cannot run code.
    """
    import torch

    if not path.is_file():
        raise DataError(f"checkpoint {path} is not a file", hint="a run keeps its checkpoints under recbench-output/")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        raise DataError(f"{path} is not a recbench checkpoint: {problem}") from problem
    if not isinstance(state, dict) or "workload" not in state or "harness" not in state:
        raise DataError(f"{path} is not a recbench checkpoint: it lacks the keys `workload` and `harness`")
    return state
