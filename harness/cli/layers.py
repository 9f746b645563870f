"""One RunSpec per cell from what was given on the command line; how sources lie over each other: `harness.sources`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import profiles, sources
from harness.api import Description
from harness.cli import options
from harness.errors import UsageError, nearest
from harness.registry import Registry
from harness.settings import Setting
from harness.spec import RunSpec, Source, resolve, resolve_cells

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
    laid, name = _laid_out(registry, description, given)
    spec = resolve(description, laid, profile=name, label=label or name or description.name, plugins=registry.plugins)
    sources.check(registry, description, spec)
    return spec


def specs_of(registry: Registry, description: Description, given: Given) -> list[RunSpec]:
    """As `spec_of`, but several cells where an axis of the workload is given several values."""
    laid, name = _laid_out(registry, description, given)
    specs = resolve_cells(description, laid, profile=name, label=name or description.name, plugins=registry.plugins)
    for spec in specs:
        sources.check(registry, description, spec)
    return specs


def _laid_out(registry: Registry, description: Description, given: Given) -> tuple[list[Source], str | None]:
    """The sources, strongest first, and the profile's name."""
    profile = profiles.load(given.profile) if given.profile else None
    laid = sources.laid_out(
        registry, description, first=given.first, sets=parse_sets(given.sets), flags=given.flags, profile=profile
    )
    return laid, profile.name if profile else None


def stray_variables(items: Sequence[Setting]) -> list[str]:
    """A sentence for each `BENCH_…` variable that is no setting, with the nearest one."""
    known = {sources.PREFIX + item.name.upper() for item in items}
    sentences = []
    for name in sorted(os.environ):
        if name.startswith(sources.PREFIX) and name not in known and name not in _OWN_VARIABLES:
            near = nearest(name.removeprefix(sources.PREFIX), [word.removeprefix(sources.PREFIX) for word in known])
            meant = f"; did you mean {sources.PREFIX}{near}?" if near is not None else " of this workload"
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
