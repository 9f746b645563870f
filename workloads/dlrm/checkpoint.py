"""Weights from a file: a recbench checkpoint, or one that facebookresearch/dlrm saved (`--save-model`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.api import DataError
from workloads.common.weights import load_module, read_state

_SAME_MODEL = "use the same --bottom-mlp, --top-mlp, --embedding-dim and --interaction as in training"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """`dense` and `tables` by their canonical names; `vocabulary` is empty where the file has none."""

    dense: Mapping[str, Tensor]
    tables: Mapping[str, Tensor]
    vocabulary: Mapping[str, Tensor] = field(default_factory=dict)


def read_weights(path: Path) -> Weights:
    """The weights of a checkpoint. DataError where the file is missing or holds no DLRM."""
    state = read_state(path, "dlrm")
    found = _of_recbench(state) or _of_facebook(state)
    if found is None:
        raise DataError(
            f"{path} holds no DLRM weights", hint="expected a recbench or a facebookresearch/dlrm checkpoint"
        )
    return found


def load_dense(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies the MLPs' weights into `module`. UsageError naming the first that is missing or has another shape."""
    load_module(module, weights, _SAME_MODEL)


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
