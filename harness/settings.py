"""Settings: one declaration of a value gives its flag, its help, its form field, its validation and its origin.

A settings class is a frozen, keyword-only dataclass whose fields are made with `setting(...)`. The harness's own
run settings (`harness.spec.RunSettings`) and every workload's Config are such classes, so the command line, the
profiles, `--set`, the environment and the dashboard's form all check a value in the same place: here.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from harness.errors import UsageError, did_you_mean

T = TypeVar("T")
SettingClass = Literal["subject", "identity", "free"]
_METADATA = "recbench"
_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known about one field. `by_mode` holds the defaults that differ from `default` in some modes."""

    name: str
    type: Any  # int, float, str, bool, Path, tuple[int, ...], Literal[...], each also as `X | None`
    default: Any
    help: str
    unit: str | None = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    source: str = ""
    by_mode: Mapping[str, Any] = field(default_factory=dict)
    group: str = "Workload"
    kind: SettingClass = "subject"

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def optional(self) -> bool:
        return type(None) in typing.get_args(self.type)

    @property
    def base_type(self) -> Any:
        """The type without `| None`."""
        if not self.optional:
            return self.type
        return next(part for part in typing.get_args(self.type) if part is not type(None))

    def default_in(self, mode: str) -> Any:
        return self.by_mode.get(mode, self.default)

    def describe_type(self) -> str:
        """What a person may write, for messages and help."""
        if self.choices:
            return " | ".join(str(choice) for choice in self.choices)
        base = self.base_type
        if typing.get_origin(base) is tuple:
            inner = typing.get_args(base)[0]
            return f"a comma-separated list of {_PLURAL.get(inner, str(inner))}"
        return _NAMES.get(base, str(base))


_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
}
_PLURAL: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "words"}


