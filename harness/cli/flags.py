"""Flags out of settings: one for each field of RunSettings and of a workload's Config, with help, unit and default.

A flag that is not given is unset (None), never a default; the value stays text until `harness.settings` checks it.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from rich.markup import escape

from harness.api import Description
from harness.errors import UsageError, did_you_mean
from harness.settings import Setting

_NO = "no_"
_SHORT_UNITS = ("s", "ms", "min")  # said behind the default: as words in a sentence they would not be seen
_LONG = 40  # characters of a default that help still shows whole


def parameters(
    items: Sequence[Setting],
    *,
    taken: Sequence[str],
    description: Description | None,
    devices: Sequence[str],
    aliases: Mapping[str, str] | None = None,
) -> list[inspect.Parameter]:
    """One keyword parameter per setting, for a Typer command, and one for each other word of `aliases`.

    UsageError where two settings claim one flag.
    """
    words = aliases or {}
    others = {item.name: [word for word, name in words.items() if name == item.name] for item in items}
    seen = {f"--{name.replace('_', '-')}" for name in taken}
    found = []
    for item in items:
        if item.flag in seen:
            whose = f"workload {description.name!r}" if description else "the harness"
            raise UsageError(
                f"setting {item.name!r} of {whose} has the flag {item.flag}, which is taken already",
                hint="give the setting another name",
            )
        seen.add(item.flag)
        found += _options(item, description, devices, [_flag(word) for word in others[item.name]])
    # Each other word is an option of its own, too: the parser hears the last one declared, help shows the first.
    known = {item.name for item in items}
    for word in (word for word, name in words.items() if name in known):
        if _flag(word) in seen:
            raise UsageError(f"{_flag(word)}, another word for {words[word]!r}, is a flag already")
        seen.add(_flag(word))
        found.append(option(word, Annotated[str | None, typer.Option(_flag(word), hidden=True)]))
    return found


def given(
    values: Mapping[str, Any], items: Sequence[Setting], aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What was given as flags: key (or other word) and text, or True and False.

    UsageError for `--x --no-x`, and for two words of one setting that disagree.
    """
    found: dict[str, Any] = {}
    for item in items:
        value, negated = values.get(item.name), values.get(_NO + item.name)
        if value and negated:
            raise UsageError(f"{item.flag} and --no-{item.flag.removeprefix('--')} are both given")
        if value is not None or negated:
            found[item.name] = value if not negated else False
    for word, name in (aliases or {}).items():
        value = values.get(word)
        if value is None:
            continue
        if found.get(name, value) != value:
            raise UsageError(
                f"{_flag(name)} {found[name]} and {_flag(word)} {value} are both given",
                hint="they are two words for one setting: give one of them",
            )
        found.pop(name, None)
        found[word] = value
    return found


