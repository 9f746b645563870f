"""The IPU's process: does what the harness asks for, one message after the other, and answers.

`hello` comes first, by itself. Then each request has one answer of the same name, in order, so that the harness need
not wait for it; `free` has none. An error is one message too, with all that PopTorch said of it, and the end.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .arrays import map_file
from .facts import look
from .wire import Wire

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Refused(Exception):
    """The harness and the model's files do not fit together; told in one sentence."""


class Server:
    """What this process holds. Each method without an underscore is a request by its name."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._program: Any = None
        self._network: nn.Module | None = None
        self._slots: dict[int, dict[str, Tensor]] = {}
        self._weights: dict[str, Tensor] = {}
        self._answer: Tensor | None = None
        self._folder: str | None = None
        self._rows = {"train": 0, "infer": 0}

    def serve(self) -> None:
        """Until the harness closes its end."""
        while True:
            try:
                message = self._wire.receive()
            except EOFError:
                return
            assert message is not None
            request = message.pop("do")
            answer = getattr(self, request)(**message)
            if answer is not None:
                self._wire.send(say=request, **answer)

    def build(
        self,
        folder: str,
        factory: str,
        arguments: dict[str, Any],
        geometry: dict[str, int],
        optimizer: dict[str, Any],
        how: dict[str, Any],
        weights: dict[str, Any],
    ) -> dict[str, Any]:
        """Makes the model from its files and fills in its weights."""
        from .program import Program

        self.close()
        self._folder = folder
        sys.path.insert(0, folder)
        if how["threads"] is not None:
            torch.set_num_threads(how["threads"])
        module, _, function = factory.partition(":")
        network = getattr(importlib.import_module(module), function)(arguments)
        if not isinstance(network, nn.Module):
            raise Refused("%s gives a %s, not a torch.nn.Module" % (factory, type(network).__name__))
        self._weights = map_file(**weights)
        check_names(network, self._weights)
        self._network = network
        self._program = Program(network, geometry, optimizer, how)
        self._program.set_weights(self._weights)
        return {"parameters": sum(parameter.numel() for parameter in network.parameters())}

    def stage(self, slot: int, memory: dict[str, Any]) -> dict[str, Any]:
        self._slots[slot] = map_file(**memory)
        return {"slot": slot}

    def free(self, slot: int) -> None:
        self._slots.pop(slot, None)

    def compile(
        self, train: int | None, infer: int | None, rows: dict[str, int], iterations: int, answer: dict[str, Any]
    ) -> dict[str, Any]:
        self._rows = rows
        self._answer = map_file(**answer)["logits"]
        examples: list[list[Tensor] | None] = [None, None]
        if train is not None:
            features, labels = self._take(train, "train")
            examples[0] = [*features, labels]
        if infer is not None:
            examples[1] = self._take(infer, "infer")[0]
        return {"seconds": self._program.compile(examples[0], examples[1], iterations)}

    def train(self, slot: int, rows: int, rates: list[float]) -> dict[str, Any]:
        features, labels = self._take(slot, "train")
        loss_sum = self._program.train(features, labels, rows, rates)
        return {"loss_sum": loss_sum, "at": time.monotonic()}

    def infer(self, slot: int, rows: int) -> dict[str, Any]:
        logits = self._program.answer(self._take(slot, "infer")[0], rows)
        assert self._answer is not None
        self._answer[: len(logits)].copy_(logits)
        return {"at": time.monotonic()}

    def save(self) -> dict[str, Any]:
        for name, tensor in self._program.weights().items():
            self._weights[name].copy_(tensor)
        return {"random": self._program.random_state()}

    def load(self, random: list[int] | None) -> dict[str, Any]:
        self._program.set_weights(self._weights)
        if random is not None:
            self._program.set_random_state(random)
        return {}

    def performance(self) -> dict[str, Any]:
        return {"seconds": self._program.performance()}

    def close(self) -> dict[str, Any]:
        """Lets go of the IPUs and forgets the model, its files too; another may be built."""
        if self._program is not None:
            self._program.close()
        self._program = self._network = self._answer = None
        self._slots, self._weights = {}, {}
        if self._folder is not None:
            sys.path.remove(self._folder)
            for name, module in list(sys.modules.items()):
                if str(Path(getattr(module, "__file__", None) or "/").parent) == self._folder:
                    del sys.modules[name]
            importlib.invalidate_caches()
            self._folder = None
        return {}

    def _take(self, slot: int, mode: str) -> tuple[list[Tensor], Tensor]:
        """The leading rows of a batch that a program of this mode takes: its features, and its labels."""
        tensors = self._slots[slot]
        rows = self._rows[mode]
        features = [tensors[name][:rows] for name in tensors if name != "labels"]
        return features, tensors["labels"][:rows]


def check_names(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Both sides must know the same parameters and buffers, by name, type and shape."""
    own = network.state_dict()
    problems = ["the harness has no %s" % name for name in own if name not in weights]
    problems += ["the model has no %s" % name for name in weights if name not in own]
    for name, tensor in own.items():
        if name in weights and (weights[name].shape, weights[name].dtype) != (tensor.shape, tensor.dtype):
            problems.append(
                "%s is %s %s here and %s %s there"
                % (name, tensor.dtype, list(tensor.shape), weights[name].dtype, list(weights[name].shape))
            )
    if problems:
        raise Refused("the model's files do not give the model that the harness has: " + "; ".join(problems[:3]))


def describe_error(error: BaseException) -> dict[str, Any]:
    """All that PopTorch says of an error (`poptorch.Error`: type, message, location; recovery_action)."""
    told: dict[str, Any] = {"kind": type(error).__name__, "text": str(error).strip(), "module": type(error).__module__}
    for name in ("type", "location", "recovery_action"):
        value = getattr(error, name, None)
        told[name] = value if isinstance(value, str) else None
    return told


def die_with_parent(parent: int) -> None:
    """The kernel kills this process when the worker dies, whatever it is doing then."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ipu_bundle.serve")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args(argv)
    die_with_parent(arguments.parent)
    wire = Wire(socket.socket(fileno=arguments.channel))
    try:
        wire.send(say="hello", facts=look())
        Server(wire).serve()
    except BaseException as error:  # noqa: BLE001  # whatever it was, the harness must hear of it
        traceback.print_exc()
        sys.stderr.flush()
        with contextlib.suppress(OSError):
            wire.send(say="error", **describe_error(error))
        return 1
    return 0
