"""The two lines below the top bar: what runs, how far it is, how long it still takes, and whether it is alone."""

from __future__ import annotations

from harness.dashboard.views.words import cell_name, cell_of, runs_of, sign
from harness.dashboard.widgets.paint import (
    BAD,
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
    clipped,
    spread_out,
    width_of,
)
from harness.execution.snapshot import RunView, Snapshot
from harness.ids import short_id
from harness.report.numbers import amount, clock, duration
from harness.report.quantity import split_quantity

_STATES = {
    "starting": ("starting", LIVE),
    "waiting": ("waiting", WARN),
    "running": ("running", LIVE),
    "stopping": ("stopping", WARN),
    "done": ("done", GOOD),
    "failed": ("failed", BAD),
    "interrupted": ("interrupted", WARN),
}
_WIDE = 110
_MOST_SIGNS = 12


def status_rows(
    snapshot: Snapshot | None,
    width: int,
    *,
    lamp: Row = (),
    paused: bool = False,
    recorded: bool = False,
    banner: str | None = None,
    note: str = "",
) -> tuple[Row, Row]:
    """Two rows of `width` cells. `banner` stands in place of the second row's words, `note` behind the ending."""
    if snapshot is None:
        return ((" nothing runs", STRONG),), ((f" {banner}" if banner else "", MUTED),)
    state, style = _STATES.get(snapshot.state, (snapshot.state, TEXT))
    right: list[Span] = []
    if lamp and not snapshot.over:
        title = width_of(_title(snapshot, 0)) + len(f" {state} ") + 4
        fits = title + width_of(lamp) <= width
        right = [*(lamp if fits else lamp[:1]), ("  ", TEXT)]
    if paused:
        right += [("▮▮ paused", f"{WARN} bold"), ("  ", TEXT)]
    right += [("recorded  ", MUTED)] if recorded else []
    right += [(f" {state} ", f"{style} reverse"), (" ", TEXT)]
    first = spread_out(_title(snapshot, width - width_of(right) - 2), tuple(right), width)
    return first, _second(snapshot, width, banner, note)


def _title(snapshot: Snapshot, room: int) -> Row:
    cell = cell_of(snapshot, snapshot.current_run) or (snapshot.cells[0] if snapshot.cells else None)
    if cell is None:
        return ((f" experiment {short_id(snapshot.experiment_id)}", STRONG),)
    row: list[Span] = [(f" {cell.workload} {cell.mode}", STRONG), (f" on {cell.device}", TEXT)]
    if cell.device_kind not in (None, "hardware"):
        row.append((f" ({cell.device_kind})", WARN))
    more: list[Row] = []
    if len(snapshot.cells) > 1:
        more.append(((f"  {cell_name(cell)}", LIVE),))
    if cell.profile:
        more.append(((f"  {cell.profile}", MUTED),))
    more.append(((f"  {snapshot.command} {short_id(snapshot.experiment_id)}", FAINT),))
    for part in more:
        if width_of(row) + width_of(part) <= room:
            row += part
    return tuple(row)


def _second(snapshot: Snapshot, width: int, banner: str | None, note: str) -> Row:
    if banner:
        return ((f" {banner}", WARN),)
    if snapshot.over:
        right: Row = ((note, MUTED), (" ", TEXT)) if note else ()
        return spread_out(clipped(_ending(snapshot), max(0, width - width_of(right) - 2)), right, width)
    left: list[Span] = [(" ", TEXT), *_runs(snapshot)]
    run = snapshot.run(snapshot.current_run)
    if snapshot.waiting_for:
        left += [("  waiting for ", WARN), (snapshot.waiting_for, WARN)]
        return tuple(left)
    if run is None:
        return tuple(left)
    left += [("   ", TEXT), (run.phase or "starting", STRONG)]
    if run.progress_total and run.progress_done is not None:
        share = run.progress_done / run.progress_total
        left += [(" ", TEXT), *bar(share, 20 if width >= _WIDE else 8, LIVE), (f" {100 * share:3.0f} %", TEXT)]
        if width >= _WIDE:
            left += [(f"  {progress_text(run)}", MUTED)]
    return spread_out(tuple(left), (*time_left(snapshot, run, wide=width >= _WIDE), (" ", TEXT)), width)


def time_left(snapshot: Snapshot, run: RunView, *, wide: bool) -> Row:
    """What has passed and what is left, of this run and of everything; a time that is not known is not shown."""
    row: list[Span] = [(clock(run.elapsed_s), TEXT)]
    if run.eta_s is not None and (wide or snapshot.eta_s is None):
        row += [("  run ", MUTED), (duration(run.eta_s), TEXT), (" left", MUTED)]
    if snapshot.eta_s is not None:
        row += [("  all " if wide else "  ", MUTED), (duration(snapshot.eta_s), STRONG), (" left", MUTED)]
    elif run.eta_s is None:
        row += [("  time left not known yet" if wide else "  left –", FAINT)]
    return tuple(row)


def progress_text(run: RunView) -> str:
    """`12.0k of 40.0k rows`."""
    unit = run.progress_unit
    if unit in ("B", "bytes"):
        return f"{amount(run.progress_done, 'bytes')} of {amount(run.progress_total, 'bytes')}"
    if unit == "s":
        return f"{duration(run.progress_done)} of {duration(run.progress_total)}"
    unit = unit.removesuffix("s") if run.progress_total == 1 else unit
    if unit.startswith("epoch") and run.progress_total is not None:
        return f"{run.progress_done or 0.0:.2f} of {run.progress_total:g} {unit}".rstrip()
    return f"{_short(run.progress_done)} of {_short(run.progress_total)} {unit}".rstrip()


def _runs(snapshot: Snapshot) -> Row:
    """`run 3 of 5` and a sign for each run, where they are few."""
    runs = list(runs_of(snapshot))
    begun = sum(run.status != "pending" for run in runs)
    if begun:
        row: list[Span] = [("run ", MUTED), (f"{begun}", STRONG), (f" of {len(runs)}", MUTED)]
    else:
        row = [("1 run" if len(runs) == 1 else f"{len(runs)} runs", MUTED)]
    if len(snapshot.going) > 1:
        row.append((f", {len(snapshot.going)} side by side", MUTED))
    if 1 < len(runs) <= _MOST_SIGNS:
        row += [(" ", TEXT), *(sign(run) for run in runs)]
    return tuple(row)


def _ending(snapshot: Snapshot) -> Row:
    runs = list(runs_of(snapshot))
    well = sum(run.status == "ok" for run in runs)
    row: list[Span] = [(" ", TEXT)]
    if len(runs) <= _MOST_SIGNS:
        row += [*(sign(run) for run in runs), ("  ", TEXT)]
    row += [(f"{well} of {len(runs)} runs ok", TEXT), (f" in {duration(snapshot.elapsed_s)}", MUTED)]
    contended = sum(bool(run.contended) for run in runs)
    if contended:
        row.append((f"  {contended} contended", WARN))
    if snapshot.message and snapshot.state != "done":
        row.append((f"  {snapshot.message}", BAD if snapshot.state == "failed" else WARN))
    return tuple(row)


def _short(value: float | None) -> str:
    return split_quantity(None if value is None else float(value), "")[0]
