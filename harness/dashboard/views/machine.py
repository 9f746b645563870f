"""The machine beside the run: its device, its host, and the lamp that says whether something else uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.dashboard.history import History
from harness.dashboard.views.words import MEASURED_PHASES, cell_of, shown_run
from harness.dashboard.views.wrap import wrapped
from harness.dashboard.widgets.line_chart import Line, Plot
from harness.dashboard.widgets.paint import (
    FAINT,
    GOOD,
    LIVE,
    MUTED,
    STRONG,
    TEXT,
    WARN,
    Row,
    Span,
    bar,
    levels,
    width_of,
)
from harness.execution.snapshot import RunView, Snapshot
from harness.report.numbers import brief, share

_LABEL = 8
_FULL = 0.97
_ROOMY = 13  # lines of panel, below which it is dense


def lamp(snapshot: Snapshot | None, history: History, threads: int | None) -> Row:
    """`● alone`, `● contended: why`, `○ not known`, from the newest readings while something is measured."""
    if snapshot is None or snapshot.over:
        return ()
    run = snapshot.run(snapshot.current_run)
    if run is None or run.phase not in MEASURED_PHASES:
        return (("○ not measuring", FAINT),)
    if snapshot.lanes > 1:
        return (("○ side by side, not timed", FAINT),)
    contended, why = history.contention(threads)
    if contended is None:
        return (("○ contention not known", FAINT),)
    if not contended:
        return (("● ", GOOD), ("quiet machine", MUTED))
    return (("● contended ", f"{WARN} bold"), (why or "", WARN))


def machine_rows(snapshot: Snapshot | None, history: History, width: int, height: int) -> tuple[Row, ...]:
    """The device's readings, then the host's; where there is little room, the four that matter of each."""
    if snapshot is None:
        return (((" no experiment", MUTED),),)
    dense = height < _ROOMY
    device, host = device_rows(snapshot, width, dense=dense), host_rows(snapshot, history, width, dense=dense)
    return (*device, *host) if dense else (*device, (), *host)


def machine_plot(snapshot: Snapshot | None, history: History) -> Plot | None:
    """How busy cores and card were in the last minute, in percent; None where nothing was read twice."""
    if snapshot is None:
        return None
    device = _device(snapshot)[0]
    source = _source_of(snapshot, device)
    lines = []
    readings = [("host", "cpu_total", "cores", "series-1")]
    named = "utilisation" if device.partition(":")[0] == "ipu" else "utilisation_gpu"
    readings += [(source, named, device, "series-5")] if source is not None else []
    for name, value, shown, style in readings:
        points = [
            (reading.at_s, 100 * found)
            for reading in history.sources.get(name, ())
            if (found := _number(reading.values.get(value))) is not None
        ]
        if len(points) > 1:
            end = points[-1][0]
            lines.append(Line(tuple(at - end for at, _ in points), tuple(share for _, share in points), style, shown))
    if not lines:
        return None
    return Plot(tuple(lines), x_unit="s ago", y_unit="%", y_range=(0.0, 100.0), x_range=(-60.0, 0.0))


def legend(plot: Plot | None) -> Row:
    """The names of a plot's lines, each behind a stroke of its colour."""
    spans: list[Span] = []
    for line in plot.lines if plot is not None else ():
        spans += [(" ━ ", line.style), (line.name, MUTED), (" ", TEXT)]
    return (*spans, (" busy, in percent", FAINT)) if spans else ()


def device_rows(snapshot: Snapshot, width: int, *, dense: bool = False) -> tuple[Row, ...]:
    device, kind, run = _device(snapshot)
    head: list[Span] = [(f" {device}", STRONG)]
    if kind not in (None, "hardware"):
        head.append((f"  {kind}: never ranked", WARN))
    values = _readings(snapshot, device)
    if values is None:
        why = _why_not(snapshot, device, run)
        if dense and width_of(head) + len(why) + 2 <= width:
            return ((*head, (f"  {why}", MUTED)),)
        return (tuple(head), *(((f" {part}", MUTED),) for part in wrapped(why, width - 2)))
    busy = _first(values, "utilisation_gpu", "utilisation", "utilization")
    rows: list[Row] = []
    if dense and len(device) < _LABEL:
        rows.append(_gauge(device, busy, share(busy), width, style=STRONG))
    else:
        rows += [tuple(head), _gauge("busy", busy, share(busy), width)]
    used, total = _number(values.get("memory_used_bytes")), _number(values.get("memory_total_bytes"))
    rows.append(_memory("memory", used, total, width))
    watts, heat = _number(values.get("power_w")), _first(values, "temperature_c", "temperature_die_c")
    rows.append(_pair("power", brief(watts, "W"), "at", _degrees(heat), width))
    clock = _first(values, "clock_sm_mhz", "clock_mhz")
    if clock is not None and not dense:
        rows.append(_fact("clock", brief(clock, "MHz")))
    slowed = values.get("slowed_by") or ()
    if slowed:
        rows.append(((f" slowed by {', '.join(map(str, slowed))}", WARN),))
    strangers = values.get("other_pids") or ()
    if strangers:
        rows.append(((f" also used by {len(strangers)} other process{'es' if len(strangers) > 1 else ''}", WARN),))
    return tuple(rows)


