"""Finds, loads and checks profiles: named TOML files of settings, shipped or the user's own.

    description = "what it is for"
    extends = "another"            # one level: the other must not extend a third
    [run]
    workload = "dlrm"
    repeats = 3                    # any key of harness.spec.RunSettings
    [workload.dlrm]
    batch_size = 2048              # any key of the workload's Config

`./bench.toml` and the user's configuration are read here too: they hold `[run]` and `[workload.NAME]` only, for any
number of workloads. Relative paths in a file are meant from the file's own folder.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import paths, patterns, settings
from harness.api import Description
from harness.errors import UsageError, did_you_mean
from harness.settings import settings_of
from harness.spec import RunSettings, RunSpec, Source, resolve_cells

_REFERENCES = "references"  # lies beside the profiles and is none
_PROFILE_KEYS = ("description", "extends", "run", "workload")
_DEFAULTS_KEYS = ("run", "workload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One file, read but not yet checked against a workload. `base` is the profile that it extends."""

    name: str
    path: Path
    description: str = ""
    workload: str | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base: Profile | None = None
    shipped: bool = False

    @property
    def workload_name(self) -> str | None:
        """The workload it is for, its own or its base's."""
        return self.workload or (self.base.workload if self.base else None)

    @property
    def device(self) -> str:
        """Where it runs unless told otherwise."""
        own = self.run.get("device") or (self.base.run.get("device") if self.base else None)
        return str(own or "cpu")


def folders() -> tuple[Path, ...]:
    """Where a bare name is looked for, in order."""
    return (paths.user_profiles_dir(), paths.profiles_dir())


def names() -> list[str]:
    """Every profile that a bare name reaches."""
    return sorted({path.stem for folder in folders() for path in folder.glob("*.toml")} - {_REFERENCES})


def find(name: str) -> Path:
    """The file of a profile given by path (it ends in .toml or has a slash) or by name. UsageError with the nearest."""
    if name.endswith(".toml") or "/" in name:
        path = Path(name).expanduser()
        if not path.is_file():
            raise UsageError(f"profile {name} is not a file", hint="a bare name is looked for among the shipped ones")
        return path
    if name != _REFERENCES:
        for folder in folders():
            path = folder / f"{name}.toml"
            if path.is_file():
                return path
    raise UsageError(f"unknown profile {name!r}", hint=did_you_mean(name, names()))


def load(name: str) -> Profile:
    """The profile and, one level deep, the one that it extends."""
    profile, extends = _read(find(name))
    if extends is None:
        return profile
    own_neighbour = profile.path.parent / f"{extends}.toml"
    base, more = _read(own_neighbour if own_neighbour.is_file() else find(extends))
    if more is not None:
        raise UsageError(
            f"profile {profile.name!r} extends {base.name!r}, which itself extends {more!r}",
            hint="profiles extend one level deep: copy the middle one's keys",
        )
    if profile.workload and base.workload and profile.workload != base.workload:
        raise UsageError(
            f"profile {profile.name!r} is for workload {profile.workload!r} "
            f"and extends {base.name!r}, which is for {base.workload!r}"
        )
    return Profile(
        name=profile.name,
        path=profile.path,
        description=profile.description or base.description,
        workload=profile.workload,
        run=profile.run,
        params=profile.params,
        base=base,
        shipped=profile.shipped,
    )


def sources(profile: Profile, description: Description) -> tuple[Source, ...]:
    """The profile's values for a workload, its own before its base's."""
    if profile.workload_name is not None and profile.workload_name != description.name:
        raise UsageError(
            f"profile {profile.name!r} is for workload {profile.workload_name!r}, not {description.name!r}",
            hint=f"bench run {profile.workload_name} --profile {profile.name}",
        )
    found = [_source(profile, f"profile {profile.name}", description)]
    if profile.base is not None:
        found.append(_source(profile.base, f"profile {profile.base.name}", description))
    return tuple(found)


def check(profile: Profile, description: Description) -> RunSpec:
    """The first of `cells`."""
    return cells(profile, description)[0]


def cells(profile: Profile, description: Description) -> list[RunSpec]:
    """What the profile alone resolves to. UsageError names the first key or value that is wrong."""
    for part in filter(None, (profile, profile.base)):
        for other in part.params:
            if other != description.name:
                raise UsageError(
                    f"profile {part.name!r} has [workload.{other}] but is for workload {description.name!r}",
                    hint=did_you_mean(other, [description.name]),
                )
    return resolve_cells(description, sources(profile, description), profile=profile.name, label=profile.name)


