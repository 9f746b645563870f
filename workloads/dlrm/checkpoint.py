"""Weights from a file: a recbench checkpoint, or one that facebookresearch/dlrm saved (`--save-model`).

Read without running any code that the file may carry, and mapped rather than read, so that tables larger than half the
memory still load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.api import DataError, UsageError


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """`dense` and `tables` by their canonical names; `vocabulary` is empty where the file has none."""

    dense: Mapping[str, Tensor]
    tables: Mapping[str, Tensor]
    vocabulary: Mapping[str, Tensor] = field(default_factory=dict)


def read_weights(path: Path) -> Weights:
    """The weights of a checkpoint. DataError where the file is missing or holds no DLRM."""
    if not path.is_file():
        raise DataError(f"checkpoint {path} is not a file", hint="bench run dlrm --checkpoint-every N writes them")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as problem:
        raise DataError(f"{path} is not a checkpoint: {_first_line(problem)}") from problem
    found = _of_recbench(state) or _of_facebook(state)
    if found is None:
        raise DataError(
            f"{path} holds no DLRM weights", hint="expected a recbench or a facebookresearch/dlrm checkpoint"
        )
    return found


def load_dense(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies the MLPs' weights into `module`. UsageError naming the first that is missing or has another shape."""
    for name, tensor in module.state_dict().items():
        if name not in weights:
            raise UsageError(
                f"the checkpoint has no {name}", hint="it was trained with fewer layers than asked for here"
            )
        if weights[name].shape != tensor.shape:
            raise UsageError(
                f"the checkpoint's {name} is {tuple(weights[name].shape)}, this model's is {tuple(tensor.shape)}",
                hint="use the same --bottom-mlp, --top-mlp, --embedding-dim and --interaction as in training",
            )
    module.load_state_dict(dict(weights))


def _of_recbench(state: Any) -> Weights | None:
    try:
        workload = state["workload"]
        executor = workload["executor"]
        return Weights(executor["dense"], executor["tables"], workload["vocabulary"])
    except (KeyError, TypeError):
        return None


def _of_facebook(state: Any) -> Weights | None:
    """`{"state_dict": {"emb_l.0.weight": …, "bot_l.0.weight": …, "top_l.0.weight": …}, …}`."""
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        return None
    named: Mapping[str, Tensor] = state["state_dict"]
    tables = {name: tensor for name, tensor in named.items() if name.startswith("emb_l.")}
    dense = {name: tensor for name, tensor in named.items() if name.startswith(("bot_l.", "top_l."))}
    return Weights(dense, tables) if tables and dense else None


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
