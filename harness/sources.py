"""The sources of settings, laid over each other: what the command line and the form of the dashboard have in common.

Strongest first: --set, flags, environment (`BENCH_<KEY>`), profile, ./bench.toml, user configuration, defaults. Paths
that a person types are meant from the working folder; a bare name for `python` is a program on the path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import patterns, profiles, settings
from harness.api import Description
from harness.errors import UsageError
from harness.profiles import Profile
from harness.registry import Registry
from harness.settings import Setting, settings_of
from harness.spec import RunSettings, RunSpec, Source

PREFIX = "BENCH_"  # of the environment's variables
_PATHS = ("data", "init_from", "python")


def all_settings(description: Description) -> tuple[Setting, ...]:
    """The harness's own, then the workload's."""
    return (*settings_of(RunSettings), *settings_of(description.config))


def laid_out(
    registry: Registry,
    description: Description,
    *,
    first: Sequence[Source] = (),
    sets: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    profile: Profile | None = None,
) -> list[Source]:
    """All sources of a cell, the strongest first. `first` are stronger than all else; a flag of None is not given."""
    return [
        *(meant_here(source, description) for source in first),
        *typed_sources(sets or {}, flags or {}, description),
        *environment_sources(description),
        *(profiles.sources(profile, description) if profile is not None else ()),
        *profiles.defaults_sources(description, registry.workload_names()),
    ]


def typed_sources(sets: Mapping[str, str], flags: Mapping[str, Any], description: Description) -> list[Source]:
    """--set first, then one source for each flag that was given, called as it was typed."""
    typed = [*(item.name for item in all_settings(description)), *description.aliases]
    flag_of = {name: "--" + name.replace("_", "-") for name in typed}
    found = [Source(origin="--set", values=dict(sets))] if sets else []
    found += [
        Source(origin=flag_of.get(key, key), values={key: value}, layer="flags")
        for key, value in flags.items()
        if value is not None
    ]
    return [meant_here(source, description) for source in found]


def environment_sources(description: Description) -> list[Source]:
    """One source for each `BENCH_<KEY>` that is set and not empty."""
    found = []
    for item in all_settings(description):
        value = os.environ.get(PREFIX + item.name.upper())
        if value:
            source = Source(origin=PREFIX + item.name.upper(), values={item.name: value}, layer="environment")
            found.append(meant_here(source, description))
    return found


def meant_here(source: Source, description: Description) -> Source:
    """The source under the settings' own names, its paths meant from the working folder. UsageError for a `python`
    that is no program on the path."""
    values = settings.renamed(source.values, description.aliases, where=source.origin)
    python = values.get("python")
    if isinstance(python, str) and python not in ("", "none") and "/" not in python:
        found = shutil.which(python)
        if found is None:
            raise UsageError(f"python = {python!r} in {source.origin} is no program on the path")
        values["python"] = found
    return replace(source, values=profiles.anchored(values, description, Path.cwd()))


def check(registry: Registry, description: Description, spec: RunSpec) -> None:
    """Before anything starts: the device is known, and what is named is there. UsageError, or what a device raises."""
    registry.device(spec.device)
    for name in _PATHS:
        path: Path | None = getattr(spec.settings, name)
        if path is not None:
            check_path(description, name, path, what=f"{name} = {path} ({spec.origins[name]})")


def check_path(description: Description, name: str, path: Path, *, what: str) -> None:
    """UsageError where it is not there, or empty; `data` may be several files where the workload reads several."""
    several = description.many_files and name == "data"
    for one in patterns.files_named(path, what=what) if several else [path]:
        if not one.exists():
            raise UsageError(f"{what} does not exist")
        if name != "python" and one.is_file() and one.stat().st_size == 0:
            raise UsageError(f"{what} is empty" if one == path else f"{what}: {one} is empty")
