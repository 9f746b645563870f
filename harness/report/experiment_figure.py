"""The figure of an experiment, as its workload says it: a metric over a setting, a line for each other configuration.

Records in, a `Figure` out. A point is the median over the runs of a cell that ended well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.analysis.statistics import summary
from harness.analysis.words import rows_text, setting_text
from harness.api import Description, Figure, FigureSpec, Line
from harness.errors import UsageError
from harness.ids import short_id
from harness.store.records import CellRecord, ExperimentRecord

_ALWAYS_APART = ("seed", "data_seed", "repeats")  # differ without making another line


def experiment_figure(experiment: ExperimentRecord, description: Description) -> Figure:
    """UsageError where the workload says no figure, or no run gave what it draws."""
    spec = description.figure
    if spec is None:
        raise UsageError(
            f"workload {description.name!r} says no figure to draw", hint="its series are in the dashboard's curves"
        )
    cells = [cell for cell in experiment.cells if cell.workload == description.name]
    keys = _telling(cells, description, spec)
    lines: dict[str, dict[float, float]] = {}
    for cell in cells:
        x, y = _median(cell, spec.at), _median(cell, spec.metric)
        if x is not None and y is not None:
            lines.setdefault(_name(cell, keys, description), {})[x] = 1 - y if spec.complement else y
    if not lines:
        raise UsageError(
            f"no run of experiment {short_id(experiment.id)} gave {spec.metric} and {spec.at}: there is nothing to draw"
        )
    return Figure(
        title=spec.title,
        x_label=spec.x_label,
        y_label=spec.y_label,
        log_x=spec.log_x,
        lines=[
            Line(name=name, x=sorted(points), y=[points[x] for x in sorted(points)]) for name, points in lines.items()
        ],
    )


def data_notes(experiment: ExperimentRecord) -> list[str]:
    """What the cells ran over, once each."""
    found = []
    for cell in experiment.cells:
        rows = cell.data.get("rows")
        told = str(cell.data.get("description") or "")
        unit = next((metric.unit for run in cell.runs if (metric := run.metric("throughput"))), None)
        if told:
            found.append(f"{told}, {rows_text(int(rows), unit)}" if rows is not None else told)
    return list(dict.fromkeys(found))


def _telling(cells: Sequence[CellRecord], description: Description, spec: FigureSpec) -> list[str]:
    """The settings that tell lines apart: the workload's axes first, then all else that differs."""
    axes = [key for key in description.axes if key != spec.over]
    every = [_all(cell) for cell in cells]
    differing = [
        key
        for key in dict.fromkeys(key for one in every for key in one)
        if key not in (spec.over, *_ALWAYS_APART) and len({setting_text(one.get(key)) for one in every}) > 1
    ]
    return list(dict.fromkeys([*axes, *differing]))


def _name(cell: CellRecord, keys: Sequence[str], description: Description) -> str:
    """`lru`, or `lru, caches=per-table`; values of axes speak for themselves."""
    values = _all(cell)
    told = [
        setting_text(values.get(key)) if key in description.axes else f"{key}={setting_text(values.get(key))}"
        for key in keys
    ]
    return ", ".join(told) or cell.workload


def _all(cell: CellRecord) -> Mapping[str, Any]:
    return {**cell.settings, "device": cell.device, "mode": cell.mode, **cell.params}


def _median(cell: CellRecord, key: str) -> float | None:
    metrics = [run.metric(key) for run in cell.runs if run.status == "ok"]
    return summary(metric.value for metric in metrics if metric is not None).median
