"""A module as a graph that is recorded once and replayed: what PopTorch's tracing does, and what it refuses.

First a dry run on torch's `meta` device: tensors there have shapes and no values, so a shape or a branch that depends
on data cannot work, and a tensor of the CPU is seen at once. Then torch.jit.trace records the real operations, with
parameters and buffers as inputs, so that each replica can have its own.
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Optional, Set, Tuple

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from .errors import Error

_MADE_ON_THE_IPU = {
    torch.arange, torch.full, torch.ones, torch.zeros, torch.empty, torch.rand, torch.randn,
}  # fmt: skip
_TORCH_LOSSES = {
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "nll_loss",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "kl_div",
    "soft_margin_loss",
    "hinge_embedding_loss",
    "cosine_embedding_loss",
    "margin_ranking_loss",
}
_NO_LOSS = "Couldn't find a loss in graph!"
_MANY_LOSSES = "Multiple independent losses found in graph. Graph must have one final loss."


class Marks:
    """The losses of the trace that goes on, and what depends on what."""

    current: Optional[Marks] = None

    def __init__(self) -> None:
        self.marked: List[torch.Tensor] = []
        self.kept: List[Any] = []  # so that no id is used twice
        self.parents: Dict[int, Set[int]] = {}

    def made(self, outputs: List[torch.Tensor], inputs: List[torch.Tensor]) -> None:
        parents = {id(tensor) for tensor in inputs}
        for tensor in outputs:
            self.kept.append(tensor)
            self.parents.setdefault(id(tensor), set()).update(parents - {id(tensor)})

    def final(self) -> torch.Tensor:
        """The loss that all others lead to."""
        if not self.marked:
            raise Error(_NO_LOSS)
        last = self.marked[-1]
        ancestors = self._ancestors(id(last))
        if any(id(loss) not in ancestors for loss in self.marked[:-1]):
            raise Error(_MANY_LOSSES)
        return last

    def _ancestors(self, start: int) -> Set[int]:
        seen, waiting = {start}, [start]
        while waiting:
            for parent in self.parents.get(waiting.pop(), ()):
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)
        return seen


def identity_loss(x: torch.Tensor, reduction: str) -> torch.Tensor:
    """Marks a loss, as poptorch.identity_loss does."""
    assert reduction in ("sum", "mean", "none"), "Unsupported reduction type!"
    loss = x.sum() if reduction == "sum" else x.mean() if reduction == "mean" else x * 1.0
    if Marks.current is not None:
        Marks.current.made([loss], [x])
        Marks.current.marked.append(loss)
    return loss


class DryRun(TorchFunctionMode):
    """Watches each function of torch during the run on `meta`."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        inputs = flat([args, kwargs])
        for tensor in inputs:
            if tensor.device.type == "cpu" and name not in ("__get__", "size", "dim"):
                raise Error(
                    "Expected an IPU tensor but got tensor(device=cpu, shape=%s, dtype=%s). Constants of forward must "
                    "be registered as buffers" % (list(tensor.shape), tensor.dtype)
                )
        if function in _MADE_ON_THE_IPU and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        if name in ("cuda", "cpu"):
            raise Error("tensors of a PopTorch model stay on the IPU: .%s() in forward" % name)
        result = function(*args, **kwargs)
        outputs = flat([result])
        for tensor in outputs:
            if not tensor.numel():
                raise Error("Zero-sized tensors are unsupported (Got shape %s)." % list(tensor.shape))
        self._marks.made(outputs, inputs)
        if name in _TORCH_LOSSES and kwargs.get("reduction", "mean") != "none":
            self._marks.marked.append(result)
        return result


class Names(TorchDispatchMode):
    """The names of the ATen operations that run, as `aten::add`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if flat([args, kwargs or {}, result]):
            self.seen.add(function._schema.name)
        return result


def flat(value: Any) -> List[torch.Tensor]:
    """The tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in flat(part)]
    return []