def setting(
    default: Any,
    *,
    help: str,
    source: str = "",
    unit: str | None = None,
    choices: tuple[Any, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    by_mode: Mapping[str, Any] | None = None,
    group: str = "Workload",
    kind: SettingClass = "subject",
) -> Any:
    """A dataclass field that carries all a command line, a form and a checker need.

    `source` says where the default comes from (a paper, a reference configuration, a measurement). `kind` is how a
    comparison reads it: `subject` may differ and is the question, `identity` must match (it defines the data or the
    protocol), `free` changes no number.
    """
    metadata = {
        _METADATA: {
            "help": help,
            "source": source,
            "unit": unit,
            "choices": tuple(choices),
            "minimum": minimum,
            "maximum": maximum,
            "by_mode": dict(by_mode or {}),
            "group": group,
            "kind": kind,
        }
    }
    return field(default=default, metadata=metadata)


def settings_of(config: Any) -> tuple[Setting, ...]:
    """The settings of a config class, in order of declaration. TypeError where a field was not made by `setting`."""
    found: tuple[Setting, ...] = _declared(config)
    return found


@functools.cache
def _declared(config: Any) -> tuple[Setting, ...]:
    hints = typing.get_type_hints(config)
    found = []
    for item in dataclasses.fields(config):
        if _METADATA not in item.metadata:
            raise TypeError(f"{config.__name__}.{item.name} is not declared with setting(...)")
        facts = dict(item.metadata[_METADATA])
        kind = hints[item.name]
        if not facts["choices"]:
            facts["choices"] = _literal_choices(kind)
        found.append(Setting(name=item.name, type=kind, default=item.default, **facts))
    return tuple(found)


def build(config: type[T], mode: str, values: Mapping[str, Any], *, where: str = "settings") -> T:
    """A checked instance: `values` over the mode's defaults.

    Raises UsageError for an unknown name (with the nearest one), a wrong type or a value out of range; `where`
    is named in the message.
    """
    known = {item.name: item for item in settings_of(config)}
    for name in values:
        if name not in known:
            raise UsageError(f"unknown setting {name!r} in {where}", hint=did_you_mean(name, known))
    chosen = {
        name: check(item, values[name], where=where) if name in values else item.default_in(mode)
        for name, item in known.items()
    }
    return config(**chosen)


def check(item: Setting, value: Any, *, where: str) -> Any:
    """`value` in the setting's own type. Text is parsed, so flags, TOML and the environment may all pass here."""
    if value is None or (item.optional and isinstance(value, str) and value.lower() in {"none", ""}):
        if item.optional:
            return None
        raise UsageError(f"{item.name} in {where} must not be empty; expected {item.describe_type()}")
    try:
        converted = _convert(item.base_type, value)
    except (ValueError, TypeError):
        raise UsageError(
            f"{item.name} = {value!r} in {where} is not {item.describe_type()}", hint=_expected(item)
        ) from None
    if item.choices and converted not in item.choices:
        raise UsageError(
            f"{item.name} = {value!r} in {where} is not one of {item.describe_type()}",
            hint=did_you_mean(str(converted), [str(choice) for choice in item.choices]),
        )
    _check_range(item, converted, where)
    return converted


def _expected(item: Setting) -> str:
    """What may be written instead: `batch takes a whole number, 1 or more, in samples, e.g. 128`."""
    parts = [f"{item.name} takes {item.describe_type()}"]
    if item.minimum is not None and item.maximum is not None:
        parts.append(f"from {item.minimum:g} to {item.maximum:g}")
    elif item.minimum is not None:
        parts.append(f"{item.minimum:g} or more")
    elif item.maximum is not None:
        parts.append(f"{item.maximum:g} or less")
    if item.unit:
        parts.append(f"in {item.unit}")
    if item.default is not None and not isinstance(item.default, bool):
        example = item.default if not isinstance(item.default, tuple) else ",".join(map(str, item.default[:3]))
        parts.append(f"e.g. {example}")
    return ", ".join(parts)


def renamed(values: Mapping[str, Any], aliases: Mapping[str, str], *, where: str) -> dict[str, Any]:
    """`values` under their settings' own names. UsageError where two words for one setting disagree."""
    found: dict[str, Any] = {}
    words: dict[str, str] = {}
    for word, value in values.items():
        name = aliases.get(word, word)
        if found.get(name, value) != value:
            raise UsageError(
                f"{where} gives both {words[name]} = {found[name]} and {word} = {value}",
                hint=f"they are two words for {name}: give one of them",
            )
        found[name], words[name] = value, word
    return found


def jsonable(config: Any) -> dict[str, Any]:
    """The settings as JSON values: paths as text, tuples as lists."""
    return {item.name: _plain(getattr(config, item.name)) for item in settings_of(type(config))}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _check_range(item: Setting, value: Any, where: str) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, bool) or not isinstance(part, int | float):
            continue
        if part != part or part in (float("inf"), float("-inf")):
            raise UsageError(f"{item.name} = {part} in {where} must be a finite number")
        if item.minimum is not None and part < item.minimum:
            raise UsageError(f"{item.name} = {part} in {where} is below the smallest allowed, {item.minimum:g}")
        if item.maximum is not None and part > item.maximum:
            raise UsageError(f"{item.name} = {part} in {where} is above the largest allowed, {item.maximum:g}")


def _literal_choices(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        for part in typing.get_args(kind):
            if typing.get_origin(part) is Literal:
                return typing.get_args(part)
    return ()


def _convert(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin is Literal:
        by_text = {str(choice): choice for choice in typing.get_args(kind)}
        return by_text.get(str(value), value)
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("[]()").split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise TypeError(value)
        return tuple(_convert(inner, part) for part in value)
    if kind is bool:
        return _to_bool(value)
    if kind is int:
        return _to_int(value)
    if kind is float:
        if isinstance(value, bool):
            raise TypeError(value)
        return float(value) if not isinstance(value, str) else _to_float(value)
    if kind is Path:
        if not isinstance(value, str | Path):
            raise TypeError(value)
        return Path(value).expanduser()
    if kind is str:
        if isinstance(value, bool | list | dict):
            raise TypeError(value)
        return str(value)
    raise TypeError(f"no conversion for {kind}")


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(value)


def _to_int(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError(value)
        return int(value)
    number = _to_float(str(value).replace("_", ""))
    if not number.is_integer():
        raise ValueError(value)
    return int(number)


def _to_float(text: str) -> float:
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix) and text[: -len(suffix)]:
            return float(text[: -len(suffix)]) * _SUFFIXES[suffix]
    return float(text)
