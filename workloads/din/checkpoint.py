"""Weights of DIN in a file: a checkpoint of recbench, or what `--model-path` wrote, which has the same form."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.api import DataError, RunFailed, UsageError
from workloads.common.weights import load_module, read_state
from workloads.din.host import HostDin

_SAME_MODEL = "use the same --variant, --attention, layers and widths as in training"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """`dense` and `tables` by their canonical names; `protocol` of the rows they were trained on."""

    dense: Mapping[str, Tensor]
    tables: Mapping[str, Tensor]
    protocol: str | None


def read_weights(path: Path) -> Weights:
    """The weights of a checkpoint. DataError where the file is missing or holds no DIN."""
    state = read_state(path, "din")
    try:
        own = state["workload"]
        executor = own["executor"]
        return Weights(executor["dense"], executor["tables"], own.get("protocol"))
    except (KeyError, TypeError, AttributeError):
        raise DataError(f"{path} holds no DIN weights", hint="expected a checkpoint of bench run din") from None


def load_dense(dense: HostDin, weights: Mapping[str, Tensor]) -> None:
    """Copies the dense part. UsageError naming the first weight that does not fit or has no place."""
    unknown = sorted(set(weights) - set(dense.state_dict()))
    if unknown:
        raise UsageError(f"the checkpoint has {unknown[0]}, which this model lacks", hint=_SAME_MODEL)
    load_module(dense, weights, _SAME_MODEL)


def write_weights(path: Path, state: Mapping[str, Any]) -> None:
    """The state of a workload as a checkpoint, whole or not at all. RunFailed where it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save({"workload": dict(state), "harness": {}}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as problem:
        raise RunFailed(f"the weights cannot be written to {path}: {problem.strerror}") from problem


def copied(state: Any) -> Any:
    """A state that later steps do not change."""
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, Mapping):
        return {name: copied(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copied(value) for value in state)
    return state
