"""What PopTorch makes of an optimizer: its kind and numbers, never its code."""

from __future__ import annotations

import warnings
from typing import Any, Dict, List

import torch

from . import optim

_KINDS = (torch.optim.SGD, torch.optim.AdamW, torch.optim.Adam, torch.optim.RMSprop)
# The values that PopTorch takes for constants where an optimizer leaves them (_optimizer_attributes.py of 3.4).
_CONSTANTS = {"momentum": 0.0, "weight_decay": 0.0, "dampening": 0.0, "eps": 1e-08, "nesterov": False}


def kind_of(optimizer: Any) -> Any:
    """The class of torch whose update the IPU has built in."""
    found = next((kind for kind in _KINDS if isinstance(optimizer, kind)), None)
    if found is None:
        raise AssertionError(
            "Unsupported optimizer type. Types supported SGD, Adam, AdamW, RMSprop (got %s)" % type(optimizer).__name__
        )
    if type(optimizer) not in _KINDS and not isinstance(optimizer, optim.Optimizer):
        warnings.warn(
            "Optimizer `%s` subclassed from classes in poptorch.optim or torch.optim are unlikely to behave as "
            "intended. Poptorch does not run Python optimizer code directly" % type(optimizer).__name__,
            stacklevel=2,
        )
    if any(group.get("amsgrad") for group in optimizer.param_groups):
        raise ValueError("Only non-amsgrad Adam/AdamW optimizers are supported.")
    return found


def numbers_of(optimizer: Any) -> List[Dict[str, Any]]:
    """The groups without their parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def check_constants(before: List[Dict[str, Any]], after: List[Dict[str, Any]]) -> None:
    """A value that was left at its default was compiled in; another one afterwards is an error."""
    for old, new in zip(before, after):
        for name, default in _CONSTANTS.items():
            if name in old and old[name] == default and new.get(name) != default:
                raise ValueError(
                    "%s was a constant (%r) when the model was compiled: the executable is already compiled"
                    % (name, default)
                )


def on_device(kind: Any, numbers: List[Dict[str, Any]], parameters: List[torch.Tensor]) -> Any:
    """The update that the IPU has built in, as torch's own code of that kind over the device's parameters."""
    made = kind(parameters, lr=numbers[0]["lr"])
    set_numbers(made, numbers)
    return made


def set_numbers(made: Any, numbers: List[Dict[str, Any]]) -> None:
    for name, value in numbers[0].items():
        made.param_groups[0][name] = value
