"""`bench export` and `bench import`: experiments from one database into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.watch import shown_path
from harness.errors import StoreError, UsageError

_To = Annotated[Path, typer.Argument(metavar="FILE", help="the database to write to; made where it is not there")]
_From = Annotated[Path, typer.Argument(metavar="FILE", help="the database to read from")]
_Things = Annotated[
    list[str] | None, typer.Argument(metavar="[ID…]", help="experiments: ids, @latest, tags; all when none is given")
]


def export_results(file: _To, things: _Things = None, db: options.Database = None) -> None:
    """Copies experiments into another database, with all that belongs to them. What is there already stays."""
    source = options.database(db)
    _copy(source, file, things or [])


def import_results(file: _From, things: _Things = None, db: options.Database = None) -> None:
    """Copies experiments from another database into this one. What is here already stays."""
    _copy(file, options.database(db), things or [])


def _copy(source: Path, target: Path, things: list[str]) -> None:
    from harness.store.queries import Store
    from harness.store.transfer import copy_experiments

    if not target.parent.is_dir():
        raise StoreError(f"the folder of {target} does not exist", hint="make it first")
    with Store(source) as store:
        if things:
            chosen = [store.resolve(text, ("experiment",))[1] for text in things]
        else:
            chosen = [one.id for one in store.list_experiments(limit=None)]
    if not chosen:
        raise UsageError(f"{source} holds no experiment to copy")
    copied = copy_experiments(source, target, chosen)
    options.say(
        f"{copied} of {len(chosen)} experiments copied to {shown_path(target)}"
        + ("" if copied == len(chosen) else "; the others are there already"),
    )
