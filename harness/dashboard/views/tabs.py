"""The rows of two tabs: what the worker printed, and every setting with its origin."""

from __future__ import annotations

from harness.dashboard.details import Details, RunDetails
from harness.dashboard.views.words import cell_name
from harness.dashboard.widgets.paint import FAINT, LIVE, MUTED, STRONG, TEXT, Row
from harness.execution.snapshot import Snapshot
from harness.ids import short_id


def log_rows(details: RunDetails | None) -> tuple[Row, ...]:
    """The end of the log of the run that is looked at."""
    if details is None:
        return (((" …", MUTED),),)
    if details.problem:
        return (((f" {details.problem}", MUTED),),)
    head: Row = ((f" {details.path}", FAINT),)
    if not details.lines:
        return head, ((" the worker has printed nothing", MUTED),)
    return (head, *(((f" {line}", TEXT),) for line in details.lines))


def setting_rows(details: Details | None, snapshot: Snapshot, cell_id: str) -> tuple[Row, ...]:
    """Key, value and where the value came from; what a person chose stands out from defaults."""
    if details is None:
        return (((" …", MUTED),),)
    if details.problem:
        return (((f" {details.problem}", MUTED),),)
    settings = details.settings.get(cell_id)
    if settings is None:
        return (((" the plan does not know this cell", MUTED),),)
    cell = next((cell for cell in snapshot.cells if cell.id == cell_id), None)
    rows: list[Row] = []
    if details.argv:
        rows.append(((" $ bench ", FAINT), (" ".join(details.argv).removeprefix("bench "), MUTED)))
    if cell is not None and len(snapshot.cells) > 1:
        rows.append(((f" {cell_name(cell)}", STRONG), (f"  cell {short_id(cell.id)}", FAINT)))
    keys = max(len(line.key) for line in settings) if settings else 0
    values = min(40, max((len(line.value) for line in settings), default=0))
    for line in settings:
        chosen = line.origin != "default"
        rows.append(
            (
                (f" {line.key:<{keys}}  ", TEXT if chosen else MUTED),
                (f"{line.value:<{values}}  ", STRONG if chosen else MUTED),
                (line.origin, LIVE if chosen else FAINT),
            )
        )
    return tuple(rows)