def host_rows(snapshot: Snapshot, history: History, width: int, *, dense: bool = False) -> tuple[Row, ...]:
    values = snapshot.telemetry.get("host")
    if not isinstance(values, Mapping):
        return ((" host", STRONG),), ((" no readings yet" if not snapshot.over else " no readings", MUTED),)
    total = _first(values, "cpu_total", "cpu_share")
    rows: list[Row] = []
    if dense:
        rows.append(_gauge("host", total, share(total), width, style=STRONG))
    else:
        rows += [((" host", STRONG),), _gauge("cores", total, share(total), width)]
    by_core = values.get("cpu_by_core")
    if isinstance(by_core, list | tuple) and by_core:
        rows += _cores([_number(value) for value in by_core], width)[: 1 if dense else None]
    worker = _number(values.get("worker_cpu_per_wall"))
    if worker is not None:
        rows.append(_fact("worker", f"{worker:.2f} cores"))
    used, free = _number(values.get("memory_used_bytes")), _number(values.get("memory_available_bytes"))
    rows.append(_memory("memory", used, used + free if used is not None and free is not None else None, width))
    if dense:
        return tuple(rows)
    resident = _number(values.get("worker_rss_bytes"))
    if resident is not None:
        rows.append(_fact("", f"{brief(resident, 'bytes')} the worker's"))
    reading, writing = history.rate("host", "worker_read_bytes"), history.rate("host", "worker_write_bytes")
    if reading is not None or writing is not None:
        rows.append(_pair("reads", brief(reading, "bytes/s"), "writes", brief(writing, "bytes/s"), width))
    load, heat = _number(values.get("load1")), _number(values.get("temperature_c"))
    mhz = _number(values.get("frequency_mhz"))
    facts = [f"{load:.1f}" if load is not None else "", brief(mhz, "MHz") if mhz is not None else "", _degrees(heat)]
    if any(fact and fact != "–" for fact in facts):
        rows.append(_fact("load", "  ".join(fact for fact in facts if fact and fact != "–")))
    return tuple(rows)


def _device(snapshot: Snapshot) -> tuple[str, str | None, RunView | None]:
    run = shown_run(snapshot)
    cell = cell_of(snapshot, run.id) if run is not None else None
    return (cell.device, cell.device_kind, run) if cell is not None else ("device", None, run)


def _readings(snapshot: Snapshot, device: str) -> Mapping[str, Any] | None:
    source = _source_of(snapshot, device)
    values = snapshot.telemetry.get(source) if source is not None else None
    return values if isinstance(values, Mapping) else None


def _source_of(snapshot: Snapshot, device: str) -> str | None:
    """Readings are kept under the device's name, older ones under the reader's."""
    if device in snapshot.telemetry:
        return device
    return next((source for source in snapshot.telemetry if source != "host"), None)


def _why_not(snapshot: Snapshot, device: str, run: RunView | None) -> str:
    if device.partition(":")[0] == "cpu":
        return "is the host itself"
    for line in snapshot.lines:
        if line.text.startswith(f"no telemetry of {device}: "):
            return f"not readable: {line.text.partition(': ')[2]}"
    if run is None or run.status == "pending":
        return "no readings yet"
    return "not readable: nothing here reads this device's sensors"


def _gauge(label: str, value: float | None, text: str, width: int, *, style: str = MUTED) -> Row:
    room = width - _LABEL - 2 - 6
    head: Row = ((f" {label:<{_LABEL - 1}} ", style),)
    return (*head, *bar(value, room, LIVE), (f" {text:>5}", TEXT)) if room >= 4 else (*head, (text, TEXT))


def _memory(label: str, used: float | None, total: float | None, width: int) -> Row:
    if total:
        text = f"{brief(used, 'bytes')} of {brief(total, 'bytes')}"
        share_used = (used or 0.0) / total
        room = width - _LABEL - 2 - len(text) - 1
        head: Row = ((f" {label:<{_LABEL - 1}} ", MUTED),)
        if room < 4 and len(text) > width - _LABEL - 2:
            text = f"{brief(used, 'bytes')}, {share(share_used)}"
        if room >= 4:
            return (*head, *bar(share_used, room, WARN if share_used >= _FULL else LIVE), (f" {text}", TEXT))
        return (*head, (text, TEXT))
    return _fact(label, brief(used, "bytes"))


def _cores(values: list[float | None], width: int) -> list[Row]:
    """A level for each core, as many to a line as fit; beyond three lines the busiest ones come first."""
    room = max(8, width - _LABEL - 2)
    spaced = len(values) * 2 <= room
    room = room // 2 if spaced else room
    shown = values if len(values) <= 3 * room else sorted(values, key=lambda value: -(value or 0.0))[: 3 * room]
    lines = [shown[at : at + room] for at in range(0, len(shown), room)]
    return [((" " * (_LABEL + 1), TEXT), ((" " if spaced else "").join(levels(line)), LIVE)) for line in lines]


def _fact(label: str, text: str) -> Row:
    return (f" {label:<{_LABEL - 1}} ", MUTED), (text, TEXT)


def _pair(label: str, text: str, more: str, more_text: str, width: int) -> Row:
    row: Row = (*_fact(label, text), (f"  {more} ", MUTED), (more_text, TEXT))
    return row if width_of(row) < width and more_text != "–" else _fact(label, text)


def _degrees(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} °C"


def _first(values: Mapping[str, Any], *names: str) -> float | None:
    return next((value for name in names if (value := _number(values.get(name))) is not None), None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
