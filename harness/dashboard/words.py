"""Times, names and states as the dashboard's lists show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from harness.dashboard.widgets.long_list import Tone

STATUS_TONES: Mapping[str, Tone] = {
    "ok": "good", "done": "good", "running": "busy", "pending": "dim", "skipped": "dim", "interrupted": "warn",
}  # fmt: skip


def status_tone(status: str) -> Tone:
    return STATUS_TONES.get(status, "bad")


def local_time(moment: str | None) -> str:
    """A stored time of day on this machine's clock, to the minute; the year only where it is another one."""
    if not moment:
        return "–"
    try:
        local = datetime.fromisoformat(moment).astimezone()
    except ValueError:
        return moment
    return local.strftime("%m-%d %H:%M" if local.year == this_year() else "%Y-%m-%d")


def this_year() -> int:
    return datetime.now().year


def shown_path(path: Path) -> str:
    """Short where it lies in the working folder or at home."""
    resolved = path.resolve()
    bases = [(Path.home(), "~/")] if Path.cwd() == Path.home() and path.is_absolute() else []
    for base, sign in (*bases, (Path.cwd(), ""), (Path.home(), "~/")):
        if resolved.is_relative_to(base):
            return sign + str(resolved.relative_to(base))
    return str(path)
