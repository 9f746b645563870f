"""The worker: one process that runs one cell once (or the cells of a `pass` workload that share a set-up).

Started by the orchestrator as `python -P -m harness.execution.worker --channel FD`; not for people. What is printed
here goes to the run's log file; what is measured goes through the channel.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import getpass
import os
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.api import Device
from harness.devices.probe import make_device
from harness.errors import BenchError, DataError, ExitCode, UnavailableError, UsageError
from harness.execution import checkpoint
from harness.execution.channel import ORPHANED, Channel
from harness.execution.commands import given_python
from harness.execution.context import WorkerContext
from harness.execution.phases import Measurement
from harness.registry import Registry
from harness.spec import RunSpec, config_of, parse_cpus
from harness.telemetry.variables import relevant_variables

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="harness.execution.worker")
    parser.add_argument("--channel", type=int, required=True)
    channel = Channel(parser.parse_args(argv).channel)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the face hears Ctrl-C and asks the orchestrator
    start = channel.receive_start()
    _die_with_parent(start.get("orchestrator_pid"))
    channel.send("hello", pid=os.getpid(), rank=start.get("rank", 0), python=platform.python_version())
    failure = ExitCode.OK
    try:
        if start.get("job") == "ceilings":
            _measure_ceilings(channel, start)
        else:
            failure = _run_cells(channel, start)
    except BaseException as problem:  # noqa: BLE001 -- whatever it was, the parent must hear of it
        failure = _send_error(channel, problem)
    channel.send("done")
    channel.close()
    return int(failure)


def _run_cells(channel: Channel, start: Mapping[str, Any]) -> ExitCode:
    """Every cell in turn. In a shared worker a failed cell does not stop the others."""
    registry = Registry(Path(path) for path in start["plugins"])
    shared: dict[str, Any] = {}
    failure = ExitCode.OK
    device: Device | None = None
    for cell in _cells(channel, start):
        spec = RunSpec.from_json(cell["spec"])
        if device is None:
            device = _open_device(channel, registry, spec, cell["seed"])
        channel.restart_counts()
        channel.send("cell", cell=cell["cell"], run=cell["run"], state="begin")
        try:
            _run_cell(channel, registry, device, spec, cell, start, shared)
        except Exception as problem:  # noqa: BLE001 -- the other cells go on
            if isinstance(problem, BenchError) and (channel.stop_requested or channel.skip_requested):
                channel.send("log", level="info", text=problem.message)  # it was asked to give up, and did
                channel.send("cell", cell=cell["cell"], run=cell["run"], state="end")
            else:
                failure = _send_error(channel, problem)
                channel.send("cell", cell=cell["cell"], run=cell["run"], state="failed")
        else:
            channel.send("cell", cell=cell["cell"], run=cell["run"], state="end")
    return failure


def _cells(channel: Channel, start: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The cells of the start, then one after the other as the parent gives them."""
    for cell in start["cells"]:
        yield cell
        if channel.stop_requested:
            return
    while start.get("more") and (cell := channel.next_cell()) is not None:
        yield cell
        if channel.stop_requested:
            return


def _run_cell(
    channel: Channel,
    registry: Registry,
    device: Device,
    spec: RunSpec,
    cell: Mapping[str, Any],
    start: Mapping[str, Any],
    shared: dict[str, Any],
) -> None:
    description = registry.workload(spec.workload)
    output_dir = Path(cell["output_dir"])
    output_dir.mkdir(parents=True, exist_ok=True)
    context = WorkerContext(
        channel,
        description,
        spec,
        config_of(description, spec),
        device,
        repeat=cell["repeat"],
        rank=start.get("rank", 0),
        world_size=start.get("world_size", 1),
        cache_dir=Path(start["cache_dir"]),
        output_dir=output_dir,
        shared=shared,
    )
    report_to = getattr(device, "report_to", None)  # a device with a process of its own has things to tell meanwhile
    if report_to is not None:
        report_to(context)
    resumed = checkpoint.load(Path(cell["resumes"])) if cell.get("resumes") else None
    workload = registry.workload_class(spec.workload)()
    latency = description.modes[spec.mode].latency
    measurement = Measurement(workload, context, channel, spec, latency=latency)
    try:
        measurement.run(resumed)
    finally:
        with measurement.phase("teardown"):
            workload.close()


def _open_device(channel: Channel, registry: Registry, spec: RunSpec, seed: int) -> Device:
    """Cores first, since libraries size their thread pools on import; then the device, and what it turned out to be."""
    settings = spec.settings
    if settings.cpus is not None:
        cores = parse_cpus(settings.cpus)
        try:
            os.sched_setaffinity(0, cores)
        except OSError:
            allowed = ",".join(map(str, sorted(os.sched_getaffinity(0))))
            raise UsageError(
                f"cpus = {settings.cpus!r} names a core this process may not use", hint=f"allowed: {allowed}"
            ) from None
    device = make_device(registry, spec.device, given_python(settings))
    device.open(threads=settings.threads, seed=seed)
    channel.send(
        "environment",
        values={
            "python": {"version": platform.python_version(), "executable": sys.executable},
            "packages": _packages(),
            "variables": relevant_variables(os.environ),
            "compile_cache": {"state": _compile_cache_state()},
            "device": dict(device.describe()),
            "device_kind": device.device_kind,
        },
    )
    return device


def _packages() -> dict[str, str]:
    """Versions of this interpreter's packages that decide numbers; the parent's may be another interpreter."""
    found = {}
    for name in ("torch", "numpy", "torch-npu", "poptorch", "triton", "numba"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _compile_cache_state() -> str:
    """`warm` where torch.compile has left something to use again; it changes the time to compile alone."""
    try:
        own = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}"
        return "warm" if any(Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or own).iterdir()) else "cold"
    except (OSError, KeyError):  # no such folder, or a user without a name
        return "cold"


def _measure_ceilings(channel: Channel, start: Mapping[str, Any]) -> None:
    device = Registry(Path(path) for path in start["plugins"]).device(start["device"])
    device.open(threads=start.get("threads"), seed=0)
    for name, value in device.ceilings().items():
        channel.send("metric", name=name, value=value, unit="", better="higher", role="info", kind="ratio")


def _send_error(channel: Channel, problem: BaseException) -> ExitCode:
    """Tells the parent what went wrong: a sentence for the person, the traceback for the log."""
    trace = "".join(traceback.format_exception(problem))
    print(trace, file=sys.stderr, flush=True)  # noqa: T201
    if isinstance(problem, BenchError):
        channel.send(
            "error",
            kind=_kind(problem),
            message=problem.message,
            hint=problem.hint,
            details=list(problem.details),
            exit_code=int(problem.exit_code),
        )
        return problem.exit_code
    message = f"{type(problem).__name__}: {problem}".strip().splitlines()[0]
    channel.send("error", kind="internal", message=message, hint=None, exit_code=1, traceback=trace)
    return ExitCode.RUN_FAILED


def _kind(problem: BenchError) -> str:
    for kind, name in ((DataError, "data"), (UsageError, "usage"), (UnavailableError, "unavailable")):
        if isinstance(problem, kind):
            return name
    return "failed"


def _die_with_parent(parent: int | None) -> None:
    """Linux kills this process when its parent dies; elsewhere the channel's end does the same a moment later."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(ORPHANED)


if __name__ == "__main__":
    sys.exit(main())
