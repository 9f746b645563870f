"""Published results, read from TOML: the shipped `profiles/references.toml` and files of the user's own.

A reference is never a run: it is compared by ratio, with its differences listed, and gets no verdict. Every entry is
one `[[reference]]` with the fields of `harness.store.records.ReferenceRecord`; unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from harness import paths
from harness.errors import UsageError, did_you_mean
from harness.store.records import ReferenceRecord

PREFIX = "reference:"
_NAME = re.compile(r"^[a-z0-9][a-z0-9.-]*$")
_WORDS: Mapping[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def shipped_file() -> Path:
    return paths.profiles_dir() / "references.toml"


def load(files: Sequence[Path] = ()) -> tuple[ReferenceRecord, ...]:
    """The shipped references, then those of `files`, in order. UsageError for a bad entry or a name used twice."""
    found: dict[str, tuple[ReferenceRecord, Path]] = {}
    for path in (shipped_file(), *files):
        for record in read(path):
            if record.name in found:
                raise UsageError(
                    f"reference {record.name!r} in {path} stands in {found[record.name][1]} already",
                    hint="give it another name",
                )
            found[record.name] = (record, path)
    return tuple(record for record, _ in found.values())


def read(path: Path) -> tuple[ReferenceRecord, ...]:
    """The references of one file."""
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"references {path} cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"references {path} is not TOML: {problem}") from problem
    for key in body:
        if key != "reference":
            raise UsageError(f"unknown key {key!r} in {path}", hint="each entry begins with [[reference]]")
    entries = body.get("reference", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{path} has no list of references", hint="each entry begins with [[reference]]")
    return tuple(_record(entry, f"reference {index + 1} of {path}") for index, entry in enumerate(entries))


def get(name: str, known: Iterable[ReferenceRecord]) -> ReferenceRecord:
    """The reference of `NAME` or `reference:NAME`. UsageError with the nearest one."""
    by_name = {record.name: record for record in known}
    wanted = name.removeprefix(PREFIX)
    if wanted not in by_name:
        hint = did_you_mean(wanted, by_name)
        if hint.startswith("known"):
            hint = "bench list --references shows all"
        raise UsageError(f"unknown reference {wanted!r}", hint=hint)
    return by_name[wanted]


def _record(entry: Mapping[str, Any], where: str) -> ReferenceRecord:
    hints = typing.get_type_hints(ReferenceRecord)
    if isinstance(entry.get("name"), str):
        where = f"{where} ({entry['name']})"
    for key in entry:
        if key not in hints:
            raise UsageError(f"unknown key {key!r} in {where}", hint=did_you_mean(key, hints))
    for item in dataclasses.fields(ReferenceRecord):
        if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            if item.name not in entry:
                raise UsageError(f"{where} has no {item.name}")
            if entry[item.name] == "" and item.name != "unit":
                raise UsageError(f"{where} has an empty {item.name}")
    values = {key: _value(hints[key], value, key, where) for key, value in entry.items()}
    if not _NAME.match(values["name"]):
        raise UsageError(
            f"the name {values['name']!r} in {where} must be small letters, digits, dots and dashes",
        )
    return ReferenceRecord(**values)


def _value(hint: Any, value: Any, key: str, where: str) -> Any:
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is Mapping:
        if not isinstance(value, dict):
            raise UsageError(f"{key} = {value!r} in {where} is not a table", hint=f"write {key} = {{batch = 128}}")
        return value
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise UsageError(f"{key} = {value!r} in {where} is not one of {', '.join(choices)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UsageError(f"{key} = {value!r} in {where} is not {_WORDS[hint]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{key} = {value} in {where} is not a finite number")
    return value
