"""The vocabularies of the seven-file layout: pickles (or JSON) of a dictionary from names to ids, read without running
what a pickle may carry.

The originals were pickled by Python 2, so text may come as bytes; Alibaba's iterator tries JSON first, and so does
this.
"""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any, NoReturn

from harness.api import DataError


class _PlainUnpickler(pickle.Unpickler):
    """Numbers, text and containers need no class; whatever asks for one is refused before it is imported."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _Refused("a persistent object")


class _Refused(Exception):
    """What the pickle wanted."""


def read_vocabulary(path: Path) -> dict[str, int]:
    """Names and ids, every id at least 0. DataError for anything but a dictionary of text to whole numbers."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from problem
    found = _load(path, content)
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {_kind(found)}, expected a dictionary of names to ids")
    vocabulary: dict[str, int] = {}
    for name, number in found.items():
        if not isinstance(name, str | bytes):
            raise DataError(f"{path} has the name {name!r}, expected text")
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise DataError(f"{path} gives {name!r} the id {_short(number)}, expected a whole number from 0 up")
        vocabulary[name if isinstance(name, str) else name.decode("utf-8", "replace")] = number
        if number >= len(found):
            raise DataError(
                f"{path} gives {_short(name)} the id {number}, beyond its {len(found)} entries",
                hint="ids count from 0 without gaps, since each is a row of an embedding table",
            )
    if not vocabulary:
        raise DataError(f"{path} is an empty vocabulary")
    return vocabulary


def _load(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except _Refused as refused:
        raise DataError(
            f"{path} is a pickle that asks for {refused}, and was not executed",
            hint="a vocabulary is a dictionary of names to ids and needs no class",
        ) from None
    except Exception as problem:  # a broken pickle raises nearly anything
        raise DataError(f"{path} is neither JSON nor a readable pickle: {_first_line(problem)}") from problem


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _first_line(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
