"""All that can be wrong with a plan, found out before anything is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.api import Device, MetricSpec, Unavailable
from harness.devices.cpu import allowed_cores
from harness.devices.probe import probe_in_child
from harness.errors import UnavailableError, UsageError
from harness.execution import commands
from harness.execution.lanes import Cores, lane_count
from harness.execution.machine import Machine
from harness.execution.orphans import end_orphans
from harness.execution.plan import Plan, PlannedCell
from harness.execution.recover import recover
from harness.metrics import SHARED_METRICS
from harness.registry import Registry
from harness.spec import parse_cpus
from harness.store.queries import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What was found out. `worker` replaces the worker's program, in tests."""

    plan: Plan
    devices: Mapping[str, Device]  # by selector
    declared: Mapping[str, Mapping[str, MetricSpec]]  # by cell id: the metrics of its workload and mode
    machine: Machine
    notices: tuple[str, ...] = ()
    order_start: int = 0
    cores: Cores | None = None  # that the workers may use
    lanes: int = 1  # so many runs go on side by side
    worker: Path | None = None


def prepare(plan: Plan, worker: Path | None = None) -> Setup:
    """Checks the plan against this machine. Takes seconds: each device is asked, in a child, whether it can run.

    Raises UsageError, StoreError or UnavailableError; nothing is left behind.
    """
    if not plan.order:
        raise UsageError("nothing is left to run in this experiment")
    notices = [*recover(plan.database), *end_orphans()]
    registry = Registry(dict.fromkeys(path for cell in plan.cells for path in cell.spec.plugins))
    devices: dict[str, Device] = {}
    machine = Machine()
    asked: set[tuple[str, Path | None]] = set()
    for cell in plan.cells:
        settings = cell.spec.settings
        device = devices.setdefault(settings.device, registry.device(settings.device))
        commands.interpreter(settings, device)
        _check_cpus(settings.cpus)
        machine.look(settings.cpus)
        if (settings.device, settings.python) not in asked:
            asked.add((settings.device, settings.python))
            _require(registry, settings.device, settings.python)
    order_start = _recall(plan, machine)
    cores = Cores(numbers=tuple(sorted(os.sched_getaffinity(0))), at_once=allowed_cores())
    lanes, fewer = lane_count(plan, cores)
    notices += [fewer] if fewer is not None else []
    return Setup(
        plan=plan,
        devices=devices,
        declared={cell.id: _declared(registry, cell) for cell in plan.cells},
        machine=machine,
        notices=tuple(notices),
        order_start=order_start,
        cores=cores,
        lanes=lanes,
        worker=worker,
    )


def _require(registry: Registry, selector: str, python: Path | None) -> None:
    verdict = probe_in_child(selector, registry.plugins, python)
    if isinstance(verdict, Unavailable):
        raise UnavailableError(verdict.reason, hint=verdict.hint)


def _check_cpus(cpus: str | None) -> None:
    if cpus is None:
        return
    allowed = os.sched_getaffinity(0)
    strange = sorted(set(parse_cpus(cpus)) - allowed)
    if strange:
        raise UsageError(
            f"cpus = {cpus!r}: core {strange[0]} is not there or not allowed",
            hint="allowed: " + ",".join(map(str, sorted(allowed))),
        )


def _declared(registry: Registry, cell: PlannedCell) -> dict[str, MetricSpec]:
    """The metrics of a cell's workload over the shared ones; throughput counts what its mode calls a sample."""
    description = registry.workload(cell.spec.workload)
    mode = description.modes.get(cell.spec.mode)
    declared = {**SHARED_METRICS, **{metric.name: metric for metric in description.metrics}}
    if mode is not None:
        declared["throughput"] = replace(declared["throughput"], unit=f"{mode.sample}/s")
    return declared


def _recall(plan: Plan, machine: Machine) -> int:
    """Takes known ceilings from the database; the place of the next run in the experiment's order."""
    if not plan.database.exists() or plan.database.stat().st_size == 0:
        return 0
    with Store(plan.database) as store:
        for cell in plan.cells:
            rows = store.ceilings(machine.name, cell.spec.device, machine.threads(cell.spec))
            if rows and not any(row.contended for row in rows):  # a busy machine's limits are measured again
                machine.know(cell.spec, {row.name: row.value for row in rows})
        if not plan.resumed:
            return 0
        runs = [run for cell in store.experiment(plan.experiment_id).cells for run in cell.runs]
        return max((run.order_index + 1 for run in runs), default=0)
