"""A face's copy of the experiment: the first whole Snapshot, and every change laid over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from harness.execution.snapshot import (
    MAX_LINES,
    MAX_WINDOWS,
    CellView,
    LineView,
    MetricView,
    RunView,
    Snapshot,
    WindowView,
)

T = TypeVar("T")
_HEAD = {item.name for item in fields(Snapshot)} - {"cells", "lines"}


class Mirror:
    """Applies `snapshot` and `change` messages. What did not change stays the same object in the next Snapshot."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def apply(self, message: Mapping[str, Any]) -> Snapshot | None:
        """The Snapshot after `message`; None while no whole one has come."""
        if message.get("type") == "snapshot":
            self.snapshot = Snapshot.from_json(message["snapshot"])
        elif message.get("type") == "change" and self.snapshot is not None:
            self.snapshot = self._changed(self.snapshot, message)
        return self.snapshot

    def _changed(self, before: Snapshot, change: Mapping[str, Any]) -> Snapshot:
        head = {name: value for name, value in change["experiment"].items() if name in _HEAD}
        lines = before.lines
        if change.get("lines"):
            lines = (*lines, *(_make(LineView, line) for line in change["lines"]))[-MAX_LINES:]
        by_cell: dict[str, list[Mapping[str, Any]]] = {}
        for run in change.get("runs", ()):
            by_cell.setdefault(run["cell_id"], []).append(run)
        kinds: Mapping[str, str] = change.get("device_kinds") or {}
        cells = tuple(_cell(cell, by_cell.get(cell.id), kinds.get(cell.id)) for cell in before.cells)
        return replace(before, **head, cells=cells, lines=lines)


def _cell(before: CellView, changed: list[Mapping[str, Any]] | None, kind: str | None) -> CellView:
    if changed is None and kind in (None, before.device_kind):
        return before
    runs = {run.id: run for run in before.runs}
    for body in changed or ():
        runs[body["id"]] = _run(runs.get(body["id"]), body)
    return replace(before, runs=tuple(runs.values()), device_kind=kind or before.device_kind)


def _run(before: RunView | None, body: Mapping[str, Any]) -> RunView:
    earlier = before.windows if before is not None else ()
    windows = (*earlier, *(_make(WindowView, window) for window in body.get("windows", ())))[-MAX_WINDOWS:]
    metrics = tuple(_make(MetricView, metric) for metric in body.get("metrics", ()))
    return _make(RunView, {**body, "windows": windows, "metrics": metrics})


def _make(kind: type[T], body: Mapping[str, Any]) -> T:
    """Unknown fields are left out, so that an older face can watch a newer orchestrator."""
    known: Mapping[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]
    return kind(**{name: value for name, value in body.items() if name in known})
