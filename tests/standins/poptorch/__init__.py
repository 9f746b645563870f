"""A stand-in for Graphcore's PopTorch 3.4: its contract, enforced on a CPU. It measures nothing, and says so.

On the path of the interpreter that `--python` names, it lets `bench run … --device ipu` run end to end; such runs are
stored and shown as `stand-in`. What real PopTorch refuses is refused here, with its words where they are known (read
in graphcore/poptorch at sdk-release-3.4, MIT). Syntax and calls are those of Python 3.8 and torch 2.0.

The contract, point by point, with where it is enforced; `test_poptorch.py` has a negative test of each.

 1 dimension 0 is a multiple of iterations x replicas x accumulation     executor.narrow
 2 the module sees micro-batches                                         executor.PoplarExecutor._run
 3 later calls repeat shapes, types, counts and plain values             executor.validate
 4 control flow and plain values freeze at the first call                graph.record (a trace is replayed)
 5 one final loss, marked or of torch's own                              graph.Marks
 6 `forward` returns the loss with the outputs                           graph.record
 7 no `backward` on an output                                            executor.forbid_backward
 8 the optimizer is given to the wrapper; SGD with 0.01 where none is    executor.PoplarExecutor
 9 SGD, Adam, AdamW, RMSprop; their host code never runs                 optimizers.on_device
10 a new rate holds from `setOptimizer` on; defaults are constants       optimizers.check_constants
11 one update an iteration, by the mean over accumulation x replicas     executor.PoplarExecutor._run
12 shapes of outputs by the output mode                                  executor.gather
13 inference takes neither accumulation nor an optimizer                 executor.PoplarExecutor
14 options freeze when they are used                                     options.OptionsDict
15 a wrapped model is not wrapped again                                  executor.wrap
16 the wrapper copies the model shallowly: the training flag stays       executor.PoplarExecutor
17 the host's weights are stale until they are asked for                 executor.wrap, copyWeightsToHost
18 no copy of weights before there is an executable                      executor.PoplarExecutor
19 int64 and float64 become int32 and float32                            executor.demote
20 no tensor of the CPU inside `forward`                                 graph.DryRun
21 attributes set in `forward` do not last, buffers changed in place do  graph.record
22 no `padding_idx`, no sparse gradients                                 graph.check_modules
23 no empty tensors, no shapes that depend on data                       graph.DryRun
24 DataLoader, 25 its asynchronous form: not here; recbench hands over whole calls itself
26 dict inputs are not here: they are a TypeError
27 with ConnectionType.Never nothing runs                                executor.PoplarExecutor.__call__
28 counters need their options and an executable                         executor.PoplarExecutor

`POPTORCH_STANDIN_IPUS` is how many IPUs there are (8), `POPTORCH_STANDIN_FAIL` what goes wrong (`failures.py`).
"""

from __future__ import annotations

from . import optim
from .enums import ConnectionType, OutputMode, ReductionType
from .errors import Error, RecoverableError, UnrecoverableError
from .executor import PoplarExecutor, inferenceModel, trainingModel
from .graph import identity_loss
from .options import Options

__version__ = "3.4.0+standin"
__standin__ = True
__all__ = [
    "ConnectionType",
    "Error",
    "Options",
    "OutputMode",
    "PoplarExecutor",
    "RecoverableError",
    "ReductionType",
    "UnrecoverableError",
    "identity_loss",
    "inferenceModel",
    "ipuHardwareIsAvailable",
    "ipuHardwareVersion",
    "optim",
    "trainingModel",
]


def ipuHardwareIsAvailable(num_ipus: int = 1) -> bool:
    """There is none, however many are played."""
    return False


def ipuHardwareVersion() -> int:
    raise AssertionError("No IPU hardware available on this system")
