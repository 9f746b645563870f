"""What must be known of the arguments before they are parsed: plug-ins, because they bring commands and flags.

Also here: flags that work at any place, and `--resume`, whose value may be left out.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError

_SPELLED = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
NEWEST = "@unfinished"  # what --resume means without a value
_COMPLETION_WORDS = "COMP_WORDS"  # set by the shells' completion scripts, beside _BENCH_COMPLETE


@dataclass(frozen=True, slots=True)
class Prescan:
    """The arguments left to parse, and what was taken out of them."""

    arguments: tuple[str, ...]
    plugins: tuple[Path, ...]
    debug: bool


def prescan(arguments: Sequence[str]) -> Prescan:
    """Takes out `--plugin FILE` and `--debug`, wherever they stand before `--`."""
    left: list[str] = []
    plugins: list[Path] = []
    debug = os.environ.get("BENCH_DEBUG", "").lower() in ("1", "true", "yes", "on")
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            left += [word, *words]
            break
        if word == "--debug":
            debug = True
        elif word == "--plugin":
            if not words:
                raise UsageError("--plugin needs a file", hint="bench run NAME --plugin mine.py")
            plugins.append(Path(words.pop(0)))
        elif word.startswith("--plugin="):
            plugins.append(Path(word.partition("=")[2]))
        elif word == "--resume":
            value = words.pop(0) if words and not words[0].startswith("-") else NEWEST
            left.append(f"--resume={value}")
        elif left[:1] == ["ab"] and word.startswith("-") and any(letter.isspace() for letter in word):
            left.append(" " + word)  # a quoted list of flags is an argument of ab, and no flag
        else:
            left.append(word)
    return Prescan(tuple(left), tuple(plugins), debug)


def spell_booleans(arguments: Sequence[str], flags: Collection[str]) -> list[str]:
    """`--flag=True`, `--flag True` and their False as `--flag` and `--no-flag`, for flags that are on or off."""
    left: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            return [*left, word, *words]
        if name in flags and not equals and words and words[0] in ("True", "False"):
            value = words.pop(0)
        if name in flags and value.lower() in _SPELLED:
            left.append(name if _SPELLED[value.lower()] else f"--no-{name.removeprefix('--')}")
        else:
            left.append(word)
    return left


def completion_words() -> list[str] | None:
    """The words typed so far when a shell asks for completions, else None."""
    if "_BENCH_COMPLETE" not in os.environ and "_RECBENCH_COMPLETE" not in os.environ:
        return None
    try:
        return shlex.split(os.environ.get(_COMPLETION_WORDS, ""))[1:]
    except ValueError:
        return []
