"""The experiment as a tree: its cells, the repeats of those that are open, and the order of what is still to come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.dashboard.views.words import headline, names_of, sign
from harness.dashboard.widgets.paint import (
    BAD,
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
from harness.execution.snapshot import CellView, RunView, Snapshot
from harness.report.numbers import duration

_MOST_SIGNS = 10
_BESIDE = 6  # cells of a line of the tree that are neither name nor signs


@dataclass(frozen=True, slots=True)
class Node:
    """A line of the tree: a cell (`run_id` None) or a repeat."""

    cell_id: str
    run_id: str | None
    row: Row


def nodes(
    snapshot: Snapshot, width: int, *, open_cells: Collection[str], order: Sequence[str] = ()
) -> tuple[Node, ...]:
    """The lines. One cell alone has no line of its own. `order` lists run ids as they were planned."""
    turns = _turns(snapshot, order)
    several = len(snapshot.cells) > 1
    names = names_of(snapshot.cells, width - _BESIDE - max((_signs_width(cell) for cell in snapshot.cells), default=0))
    found: list[Node] = []
    for cell in snapshot.cells:
        opened = not several or cell.id in open_cells
        if several:
            found.append(
                Node(cell.id, None, _cell_row(cell, names[cell.id], width, opened=opened, current=snapshot.current_run))
            )
        if opened:
            found += [
                Node(cell.id, run.id, _run_row(cell, run, turns.get(run.id), width, "  " if several else ""))
                for run in cell.runs
            ]
    return tuple(found)


def _turns(snapshot: Snapshot, order: Sequence[str]) -> dict[str, int]:
    """How many runs come before each pending one: 1 is the next."""
    place = {run_id: number for number, run_id in enumerate(order)}
    pending = [run for cell in snapshot.cells for run in cell.runs if run.status == "pending"]
    if not place and len(snapshot.cells) > 1:
        return {}  # interleaved or not: not known before the plan has been read
    pending.sort(key=lambda run: place.get(run.id, len(place)))
    return {run.id: number for number, run in enumerate(pending, start=1)}


def _signs_width(cell: CellView) -> int:
    return width_of(_signs(cell))


def _signs(cell: CellView) -> Row:
    """A sign for each run, or how many of many ended well."""
    if len(cell.runs) <= _MOST_SIGNS:
        return tuple(sign(run) for run in cell.runs)
    return ((f"{sum(run.status == 'ok' for run in cell.runs)}/{len(cell.runs)}", MUTED),)


def _cell_row(cell: CellView, name: str, width: int, *, opened: bool, current: str | None) -> Row:
    here = any(run.id == current or run.status == "running" for run in cell.runs)
    left: list[Span] = [(" ▾ " if opened else " ▸ ", LIVE if here else MUTED)]
    left.append((name, STRONG if here else TEXT))
    right = _signs(cell)
    return spread_out(clipped(tuple(left), width - width_of(right) - 3), (*right, (" ", TEXT)), width)


def _run_row(cell: CellView, run: RunView, turn: int | None, width: int, indent: str) -> Row:
    left: list[Span] = [(f" {indent}", TEXT), sign(run), (f" {run.repeat + 1} ", TEXT if run.started_at else MUTED)]
    right: list[Span] = []
    if run.status == "pending":
        left.append((("next" if turn == 1 else f"in {turn}" if turn else "waits"), MUTED))
    elif run.status == "running":
        left.append((run.phase or "starting", LIVE))
        if run.progress_total and run.progress_done is not None:
            right = [*bar(run.progress_done / run.progress_total, 6, LIVE)]
            right.append((f" {100 * run.progress_done / run.progress_total:3.0f} %", TEXT))
    elif run.status == "ok":
        left.append((headline(run) or "ok", TEXT))
        right = [(duration(run.elapsed_s), MUTED)]
        if run.contended and width - width_of((*left, *right)) > len("contended ") + 2:
            right.insert(0, ("contended ", WARN))
    else:
        left.append((run.status, WARN if run.status == "interrupted" else MUTED if run.status == "skipped" else BAD))
        if run.reason:
            left.append((f": {run.reason}", MUTED))
        return clipped(tuple(left), width - 1)
    return spread_out(tuple(left), (*right, (" ", TEXT)), width)
