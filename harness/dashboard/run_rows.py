"""Runs as rows of a list: which columns there are, what gives way when it is narrow, and the text of each cell."""

from __future__ import annotations

from collections.abc import Sequence

from harness.dashboard.widgets.long_list import Cell, Column
from harness.dashboard.words import local_time, status_tone
from harness.ids import short_id
from harness.report.numbers import amount, duration
from harness.store.records import RunSummary

SORTABLE = ("date", "workload", "device", "label", "status", "repeat", "wall", "tags", "note", "experiment")
TEXTS = ("workload", "device", "label", "status", "tags", "note", "experiment")  # sorted from A on at first
LABELS = {"wall": "took", "experiment": "id"}  # where a heading is another word
GONE: Sequence[Cell] = (("  deleted meanwhile", "dim"),)
_METRIC_WIDTH = 7


def columns(metrics: Sequence[str]) -> tuple[Column, ...]:
    """Those of a list that shows these metrics; the first of them is never left out."""
    return (
        Column(key="mark", title="", width=1),
        Column(key="date", title="date", width=11, drop=1),
        Column(key="workload", title="workload", width=12, grow=1, most=18),
        Column(key="device", title="device", width=6, grow=1, most=14, drop=2),
        Column(key="label", title="label", width=8, grow=3, most=28, drop=6),
        Column(key="repeat", title="#", width=2, right=True, drop=8),
        Column(key="status", title="status", width=11, grow=1, most=14),
        *(
            Column(
                key=name,
                title=_heading(name),
                width=max(_METRIC_WIDTH, len(_heading(name)) + 1),
                right=True,
                drop=0 if place == 0 else 5,
            )
            for place, name in enumerate(metrics)
        ),
        Column(key="wall", title="took", width=9, right=True, drop=9),
        Column(key="tags", title="tags", width=8, grow=4, most=30, drop=7),
        Column(key="experiment", title="id", width=6, drop=4),
    )


def row(run: RunSummary, metrics: Sequence[str], letter: str) -> Sequence[Cell]:
    """One run; `letter` is its mark."""
    kind = "" if run.device_kind in (None, "hardware") else "*"
    status = f"{run.status}, busy" if run.contended else str(run.status)
    return (
        (letter, "a" if letter == "A" else "b"),
        (local_time(run.started_at or run.created_at), "dim"),
        (f"{run.workload} {run.mode}", ""),
        (run.device + kind, "warn" if kind else ""),
        (run.label or run.profile or "", "dim"),
        (str(run.repeat + 1), "dim"),
        (status, "warn" if run.contended else status_tone(run.status)),
        *((_value(run, name), "strong" if place == 0 else "") for place, name in enumerate(metrics)),
        (duration(run.wall_s), "dim"),
        (", ".join(run.tags), "reference"),
        (short_id(run.experiment_id), "dim"),
    )


def _value(run: RunSummary, name: str) -> str:
    metric = run.metrics.get(name)
    if metric is None:
        return ""
    return amount(metric.value, metric.unit).removesuffix(_rate(metric.unit)).strip()


def _heading(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def _rate(unit: str) -> str:
    """What a column of rates need not repeat: `samples/s`, but not `bytes/s`, which has prefixes of its own."""
    return unit if unit.endswith("/s") and not unit.startswith(("bytes", "B/")) else ""
