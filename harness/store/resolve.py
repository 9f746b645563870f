"""Makes an id of what a person types for an experiment, a cell or a run: a prefix, `@latest~1`, a tag, `other.db::ID`.

Exact ids win over tags, tags over prefixes. Where another kind is wanted than the one named, the way up is always
open (a run's experiment), the way down only where there is no choice (an experiment's only run).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from harness.errors import UsageError, did_you_mean, nearest
from harness.ids import short_id

Thing = Literal["experiment", "cell", "run"]
THINGS: tuple[Thing, ...] = ("experiment", "cell", "run")
MINIMUM_PREFIX = 3
_LATEST = re.compile(r"@latest(?:~(\d+))?")
_TAG = re.compile(r"[^\W_@~:-][\w.+/-]{0,63}")
_SHOWN = 10

_UP = {
    ("run", "cell"): "SELECT cell_id FROM run WHERE id = ?",
    ("cell", "experiment"): "SELECT experiment_id FROM cell WHERE id = ?",
}
_DOWN = {
    ("experiment", "cell"): 'SELECT id FROM cell WHERE experiment_id = ? ORDER BY "index"',
    ("cell", "run"): "SELECT id FROM run WHERE cell_id = ? ORDER BY repeat, order_index",
}


def locate(text: str, default_db: Path) -> tuple[Path, str]:
    """(database, what is left) of `other.db::ID`; without `::` it lies in `default_db`."""
    place, separator, name = text.rpartition("::")
    if not separator:
        return default_db, text
    if not place or not name:
        raise UsageError(f"{text!r} is not like other.db::ID", hint="write other.db::@latest for the newest one there")
    return Path(place).expanduser(), name


def check_tag(tag: str) -> str:
    """The tag, where it can stand on a command line beside ids. Raises UsageError."""
    if _TAG.fullmatch(tag) is None:
        raise UsageError(
            f"{tag!r} cannot be a tag",
            hint="a letter or digit, then up to 63 letters, digits, '.', '_', '+', '/' or '-'",
        )
    return tag


def resolve(connection: sqlite3.Connection, text: str, kinds: Sequence[Thing] = THINGS) -> tuple[Thing, str]:
    """(kind, full id) of what `text` names. Raises UsageError where it names nothing, or more than one thing."""
    found = _named(connection, text, kinds)
    return found if found[0] in kinds else _converted(connection, text, found, kinds)


def _named(connection: sqlite3.Connection, text: str, kinds: Sequence[Thing]) -> tuple[Thing, str]:
    if text.startswith("@"):
        return _latest(connection, text)
    for kind in THINGS:
        if connection.execute(f"SELECT 1 FROM {kind} WHERE id = ?", (text,)).fetchone():
            return kind, text
    tagged = _ids(
        connection,
        "SELECT id FROM experiment JOIN experiment_tag ON experiment_id = id WHERE tag = ? ORDER BY created_at DESC",
        text,
    )
    if len(tagged) == 1:
        return "experiment", tagged[0]
    if tagged:
        raise UsageError(
            f"tag {text!r} is on {len(tagged)} experiments",
            hint="name one of them: " + _listed(tagged),
        )
    if len(text) < MINIMUM_PREFIX:
        raise UsageError(
            f"{text!r} is too short for an id, and no tag",
            hint=f"give at least {MINIMUM_PREFIX} characters of the id, a tag, or @latest",
        )
    return _by_prefix(connection, text, kinds)


def _latest(connection: sqlite3.Connection, text: str) -> tuple[Thing, str]:
    match = _LATEST.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not like @latest or @latest~1", hint=did_you_mean(text, ["@latest", "@latest~1"])
        )
    back = int(match[1] or 0)
    row = connection.execute(
        "SELECT id FROM experiment ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?", (min(back, 2**62),)
    ).fetchone()
    if row is None:
        count = connection.execute("SELECT count(*) FROM experiment").fetchone()[0]
        raise UsageError(
            f"{text!r} names no experiment: there {'is' if count == 1 else 'are'} {count or 'none'} here",
            hint=f"the oldest is @latest~{count - 1}" if count > 1 else None,
        )
    return "experiment", row[0]


def _by_prefix(connection: sqlite3.Connection, text: str, kinds: Sequence[Thing]) -> tuple[Thing, str]:
    # The wanted kinds first, so that a prefix shared with something unwanted is no ambiguity.
    for among in (tuple(kinds), tuple(kind for kind in THINGS if kind not in kinds)):
        found: list[tuple[Thing, str]] = [
            (kind, identifier)
            for kind in among
            for identifier in _ids(
                connection, f"SELECT id FROM {kind} WHERE id >= ? AND id < ? ORDER BY id", text, _after(text)
            )
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{text!r} is the beginning of {len(found)} ids",
                hint="write more of it: " + _listed([identifier for _, identifier in found], short=False),
                details=[f"{kind} {identifier}" for kind, identifier in found],
            )
    raise UsageError(
        f"{text!r} names no {_either(kinds)} here",
        hint=_nearest_hint(connection, text, kinds),
    )


def _converted(
    connection: sqlite3.Connection, text: str, found: tuple[Thing, str], kinds: Sequence[Thing]
) -> tuple[Thing, str]:
    above = list(reversed(THINGS[: THINGS.index(found[0])]))
    below = list(THINGS[THINGS.index(found[0]) + 1 :])
    kind, identifier = found
    if any(wanted in kinds for wanted in above):
        for step in above:
            identifier = connection.execute(_UP[kind, step], (identifier,)).fetchone()[0]
            kind = step
            if kind in kinds:
                return kind, identifier
    for step in below:
        inside = _ids(connection, _DOWN[kind, step], identifier)
        if len(inside) != 1:
            raise UsageError(
                f"{text!r} is no {_either(kinds)}: it names the {kind} {short_id(identifier)}, "
                f"which has {len(inside) or 'no'} {step}s",
                hint=f"name one {step} of it: {_listed(inside)}" if inside else None,
            )
        kind, identifier = step, inside[0]
        if kind in kinds:
            break
    return kind, identifier


def _nearest_hint(connection: sqlite3.Connection, text: str, kinds: Sequence[Thing]) -> str:
    tags = _ids(connection, "SELECT DISTINCT tag FROM experiment_tag ORDER BY tag")
    near_tag = nearest(text, tags)
    if near_tag is not None:
        return f"did you mean the tag {near_tag!r}?"
    # Ids that begin alike; all of a large database are too many to compare one by one.
    alike = [
        identifier
        for kind in kinds
        for identifier in _ids(
            connection,
            f"SELECT id FROM {kind} WHERE id >= ? AND id < ? ORDER BY id LIMIT 500",
            text[:2],
            _after(text[:2]),
        )
    ]
    shortened = {identifier[: len(text)]: identifier for identifier in alike}
    near = nearest(text, shortened)
    if near is not None:
        return f"did you mean {shortened[near]!r}?"
    return "`bench list` shows what is there; an id, the beginning of one, a tag or @latest is understood"


def _ids(connection: sqlite3.Connection, query: str, *values: str) -> list[str]:
    return [row[0] for row in connection.execute(query, values)]


def _after(prefix: str) -> str:
    """The least text above every text that begins so: a range on the primary key, which LIKE would not be."""
    return prefix + "\U0010ffff"


def _listed(identifiers: Sequence[str], *, short: bool = True) -> str:
    shown = [short_id(identifier) if short else identifier for identifier in identifiers[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(identifiers) - _SHOWN} more" if len(identifiers) > _SHOWN else "")


def _either(kinds: Iterable[str]) -> str:
    words = list(kinds)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
