"""Runs the dashboard until it is left: what the command line calls."""

from __future__ import annotations

from pathlib import Path

from harness.dashboard.app import Dashboard, Leaving
from harness.dashboard.source import LiveSource, Source
from harness.execution.attachment import Attachment
from harness.registry import Registry


def show(
    database: Path,
    *,
    source: Source | None = None,
    attachment: Attachment | None = None,
    registry: Registry | None = None,
    attended: bool = False,
) -> Leaving | None:
    """How it was left; None where the app failed and has printed why.

    `attachment` is a running experiment, whose database is the one shown. `attended`: a command waits for the end.
    """
    if attachment is not None:
        source = LiveSource(attachment)
        first = attachment.next_snapshot(10.0)
        database = Path(first.database) if first is not None else database
        source.put_back(first)
    app = Dashboard(database, source, registry=registry, attended=attended)
    return app.run()
