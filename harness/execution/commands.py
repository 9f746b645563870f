"""How a worker is started: its interpreter, its environment and the first line it reads."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import paths
from harness.api import Device
from harness.errors import UsageError
from harness.execution.lanes import Lane
from harness.execution.orphans import MARK
from harness.execution.plan import Plan, PlannedRun
from harness.execution.supervise import RankStart
from harness.spec import RunSettings, RunSpec

ALONE = Lane()
WORKER_MODULE = "harness.execution.worker"
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


def interpreter(settings: RunSettings, device: Device) -> str:
    """The Python of a worker: the person's (`--python`), the device's own, or ours. UsageError where it is none.

    Ours, too, where the device runs its part under a Python that has no recbench (`foreign`): it starts that itself.
    """
    given = given_python(settings)
    if getattr(device, "foreign", False):
        return sys.executable
    return given or device.interpreter() or sys.executable


def given_python(settings: RunSettings) -> str | None:
    """`--python`, absolute. UsageError where it is no program."""
    if settings.python is None:
        return None
    path = settings.python.expanduser()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageError(f"python = {str(path)!r} is not a program that can be started", hint="name an interpreter")
    return str(path.absolute())  # not resolved: a virtual environment is found through its link


def cell_starts(
    plan: Plan,
    runs: Sequence[PlannedRun],
    device: Device,
    *,
    lane: Lane = ALONE,
    more: bool = False,
    worker: Path | None = None,
) -> list[RankStart]:
    """Every rank of the worker that carries out `runs` one after the other. With `more` it then waits for another run,
    or for `ENOUGH`. `worker` replaces the worker's program."""
    spec = lane.place(plan.cell(runs[0].cell_id).spec)
    body = {"cells": [_cell(plan, run, lane) for run in runs], "more": more}
    return _starts(plan, spec, device, body, worker)


def next_run(plan: Plan, run: PlannedRun, lane: Lane) -> dict[str, Any]:
    """The line that gives one more run to a worker."""
    return {"type": "cell", "cell": _cell(plan, run, lane)}


ENOUGH = {"type": "enough"}  # the line that lets a worker go which waits for more


def _cell(plan: Plan, run: PlannedRun, lane: Lane) -> dict[str, Any]:
    spec = plan.cell(run.cell_id).spec
    return {
        "cell": run.cell_id,
        "run": run.id,
        "repeat": run.repeat,
        "spec": lane.place(spec).to_json(),
        "seed": spec.settings.seed + run.repeat,
        "output_dir": str(output_dir(plan, run)),
        "resumes": run.resumes,
    }


def ceiling_start(plan: Plan, spec: RunSpec, device: Device, *, worker: Path | None = None) -> RankStart:
    """The worker that measures what this device can do at most, with this cell's threads."""
    body = {"job": "ceilings", "device": spec.device, "threads": spec.settings.threads}
    return _starts(plan, spec, device, body, worker, alone=True)[0]


def output_dir(plan: Plan, run: PlannedRun) -> Path:
    """Where a run's log, artifacts and checkpoints lie."""
    return paths.output_dir(plan.database) / run.id


def _starts(
    plan: Plan,
    spec: RunSpec,
    device: Device,
    body: Mapping[str, Any],
    worker: Path | None,
    *,
    alone: bool = False,
) -> list[RankStart]:
    settings = spec.settings
    program = (str(worker),) if worker is not None else ("-m", WORKER_MODULE)
    argv = (interpreter(settings, device), "-P", *program)
    world_size = 1 if alone else settings.ranks
    port = _free_port() if world_size > 1 else None
    common = {
        "type": "start",
        "v": 1,
        "world_size": world_size,
        "plugins": [str(path) for path in spec.plugins],
        "cache_dir": str(paths.cache_dir()),
        "orchestrator_pid": os.getpid(),
        **body,
    }
    return [
        RankStart(
            argv=argv,
            environment={
                **worker_environment(settings, device, rank, world_size, port),
                MARK: plan.experiment_id,
            },
            start={**common, "rank": rank},
        )
        for rank in range(world_size)
    ]


def worker_environment(
    settings: RunSettings, device: Device, rank: int = 0, world_size: int = 1, port: int | None = None
) -> dict[str, str]:
    """Ours, without vendors' plug-ins to torch (a torch-npu without CANN breaks every `import torch`), then the
    device's variables, the threads asked for, and the rendezvous of several ranks."""
    environment = {**own_environment(), "TORCH_DEVICE_BACKEND_AUTOLOAD": "0", **device.environment()}
    if settings.threads is not None:
        environment.update(dict.fromkeys(_THREAD_VARIABLES, str(settings.threads)))
    if world_size > 1:
        environment.update(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world_size),
            LOCAL_WORLD_SIZE=str(world_size),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
        )
    return environment


def own_environment() -> dict[str, str]:
    """Ours for a child that runs our modules: a checkout is put on the path, since it need not be installed.

    What numba compiles goes into our cache folder, not beside the sources, which may be another user's or read-only.
    """
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    if not environment.get("NUMBA_CACHE_DIR"):
        environment["NUMBA_CACHE_DIR"] = str(paths.cache_dir() / "numba")
    checkout = paths.checkout()
    if checkout is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), environment.get("PYTHONPATH"))))
    return environment


def _free_port() -> int:
    """A port that nobody listens on now; rank 0 takes it a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
