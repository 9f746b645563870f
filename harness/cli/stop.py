"""`bench stop ID`: ends an experiment that runs, from any terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import complete, options
from harness.ids import short_id

_Thing = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="an experiment that runs; it may be left out where only one does",
        autocompletion=complete.running,
        show_default=False,
    ),
]
_Kill = Annotated[bool, typer.Option("--kill", metavar="", help="end its workers at once, not after the window")]


def stop(thing: _Thing = None, kill: _Kill = False, db: options.Database = None) -> None:
    """Ends a running experiment after its window; what was measured until then is kept."""
    from harness.cli.running import running_id
    from harness.execution.launch import attach

    identifier = running_id(thing, options.database(db))
    with attach(identifier) as attachment:
        said = attachment.send("kill" if kill else "stop")
    options.say(f"experiment {short_id(identifier)}: {said.partition(';')[0]}")
