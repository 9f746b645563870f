"""The machine beside the run: its device, its host, and the lamp that says whether something else uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.dashboard.history import History
from harness.dashboard.views.wrap import wrapped
from harness.dashboard.views.words import MEASURED_PHASES, cell_of, shown_run
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
_BLOCKS_FROM = 20  # cells of panel, below which a bar says nothing


def lamp(snapshot: Snapshot | None, history: History, threads: int | None) -> Row:
    """`● alone`, `● contended: why`, `○ not known`, from the newest readings while something is measured."""
    if snapshot is None or snapshot.over:
        return ()
    run = snapshot.run(snapshot.current_run)
    if run is None or run.phase not in MEASURED_PHASES:
        return (("○ not measuring", FAINT),)
    contended, why = history.contention(threads)
    if contended is None:
        return (("○ contention not known", FAINT),)
    if not contended:
        return (("● ", GOOD), ("quiet machine", MUTED))
    return (("● contended ", f"{WARN} bold"), (why or "", WARN))


def machine_rows(snapshot: Snapshot | None, history: History, width: int) -> tuple[Row, ...]:
    """The device's readings, then the host's."""
    if snapshot is None:
        return (((" no experiment", MUTED),),)
    return (*device_rows(snapshot, history, width), (), *host_rows(snapshot, history, width))


def device_rows(snapshot: Snapshot, history: History, width: int) -> tuple[Row, ...]:
    run = shown_run(snapshot)
    cell = cell_of(snapshot, run.id) if run is not None else None
    device = cell.device if cell is not None else "device"
    kind = cell.device_kind if cell is not None else None
    head: list[Span] = [(f" {device}", STRONG)]
    if kind not in (None, "hardware"):
        head.append((f"  {kind}: never ranked", WARN))
    values = _readings(snapshot, device)
    if values is None:
        why = _why_not(snapshot, device, run)
        return tuple([tuple(head), *(((f" {part}", MUTED),) for part in wrapped(why, width - 2))])
    busy = _first(values, "utilisation_gpu", "utilization")
    rows: list[Row] = [tuple(head), _gauge("busy", busy, share(busy), width)]
    used, total = _number(values.get("memory_used_bytes")), _number(values.get("memory_total_bytes"))
    rows.append(_memory("memory", used, total, width))
    watts = _number(values.get("power_w"))
    heat = _number(values.get("temperature_c"))
    rows.append(_pair("power", brief(watts, "W"), "at", _degrees(heat), width))
    clock = _number(values.get("clock_sm_mhz"))
    if clock is not None:
        rows.append(_fact("clock", brief(clock, "MHz")))
    slowed = values.get("slowed_by") or ()
    if slowed:
        rows += [((f" slowed by {', '.join(map(str, slowed))}", WARN),)]
    strangers = values.get("other_pids") or ()
    if strangers:
        rows += [((f" also used by {len(strangers)} other process{'es' if len(strangers) > 1 else ''}", WARN),)]
    past = [value for value in history.numbers(_source_of(snapshot, device) or device, "utilisation_gpu")]
    if len(past) > 1 and width >= _BLOCKS_FROM:
        rows.insert(2, (("".ljust(_LABEL + 1), TEXT), (levels(past[-(width - _LABEL - 2) :]), LIVE)))
    return tuple(rows)


def host_rows(snapshot: Snapshot, history: History, width: int) -> tuple[Row, ...]:
    values = snapshot.telemetry.get("host")
    head: Row = ((" host", STRONG),)
    if not isinstance(values, Mapping):
        return head, ((" no readings yet" if not snapshot.over else " no readings", MUTED),)
    rows: list[Row] = [head]
    total = _first(values, "cpu_total", "cpu_share")
    rows.append(_gauge("cores", total, share(total), width))
    by_core = values.get("cpu_by_core")
    if isinstance(by_core, list | tuple) and by_core:
        rows += _cores([_number(value) for value in by_core], width)
    worker = _number(values.get("worker_cpu_per_wall"))
    if worker is not None:
        rows.append(_fact("worker", f"{worker:.2f} cores"))
    used, free = _number(values.get("memory_used_bytes")), _number(values.get("memory_available_bytes"))
    rows.append(_memory("memory", used, used + free if used is not None and free is not None else None, width))
    resident = _number(values.get("worker_rss_bytes"))
    if resident is not None:
        rows.append(_fact("", f"{brief(resident, 'bytes')} of it the worker's"))
    reading, writing = history.rate("host", "worker_read_bytes"), history.rate("host", "worker_write_bytes")
    if reading is not None or writing is not None:
        rows.append(_pair("reads", brief(reading, "bytes/s"), "writes", brief(writing, "bytes/s"), width))
    load, heat = _number(values.get("load1")), _number(values.get("temperature_c"))
    mhz = _number(values.get("frequency_mhz"))
    facts = [f"{load:.1f}" if load is not None else "", brief(mhz, "MHz") if mhz is not None else "", _degrees(heat)]
    if any(fact and fact != "–" for fact in facts):
        rows.append(_fact("load", "  ".join(fact for fact in facts if fact and fact != "–")))
    return tuple(rows)


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


def _gauge(label: str, value: float | None, text: str, width: int) -> Row:
    style = WARN if value is not None and value >= _FULL and label == "memory" else LIVE
    room = width - _LABEL - 2 - 7
    head: Row = ((f" {label:<{_LABEL - 1}} ", MUTED),)
    if width < _BLOCKS_FROM or room < 4:
        return (*head, (text, TEXT))
    return (*head, *bar(value, room, style), (f" {text:>6}", TEXT))


def _memory(label: str, used: float | None, total: float | None, width: int) -> Row:
    if total:
        text = f"{brief(used, 'bytes')} of {brief(total, 'bytes')}"
        share_used = (used or 0.0) / total
        room = width - _LABEL - 2 - len(text) - 1
        head: Row = ((f" {label:<{_LABEL - 1}} ", MUTED),)
        if room >= 4:
            return (*head, *bar(share_used, room, WARN if share_used >= _FULL else LIVE), (f" {text}", TEXT))
        return (*head, (text, TEXT))
    return _fact(label, brief(used, "bytes"))


def _cores(values: list[float | None], width: int) -> list[Row]:
    """A level for each core, as many to a line as fit; beyond three lines the busiest ones come first."""
    room = max(8, width - _LABEL - 2)
    shown = values if len(values) <= 3 * room else sorted(values, key=lambda value: -(value or 0.0))[: 3 * room]
    lines = [shown[at : at + room] for at in range(0, len(shown), room)]
    return [((" " * (_LABEL + 1), TEXT), (levels(line), LIVE)) for line in lines]


def _fact(label: str, text: str) -> Row:
    return (f" {label:<{_LABEL - 1}} ", MUTED), (text, TEXT)


def _pair(label: str, text: str, more: str, more_text: str, width: int) -> Row:
    row: Row = (*_fact(label, text), (f"  {more} ", MUTED), (more_text, TEXT))
    return row if width_of(row) <= width and more_text != "–" else _fact(label, text)


def _degrees(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} °C"


def _first(values: Mapping[str, Any], *names: str) -> float | None:
    return next((value for name in names if (value := _number(values.get(name))) is not None), None)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

