"""A cell made ready to be compared: with its machine's drift from the store, and what the registry knows of its
parameters. The command line and the Compare screen begin here; the comparison itself is `harness.analysis.compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.analysis.comparison import Side
from harness.analysis.drift import Drift
from harness.analysis.keys import ParamClass
from harness.errors import BenchError
from harness.registry import Registry
from harness.settings import settings_of
from harness.store.records import CellRecord, ExperimentRecord

if TYPE_CHECKING:
    from harness.store.queries import Store


def side_of(store: Store, experiment: ExperimentRecord, cell: CellRecord, *, name: str) -> Side:
    return Side(name=name, experiment=experiment, cell=cell, drift=drift_of(store, experiment, cell))


def drift_of(store: Store, experiment: ExperimentRecord, cell: CellRecord) -> Drift | None:
    """What two experiments on this machine and device lie apart; None where it was never calibrated."""
    if experiment.host is None:
        return None
    row = store.drift(experiment.host, cell.device, "throughput")
    if row is None or not isinstance(row.body.get("upper"), int | float):
        return None
    return Drift(
        value=row.value,
        upper=float(row.body["upper"]),
        n_experiments=row.n_experiments,
        measured_at=row.measured_at,
        method=str(row.body.get("method", "")),
    )


def param_classes(registry: Registry, workload: str) -> dict[str, ParamClass]:
    """Which of a workload's parameters may differ; none is known of a workload that is not installed here."""
    try:
        description = registry.workload(workload)
    except BenchError:
        return {}
    return {item.name: item.kind for item in settings_of(description.config)}
