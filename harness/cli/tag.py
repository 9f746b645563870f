"""`bench tag ID TAG…`: names for experiments, used wherever an id is asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import complete, options
from harness.errors import UsageError
from harness.ids import short_id

_Thing = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="an experiment: id, @latest, a tag, other.db::ID", autocompletion=complete.things
    ),
]
_Tags = Annotated[list[str] | None, typer.Argument(metavar="[TAG…]", help="tags to add; none lists those it has")]
_Remove = Annotated[list[str] | None, typer.Option("--remove", metavar="TAG", help="take this tag off; repeatable")]


def tag(thing: _Thing, tags: _Tags = None, remove: _Remove = None, db: options.Database = None) -> None:
    """Adds tags to an experiment, removes them, or lists them."""
    from harness.store import edits
    from harness.store.queries import Store, locate
    from harness.store.resolve import check_tag

    database, text = locate(thing, options.database(db))
    for name in tags or ():
        check_tag(name)
    with Store(database) as store:
        _, identifier = store.resolve(text, ("experiment",))
        before = store.experiment(identifier).tags
    for name in remove or ():
        if name not in before:
            raise UsageError(f"experiment {short_id(identifier)} has no tag {name!r}", hint=_listed(before))
    for name in tags or ():
        edits.add_tag(database, identifier, name)
    for name in remove or ():
        edits.remove_tag(database, identifier, name)
    with Store(database) as store:
        now = store.experiment(identifier).tags
    for name in now:
        options.out().print(name)
    if tags or remove:
        options.talk().print(f"experiment {short_id(identifier)}: {_listed(now)}")


def _listed(tags: tuple[str, ...]) -> str:
    return "its tags: " + ", ".join(tags) if tags else "it has no tags"