def fixed(
    values: Mapping[str, Any], items: Sequence[Setting], aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The values that are no settings."""
    keys = {name for item in items for name in (item.name, _NO + item.name)} | set(aliases or ())
    return {key: value for key, value in values.items() if key not in keys}


def with_signature(function: Callable[..., Any], found: Sequence[inspect.Parameter]) -> Callable[..., Any]:
    """`function` under a signature that Typer reads; the values arrive as keywords."""

    def command(**values: Any) -> Any:
        return function(**values)

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__annotations__ = {}
    command.__signature__ = inspect.Signature(list(found))  # type: ignore[attr-defined]
    return command


def option(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """A keyword parameter of a fixed option."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def parse_flags(
    text: str, items: Sequence[Setting], *, where: str, aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Key and text of a quoted list of flags such as `--batch 512 --no-shuffle`. UsageError for anything else.

    `--profile NAME` is taken too, under the key `profile`; other words give their setting's own key.
    """
    try:
        words = shlex.split(text)
    except ValueError as problem:
        raise UsageError(f"{where}: {text!r} cannot be split into words: {problem}") from problem
    by_flag = {item.flag: item for item in items}
    by_flag |= {_flag(word): by_flag[_flag(name)] for word, name in (aliases or {}).items() if _flag(name) in by_flag}
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    while words:
        word, equals, value = words.pop(0).partition("=")
        item = by_flag.get(word)
        negated = by_flag.get("--" + word.removeprefix("--no-")) if word.startswith("--no-") else None
        if word != "--profile" and item is None and negated is None:
            raise UsageError(f"{where}: unknown flag {word!r}", hint=did_you_mean(word, [*by_flag, "--profile"]))
        if negated is not None and item is None:
            if negated.base_type is not bool or equals:
                raise UsageError(f"{where}: {word} is not a flag", hint=f"write {negated.flag} VALUE")
            found[negated.name] = False
        elif item is not None and item.base_type is bool and not equals:
            found[item.name] = True
        else:
            if not equals:
                if not words:
                    raise UsageError(f"{where}: {word} has no value")
                value = words.pop(0)
            key = item.name if item is not None else "profile"
            if said.get(key, word) != word and found[key] != value:
                raise UsageError(
                    f"{where}: {said[key]} {found[key]} and {word} {value} are both given",
                    hint="they are two words for one setting: give one of them",
                )
            found[key], said[key] = value, word
    return found


def metavar(item: Setting) -> str:
    """What stands behind the flag in a help page."""
    if item.choices:
        return "WORD"
    base = item.base_type
    if get_origin(base) is tuple:
        one = {int: "N", float: "X"}.get(get_args(base)[0], "WORD")
        return f"{one},{one},…"
    return {int: "N", float: "X", Path: "PATH"}.get(base, "TEXT")


def help_text(item: Setting, run_defaults: Mapping[str, Mapping[str, Any]], modes: Sequence[str]) -> str:
    """Help, unit and default, the defaults of some modes too, as Rich markup."""
    defaults = {mode: _default(item, run_defaults, mode) for mode in modes} if modes else {"": item.default}
    values = list(defaults.values())
    short_unit = f" {item.unit}" if item.unit in _SHORT_UNITS and values[0] is not None else ""
    told = ["|".join(str(choice) for choice in item.choices)] if item.choices else []
    if item.base_type is bool:
        negated = f"--no-{item.flag.removeprefix('--')} turns it off"
        told.append("off unless given" if item.default is False else negated)
    elif all(value == values[0] for value in values):
        if values[0] is not None:
            told.append(f"default {shown(values[0])}{short_unit}")
    else:
        told.append("default " + ", ".join(f"{shown(value)} in {mode}" for mode, value in defaults.items()))
    named = bool(short_unit) or (item.unit or "") in item.help
    unit = f", in {item.unit}" if item.unit and not named else ""
    text = escape(f"{item.help}{unit}")
    return f"{text} [dim]({escape('; '.join(told))})[/dim]" if told else text


def shown(value: Any) -> str:
    """A default as a person would type it; a long list is cut."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        text = ",".join(str(part) for part in value)
        if len(text) > _LONG:
            return f"{','.join(str(part) for part in value[:3])},… ({len(value)} values)"
        return text or "none"
    return str(value)


def _default(item: Setting, run_defaults: Mapping[str, Mapping[str, Any]], mode: str) -> Any:
    own = {**run_defaults.get("*", {}), **run_defaults.get(mode, {})}
    return own.get(item.name, item.default_in(mode))


def _flag(word: str) -> str:
    return "--" + word.replace("_", "-")


def _options(
    item: Setting, description: Description | None, devices: Sequence[str], words: Sequence[str]
) -> list[inspect.Parameter]:
    modes = list(description.modes) if description else []
    choices = [str(choice) for choice in item.choices]
    if item.name == "mode":
        choices = modes
    elif item.name == "device":
        choices = list(devices)

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    text = help_text(item, description.run_defaults if description else {}, modes)
    if item.name == "data" and description is not None and description.many_files:
        text = (
            "data files, folders or quoted patterns like 'logs/*.npz', parted by commas; built-in data when not given"
        )
    if item.name == "mode" and modes:
        text = escape(f"{item.help}: {', '.join(modes)}") + f" [dim](default {escape(modes[0])})[/dim]"
    if item.base_type is bool:
        yes = typer.Option(item.flag, help=text, metavar="", show_default=False, rich_help_panel=item.group)
        no = typer.Option(f"--no-{item.flag.removeprefix('--')}", hidden=True)
        return [option(item.name, Annotated[bool | None, yes]), option(_NO + item.name, Annotated[bool | None, no])]
    made = typer.Option(
        item.flag,
        *words,
        help=text,
        metavar=metavar(item),
        show_default=False,
        rich_help_panel=item.group,
        autocompletion=complete if choices else None,
    )
    return [option(item.name, Annotated[str | None, made])]
