"""`bench dashboard [ID]`: the dashboard on what runs now, or on a database, or on a copied file; also for a browser.

`--serve` belongs to `harness.dashboard.serve`; everything else is `harness.dashboard.show`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli import options
from harness.cli.watch import why_no_dashboard
from harness.errors import UnavailableError
from harness.registry import Registry

_BROWSER = "In a browser"
_Thing = Annotated[
    str | None,
    typer.Argument(
        metavar="[ID]",
        help="an experiment, by its id or the beginning of one, @latest, a tag or other.db::ID; what runs now, else "
        "the newest one, when not given",
    ),
]
_Serve = Annotated[
    bool,
    typer.Option("--serve", metavar="", help="in a browser instead of this terminal", rich_help_panel=_BROWSER),
]
_Host = Annotated[
    str,
    typer.Option("--host", metavar="NAME", help="the address that --serve listens on", rich_help_panel=_BROWSER),
]
_Port = Annotated[
    int | None,
    typer.Option("--port", metavar="N", help="its port; a free one when not given", rich_help_panel=_BROWSER),
]


def make_dashboard(registry: Registry) -> Callable[..., Any]:
    """`bench dashboard` for the workloads and devices of this registry."""

    def dashboard(
        thing: _Thing = None,
        serve: _Serve = False,
        host: _Host = "127.0.0.1",
        port: _Port = None,
        db: options.Database = None,
    ) -> None:
        """Watches, steers and compares experiments in the terminal: attaches to what runs, else reads the database."""
        database = options.database(db)
        if serve:
            from harness.dashboard.serve import serve as serve_it

            serve_it(thing, db, host=host, port=port)
            return
        why = why_no_dashboard()
        if why is not None:
            raise UnavailableError(
                f"the dashboard cannot be shown: {why}", hint="bench list and bench show print the same"
            )
        _show(thing, database, named=db is not None, registry=registry)

    return dashboard


def _show(thing: str | None, database: Path, *, named: bool, registry: Registry) -> None:
    from harness.dashboard.show import show
    from harness.dashboard.source import find_source

    database, source = find_source(thing, database, named=named)
    leaving = show(database, source=source, registry=registry)
    if leaving is None:
        raise typer.Exit(1)
    if leaving.detached and source is not None:
        from harness.ids import short_id

        short = short_id(source.experiment_id)
        options.talk().print(f"experiment {short} goes on without this terminal: bench dashboard {short}")
