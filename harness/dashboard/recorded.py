"""A recorded experiment as the Snapshot that its faces would have seen at its end, from the database alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.execution.snapshot import (
    MAX_LINES,
    MAX_WINDOWS,
    CellView,
    ExperimentState,
    LineView,
    MetricView,
    RunView,
    Snapshot,
    WindowView,
)
from harness.store.queries import Store
from harness.store.records import CellRecord, ExperimentRecord, RunRecord, SeriesRecord
from harness.store.rows import EventRow

_STATES: Mapping[str, ExperimentState] = {
    "running": "running",
    "done": "done",
    "failed": "failed",
    "interrupted": "interrupted",
    "lost": "failed",
}
_CODES = {"done": 0, "failed": 1, "interrupted": 130, "lost": 1}
_QUIET_KINDS = ("phase",)


def recorded_snapshot(store: Store, experiment_id: str) -> Snapshot:
    """All that the database has of an experiment, its newest windows per run. UsageError where it is not there."""
    experiment = store.experiment(experiment_id)
    runs = [run for cell in experiment.cells for run in cell.runs]
    last = max(runs, key=lambda run: (run.started_at or "", run.order_index), default=None)
    over = experiment.status != "running"
    code = experiment.exit_code if experiment.exit_code is not None else _CODES.get(experiment.status, 1)
    return Snapshot(
        experiment_id=experiment.id,
        command=experiment.command,
        database=str(store.path),
        state=_STATES.get(experiment.status, "failed"),
        started_at=experiment.created_at,
        elapsed_s=_elapsed_s(experiment),
        message=experiment.message,
        exit_code=code if over else None,
        current_run=last.id if last is not None else None,
        lanes=max((int(run.contention.get("side_by_side", 1)) for run in runs), default=1),
        cells=tuple(_cell(store, cell) for cell in experiment.cells),
        lines=_lines(store.experiment_events(experiment_id)),
        telemetry=_telemetry(store, last),
    )


def _cell(store: Store, cell: CellRecord) -> CellView:
    return CellView(
        id=cell.id,
        index=cell.index,
        label=cell.label,
        workload=cell.workload,
        mode=cell.mode,
        device=cell.device,
        device_kind=cell.device_kind,
        repeats=len({run.repeat for run in cell.runs}),
        profile=cell.profile,
        rate_unit=next((found.unit for run in cell.runs if (found := run.metric("throughput"))), "samples/s"),
        runs=tuple(_run(store, run) for run in cell.runs),
    )


def _run(store: Store, run: RunRecord) -> RunView:
    windows = _windows(store, run) if run.started_at is not None else ()
    throughput = run.metric("throughput")
    return RunView(
        id=run.id,
        cell_id=run.cell_id,
        repeat=run.repeat,
        status=run.status,
        started_at=run.started_at,
        elapsed_s=run.wall_s,
        samples=sum(window.samples for window in windows),
        throughput=throughput.value if throughput is not None else None,
        contended=run.contended,
        reason=run.reason or (run.contention_reason if run.contended else None),
        windows=windows,
        metrics=tuple(
            MetricView(
                name=metric.name,
                value=metric.value,
                unit=metric.unit,
                better=metric.better,
                role=metric.role,
                phase=metric.phase,
                labels=metric.labels,
            )
            for metric in run.metrics
        ),
    )


def _windows(store: Store, run: RunRecord) -> tuple[WindowView, ...]:
    """Rates of all ranks added up by their place, the newest `MAX_WINDOWS`. Losses are laid beside them by place."""
    rates = [one for one in store.series(run.id, "throughput") if one.x]
    seconds = {_key(one): one for one in store.series(run.id, "window_s")}
    losses = [one for one in store.series(run.id, "loss") if one.labels.get("rank", "0") == "0"]
    loss = [value for one in losses for value in one.y]
    found: list[tuple[float, str, float, float]] = []
    for phase in dict.fromkeys(one.labels.get("phase", "measure") for one in rates):
        ranks = [one for one in rates if one.labels.get("phase", "measure") == phase]
        for place, at_s in enumerate(ranks[0].x):
            values = [one.y[place] for one in ranks if place < len(one.y)]
            known = [value for value in values if value is not None and math.isfinite(value)]
            if known:
                found.append((at_s, phase, sum(known), _length(ranks[0], seconds.get(_key(ranks[0])), place)))
    found.sort()
    return tuple(
        WindowView(
            number=number,
            run_id=run.id,
            phase=phase,
            index=number,
            at_s=at_s,
            samples=round(rate * length),
            seconds=length,
            loss=loss[number] if number < len(loss) else None,
        )
        for number, (at_s, phase, rate, length) in enumerate(found)
    )[-MAX_WINDOWS:]


def _key(series: SeriesRecord) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(series.labels.items()))


def _length(rates: SeriesRecord, lengths: SeriesRecord | None, place: int) -> float:
    """Seconds of a window: recorded, or the distance to the one before."""
    if lengths is not None and place < len(lengths.y) and lengths.y[place]:
        return float(lengths.y[place] or 0.0)
    before = rates.x[place - 1] if place else 0.0
    return max(1e-9, rates.x[place] - before)


def _lines(events: Sequence[EventRow]) -> tuple[LineView, ...]:
    shown = [event for event in events if event.kind not in _QUIET_KINDS][-MAX_LINES:]
    return tuple(
        LineView(
            number=number,
            at=_clock(event.wall),
            level=event.level if event.level in ("info", "warning", "error") else "info",  # type: ignore[arg-type]
            text=event.text or event.kind,
            run_id=event.run_id,
        )
        for number, event in enumerate(shown)
    )


def _telemetry(store: Store, run: RunRecord | None) -> dict[str, Any]:
    """The last readings of the last run, by source."""
    if run is None:
        return {}
    return {row.source: dict(row.values) for row in store.telemetry(run.id)}


def _elapsed_s(experiment: ExperimentRecord) -> float:
    """From the start to the end, or to the end of its last run."""
    runs = [run for cell in experiment.cells for run in cell.runs]
    ends = [time for run in runs if (time := run.ended_at)] + ([experiment.ended_at] if experiment.ended_at else [])
    starts = [experiment.created_at, *(run.started_at for run in runs if run.started_at)]
    if not ends:
        return 0.0
    return max(0.0, (_time(max(ends)) - _time(min(starts))).total_seconds())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _clock(text: str) -> str:
    """The wall clock of an event, in this machine's own time."""
    try:
        return _time(text).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return text[11:19]