def defaults_sources(description: Description, workloads: Sequence[str]) -> tuple[Source, ...]:
    """The values of `./bench.toml` and of the user's configuration, where they exist."""
    found = []
    for path, origin in ((Path("bench.toml"), "./bench.toml"), (paths.config_file(), "user configuration")):
        if path.is_file():
            body = _toml(path, str(path))
            _only(body, _DEFAULTS_KEYS, str(path))
            profile = Profile(name=str(path), path=path, run=_run(body, str(path)), params=_params(body, str(path)))
            for name in profile.params:
                if name not in workloads:
                    raise UsageError(
                        f"{path} has [workload.{name}], which is no workload", hint=did_you_mean(name, workloads)
                    )
            if "workload" in profile.run:
                raise UsageError(
                    f"{path} must not choose a workload in [run]", hint="profiles do; this file is for all"
                )
            found.append(_source(profile, origin, description))
    return tuple(found)


def anchored(values: Mapping[str, Any], description: Description, folder: Path) -> dict[str, Any]:
    """The values with relative paths made absolute from `folder`; `~` is the home folder. Text stays text."""
    items = (*settings_of(RunSettings), *settings_of(description.config))
    paths_named = {item.name for item in items if item.base_type is Path}
    found = {}
    for key, value in values.items():
        if key not in paths_named or not isinstance(value, str | Path) or str(value) in ("", "none"):
            found[key] = value
        elif key == "data" and description.many_files:
            found[key] = patterns.anchored(value, folder)
        else:
            path = Path(value).expanduser()
            found[key] = path if path.is_absolute() else Path(folder.absolute(), path)
    return found


def _source(profile: Profile, origin: str, description: Description) -> Source:
    items = settings_of(description.config)
    run_keys = {item.name for item in settings_of(RunSettings)}
    where = f"{origin} ({profile.path})"
    run = settings.renamed(profile.run, description.aliases, where=where)
    params = settings.renamed(profile.params.get(description.name, {}), description.aliases, where=where)
    for key in run:
        if key not in run_keys:
            hint = did_you_mean(key, run_keys)
            if key in {item.name for item in items}:
                hint = f"it belongs under [workload.{description.name}]"
            raise UsageError(f"unknown key {key!r} under [run] in {origin} ({profile.path})", hint=hint)
    for key in params:
        if key not in {item.name for item in items}:
            hint = did_you_mean(key, [item.name for item in items])
            if key in run_keys:
                hint = "it belongs under [run]"
            raise UsageError(
                f"unknown key {key!r} under [workload.{description.name}] in {origin} ({profile.path})", hint=hint
            )
    return Source(origin=origin, values=anchored({**run, **params}, description, profile.path.parent))


def _read(path: Path) -> tuple[Profile, str | None]:
    where = f"profile {path}"
    body = _toml(path, where)
    _only(body, _PROFILE_KEYS, where)
    for key in ("description", "extends"):
        if not isinstance(body.get(key, ""), str):
            raise UsageError(f"{key} = {body[key]!r} in {where} is not text")
    run = _run(body, where)
    workload = run.pop("workload", None)
    if workload is not None and not isinstance(workload, str):
        raise UsageError(f"workload = {workload!r} in {where} is not text")
    profile = Profile(
        name=path.stem,
        path=path,
        description=body.get("description", ""),
        workload=workload,
        run=run,
        params=_params(body, where),
        shipped=path.parent == paths.profiles_dir(),
    )
    return profile, body.get("extends")


def _toml(path: Path, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"{where} cannot be read: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{where} is not TOML: {problem}") from problem


def _only(body: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in body:
        if key not in known:
            hint = did_you_mean(key, known)
            if hint.startswith("known"):
                hint = "settings of the harness stand under [run], those of a workload under [workload.NAME]"
            raise UsageError(f"unknown key {key!r} in {where}", hint=hint)


def _run(body: Mapping[str, Any], where: str) -> dict[str, Any]:
    run = body.get("run", {})
    if not isinstance(run, dict):
        raise UsageError(f"run = {run!r} in {where} is not a table", hint="write [run] on a line of its own")
    return dict(run)


def _params(body: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    tables = body.get("workload", {})
    if not isinstance(tables, dict):
        raise UsageError(f"workload = {tables!r} in {where} is not a table", hint="write workload = … under [run]")
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"workload.{name} in {where} is not a table", hint=f"write [workload.NAME], then {name} = …"
            )
    return tables
