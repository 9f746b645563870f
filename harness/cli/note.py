"""`bench note ID TEXT`: a remark kept with an experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import complete, options
from harness.ids import short_id

_Thing = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="an experiment: id, @latest, a tag, other.db::ID", autocompletion=complete.things
    ),
]
_Text = Annotated[
    str | None, typer.Argument(metavar="[TEXT]", help="the remark; an empty one removes it, none prints it")
]


def note(thing: _Thing, text: _Text = None, db: options.Database = None) -> None:
    """Sets, removes or prints the note of an experiment."""
    from harness.store import edits
    from harness.store.queries import Store, locate

    database, name = locate(thing, options.database(db))
    with Store(database) as store:
        _, identifier = store.resolve(name, ("experiment",))
        old = store.experiment(identifier).note
    if text is None:
        if old:
            options.write(old, hang=0)
        return
    edits.set_note(database, identifier, text or None)
    options.talk().print(f"experiment {short_id(identifier)}: note {'set' if text else 'removed'}")
