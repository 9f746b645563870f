"""What happened, in the order of time: lines that the orchestrator told, and when each run began and ended.

A line carries the time of day alone, so its day is found backwards from the newest picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from harness.dashboard.views.bars import LONGEST
from harness.dashboard.views.words import names_of, result
from harness.dashboard.widgets.cells import fitted
from harness.dashboard.widgets.paint import BAD, FAINT, GOOD, MUTED, TEXT, WARN, Row, Span
from harness.execution.snapshot import CellView, LineView, RunView, Snapshot
from harness.report.numbers import duration

_LEVELS = {"info": TEXT, "warning": WARN, "error": BAD}
_SIGNS = {"info": " ", "warning": "!", "error": "✗"}
_DAY_S = 86_400.0
_MOST = 400  # lines: the newest
_Happening = tuple[float, Row]  # seconds since the start of the experiment, and the line


def event_rows(snapshot: Snapshot) -> tuple[Row, ...]:
    """A line each: when, how serious, which run, what."""
    begin = _moment(snapshot.started_at)
    names = _names(snapshot)
    if begin is None:
        found = [(0.0, _told(line, snapshot, names)) for line in snapshot.lines]
    else:
        found = [(at, _told(line, snapshot, names)) for at, line in _dated(snapshot, begin)]
        begun = [(cell, run) for cell in snapshot.cells for run in cell.runs if run.started_at]
        begun.sort(key=lambda one: one[1].started_at or "")
        found += [happening for cell, run in begun[-_MOST:] for happening in _run(cell, run, begin, names)]
        found.sort(key=lambda happening: happening[0])
    return tuple(row for _, row in found[-_MOST:]) or (((" nothing has happened yet", MUTED),),)


def _names(snapshot: Snapshot) -> Mapping[str, str]:
    """Of the cells, where there are several, all of one width."""
    if len(snapshot.cells) < 2:
        return {}
    names = names_of(snapshot.cells, LONGEST)
    width = min(LONGEST, max(map(len, names.values())))
    return {key: fitted(name, width) + " " for key, name in names.items()}


def _dated(snapshot: Snapshot, begin: datetime) -> list[tuple[float, LineView]]:
    """Each line with its seconds since the start: the latest that is not behind the line after it."""
    first_s = _of_day(_clock(begin))
    latest = max(snapshot.elapsed_s, 0.0) + 1.0
    found: list[tuple[float, LineView]] = []
    for line in reversed(snapshot.lines):
        at = (_of_day(line.at) - first_s) % _DAY_S
        at += max(0.0, (latest - at) // _DAY_S) * _DAY_S
        found.append((at, line))
        latest = at
    return found[::-1]


def _run(cell: CellView, run: RunView, begin: datetime, names: Mapping[str, str]) -> list[_Happening]:
    """Its beginning; its end where it ended well, since an orchestrator tells of every other end itself."""
    started = _moment(run.started_at)
    if started is None:
        return []
    at = (started - begin).total_seconds()
    found = [(at, _line(_clock(started), (" ", MUTED), run, names, ("started", MUTED)))]
    if run.status == "ok" and run.elapsed_s is not None:
        ended = started + timedelta(seconds=run.elapsed_s)
        text = f"{result(run, cell.rate_unit) or 'ok'} in {duration(run.elapsed_s)}"
        found.append((at + run.elapsed_s, _line(_clock(ended), ("●", GOOD), run, names, (text, TEXT))))
    return found


def _told(line: LineView, snapshot: Snapshot, names: Mapping[str, str]) -> Row:
    style = _LEVELS.get(line.level, TEXT)
    text = " ".join(line.text.split())
    return _line(line.at, (_SIGNS.get(line.level, " "), style), snapshot.run(line.run_id), names, (text, style))


def _line(at: str, sign: Span, run: RunView | None, names: Mapping[str, str], text: Span) -> Row:
    where = f"{run.repeat + 1:>3} " if run is not None else "    "
    name = names.get(run.cell_id, "") if run is not None else ""
    return (f" {at} ", MUTED), (f"{sign[0]} ", f"{sign[1]} bold"), (name, MUTED), (where, FAINT), text


def _moment(text: str | None) -> datetime | None:
    """A stored time on this machine's clock."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except ValueError:
        return None


def _clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")


def _of_day(text: str) -> float:
    """Seconds since midnight of `HH:MM:SS`."""
    try:
        hours, minutes, seconds = map(int, text.split(":"))
    except ValueError:
        return 0.0
    return 3600.0 * hours + 60.0 * minutes + seconds
