"""Lays the sources of settings over each other into one RunSpec per cell.

Strongest first: --set, flags, environment (`BENCH_<KEY>`), profile, ./bench.toml, user configuration, defaults.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import patterns, profiles, settings
from harness.api import Description
from harness.cli import options
from harness.cli.flags import all_settings
from harness.errors import UsageError, nearest
from harness.registry import Registry
from harness.settings import Setting
from harness.spec import RunSpec, Source, resolve, resolve_cells

_PREFIX = "BENCH_"
_OWN_VARIABLES = ("BENCH_DB", "BENCH_DEBUG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the person gave on the command line. `first` are sources stronger than all else (a sweep's, A's of ab)."""

    profile: str | None = None
    sets: Sequence[str] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    first: Sequence[Source] = ()


def spec_of(registry: Registry, description: Description, given: Given, *, label: str = "") -> RunSpec:
    """The cell that these sources describe. UsageError names the key, its place and the nearest known one."""
    sources, name = _sources(registry, description, given)
    spec = resolve(
        description, sources, profile=name, label=label or name or description.name, plugins=registry.plugins
    )
    _check(registry, description, spec)
    return spec


def specs_of(registry: Registry, description: Description, given: Given) -> list[RunSpec]:
    """As `spec_of`, but several cells where an axis of the workload is given several values."""
    sources, name = _sources(registry, description, given)
    specs = resolve_cells(description, sources, profile=name, label=name or description.name, plugins=registry.plugins)
    for spec in specs:
        _check(registry, description, spec)
    return specs


def _sources(registry: Registry, description: Description, given: Given) -> tuple[list[Source], str | None]:
    """The sources, strongest first, and the profile's name."""
    profile = profiles.load(given.profile) if given.profile else None
    sources = [
        *(_here(source, description) for source in given.first),
        *cli_sources(given.sets, given.flags, description),
        *environment_sources(description),
        *(profiles.sources(profile, description) if profile else ()),
        *profiles.defaults_sources(description, registry.workload_names()),
    ]
    return sources, profile.name if profile else None


def _check(registry: Registry, description: Description, spec: RunSpec) -> None:
    """Before anything starts: the device is known, and what is named is there."""
    registry.device(spec.device)
    check_paths(spec, many_files=description.many_files)


def cli_sources(sets: Sequence[str], flags: Mapping[str, Any], description: Description) -> list[Source]:
    """--set first, then one source for each flag that was given, called as it was typed."""
    typed = [*(item.name for item in all_settings(description)), *description.aliases]
    flag_of = {name: "--" + name.replace("_", "-") for name in typed}
    found = [Source(origin="--set", values=parse_sets(sets))] if sets else []
    found += [
        Source(origin=flag_of.get(key, key), values={key: value}, layer="flags")
        for key, value in flags.items()
        if value is not None
    ]
    return [_here(source, description) for source in found]


def environment_sources(description: Description) -> list[Source]:
    """One source for each `BENCH_<KEY>` that is set and not empty."""
    found = []
    for item in all_settings(description):
        value = os.environ.get(_PREFIX + item.name.upper())
        if value:
            source = Source(origin=_PREFIX + item.name.upper(), values={item.name: value}, layer="environment")
            found.append(_here(source, description))
    return found


def stray_variables(items: Sequence[Setting]) -> list[str]:
    """A sentence for each `BENCH_…` variable that is no setting, with the nearest one."""
    known = {_PREFIX + item.name.upper() for item in items}
    sentences = []
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in known and name not in _OWN_VARIABLES:
            near = nearest(name.removeprefix(_PREFIX), [word.removeprefix(_PREFIX) for word in known])
            meant = f"; did you mean {_PREFIX}{near}?" if near is not None else " of this workload"
            sentences.append(f"{name} is set and is no setting{meant}")
    return sentences


def warn_of_strays(items: Sequence[Setting]) -> None:
    """Says on stderr which variables were meant for us and do nothing."""
    for sentence in stray_variables(items):
        options.say(f"warning: {sentence}")


def parse_sets(sets: Sequence[str]) -> dict[str, str]:
    """`key=value` texts as a mapping; dashes in a key are underscores, the last of two wins."""
    found = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text!r} is not KEY=VALUE", hint="write it like --set batch=256")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _here(source: Source, description: Description) -> Source:
    """The source under the settings' own names, its paths meant from the working folder; a bare name for `python` is
    looked for on the path."""
    values = settings.renamed(source.values, description.aliases, where=source.origin)
    python = values.get("python")
    if isinstance(python, str) and python and "/" not in python:
        found = shutil.which(python)
        if found is None:
            raise UsageError(f"python = {python!r} in {source.origin} is no program on the path")
        values["python"] = found
    return replace(source, values=profiles.anchored(values, description, Path.cwd()))


def check_paths(spec: RunSpec, *, many_files: bool = False) -> None:
    """UsageError where what a cell names is not there, or empty. With `many_files`, `data` may be several."""
    for name in ("data", "init_from", "python"):
        path: Path | None = getattr(spec.settings, name)
        if path is None:
            continue
        what = f"{name} = {path} ({spec.origins[name]})"
        several = many_files and name == "data"
        for one in patterns.files_named(path, what=what) if several else [path]:
            if not one.exists():
                raise UsageError(f"{what} does not exist")
            if name != "python" and one.is_file() and one.stat().st_size == 0:
                raise UsageError(f"{what} is empty" if one == path else f"{what}: {one} is empty")