def check_modules(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            if module.padding_idx is not None:
                raise Error("%s: padding_idx is unsupported for embeddings" % name)
            if module.sparse:
                raise Error("%s: sparse gradients are unsupported" % name)


class Graph:
    """A recorded module. `run` gives the outputs' tensors and, of a training module, the loss behind them."""

    def __init__(self, recorded: Any, structure: Any, has_loss: bool) -> None:
        self._recorded = recorded
        self.structure = structure
        self.has_loss = has_loss

    def run(self, parameters: List[torch.Tensor], buffers: List[torch.Tensor], inputs: List[torch.Tensor]) -> Any:
        with torch.jit.optimized_execution(False):  # operation by operation, so that sums keep their order
            return self._recorded(*parameters, *buffers, *inputs)


def record(model: nn.Module, arguments: List[Any], training: bool) -> Tuple[Graph, Set[str]]:
    """The graph of `model` over arguments of which the tensors are inputs and the rest is frozen into it.

    What the model does to its own attributes meanwhile is undone; buffers and the random state are as before.
    """
    check_modules(model)
    for argument in arguments:
        if isinstance(argument, dict):
            raise TypeError("dicts as inputs are only partly supported by PopTorch: pass tensors")
        if isinstance(argument, torch.Tensor) and not argument.numel():
            raise Error("Zero-sized tensors are unsupported (Got shape %s)." % list(argument.shape))
    attributes = [(module, dict(module.__dict__)) for module in model.modules()]
    random_state = torch.get_rng_state()
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        names = dry_run(model, arguments, training)
        restore(attributes)
        return trace(model, arguments, training), names
    finally:
        restore(attributes)
        torch.set_rng_state(random_state)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def restore(attributes: List[Tuple[nn.Module, Dict[str, Any]]]) -> None:
    for module, before in attributes:
        module.__dict__.clear()
        module.__dict__.update(before)


def dry_run(model: nn.Module, arguments: List[Any], training: bool) -> Set[str]:
    """Raises what PopTorch's tracing would; gives the operations' names."""
    state = {
        **{name: tensor.detach().to("meta").requires_grad_() for name, tensor in model.named_parameters()},
        **{name: tensor.detach().to("meta") for name, tensor in model.named_buffers()},
    }
    given = [value.to("meta") if isinstance(value, torch.Tensor) else value for value in arguments]
    marks, names = Marks(), Names()
    Marks.current = marks
    try:
        with names, DryRun(marks):
            call_with(model, state, given)
    except (NotImplementedError, RuntimeError) as error:
        raise Error(
            "the shapes or the control flow of the model depend on data, or an operation is not supported: %s"
            % str(error).splitlines()[0]
        ) from error
    finally:
        Marks.current = None
    if training:
        marks.final()
    return names.seen


def call_with(model: nn.Module, state: Dict[str, torch.Tensor], arguments: List[Any]) -> Any:
    """Calls a module with other tensors in the place of its parameters and buffers.

    torch.func.functional_call does the same but refuses to be traced.
    """
    before = [(module, dict(module._parameters), dict(module._buffers)) for module in model.modules()]
    try:
        for name, tensor in state.items():
            path, _, leaf = name.rpartition(".")
            module = model.get_submodule(path)
            held = module._parameters if leaf in module._parameters else module._buffers
            held[leaf] = tensor  # type: ignore[assignment]
        return model(*arguments)
    finally:
        for module, parameters, buffers in before:
            module._parameters.update(parameters)
            module._buffers.update(buffers)


def trace(model: nn.Module, arguments: List[Any], training: bool) -> Graph:
    parameter_names = [name for name, _ in model.named_parameters()]
    buffer_names = [name for name, _ in model.named_buffers()]
    places = [index for index, value in enumerate(arguments) if isinstance(value, torch.Tensor)]
    found: List[Any] = []

    def run(*tensors: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        count = len(parameter_names) + len(buffer_names)
        state = dict(zip([*parameter_names, *buffer_names], tensors[:count]))
        given = list(arguments)
        for place, tensor in zip(places, tensors[count:]):
            given[place] = tensor
        marks = Marks()
        Marks.current = marks
        try:
            with LossWatch(marks):
                result = call_with(model, state, given)
        finally:
            Marks.current = None
        found.append(result)
        outputs = flat([result])
        return (*outputs, marks.marked[-1]) if training else tuple(outputs)

    state = [tensor.detach().clone().requires_grad_() for tensor in model.parameters()]
    state += [tensor.detach().clone() for tensor in model.buffers()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's hints, and that torch.jit grows old
        recorded = torch.jit.trace(
            run, tuple(state + [arguments[place] for place in places]), check_trace=False, strict=False
        )
    return Graph(recorded, shape_of(found[-1]), training)


class LossWatch(TorchFunctionMode):
    """Marks torch's own losses while the graph is recorded."""

    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self._marks = marks

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if getattr(function, "__name__", "") in _TORCH_LOSSES and (kwargs or {}).get("reduction", "mean") != "none":
            self._marks.marked.append(result)
        return result


def shape_of(value: Any) -> Any:
    """The nesting of outputs, with numbers for tensors."""
    counter = iter(range(1 << 20))

    def walk(part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            return next(counter)
        if isinstance(part, (list, tuple)):
            return tuple(walk(each) for each in part)
        return part

    return walk(value)


def rebuild(structure: Any, tensors: List[torch.Tensor]) -> Any:
    if isinstance(structure, tuple):
        return tuple(rebuild(part, tensors) for part in structure)
    return tensors[structure] if isinstance(structure, int) else structure
