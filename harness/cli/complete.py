"""What the shell offers behind Tab: ids, tags, references and keys of settings. A problem offers nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import typer

from harness.errors import BenchError

_MOST_IDS = 40
Offer = tuple[str, str]  # the word, and what it is


def things(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Experiments: @latest, tags, then ids, the newest first."""
    return _fitting(_experiments(ctx), incomplete)


def compared(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Experiments, and published references."""
    before = list(ctx.params.get("things") or ())
    if before[-2:] == ["reference", ":"]:  # bash parts words at colons
        return _fitting(_references(""), incomplete)
    offers = _fitting(_experiments(ctx), incomplete)
    return offers + _fitting(_references("reference:"), incomplete)


def running(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Experiments that run now."""
    from harness.cli.running import alive
    from harness.ids import short_id

    return _fitting(((short_id(one.id), " ".join(one.argv)) for one in alive().values()), incomplete)


def assignments(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """`key=` of every setting; behind the sign its choices."""
    return _fitting(_assignments(ctx, incomplete), incomplete)


def _assignments(ctx: typer.Context, incomplete: str) -> Iterator[Offer]:
    from harness.registry import Registry
    from harness.settings import settings_of
    from harness.spec import RunSettings

    items = list(settings_of(RunSettings))
    aliases: Mapping[str, str] = {}
    registry = Registry()
    for name in (ctx.params.get("workload"), ctx.info_name):
        if name in registry.workload_names():
            with contextlib.suppress(BenchError):
                description = registry.workload(str(name))
                items += settings_of(description.config)
                aliases = description.aliases
            break
    key, equals, _ = incomplete.partition("=")
    wanted = key.replace("-", "_")
    for item in items:
        if not equals:
            yield f"{item.name}=", item.help
            yield from ((f"{word}=", item.help) for word, name in aliases.items() if name == item.name)
        elif item.name == aliases.get(wanted, wanted):
            choices = ("true", "false") if item.base_type is bool else item.choices
            yield from ((f"{key}={choice}", "") for choice in choices)


def _experiments(ctx: typer.Context) -> Iterator[Offer]:
    from harness.cli import options
    from harness.ids import short_id
    from harness.store.queries import Store

    given = ctx.params.get("db")
    database = options.database(Path(given) if given else None)
    if not database.is_file():
        return
    with contextlib.suppress(BenchError), Store(database) as store:
        found = store.list_experiments(limit=_MOST_IDS)
        told = {one.id: f"{one.command} {', '.join(one.workloads)} {one.created_at[:10]}" for one in found}
        if found:
            yield "@latest", told[found[0].id]
        for tag in dict.fromkeys(tag for one in found for tag in one.tags):
            yield tag, "a tag"
        for one in found:
            yield short_id(one.id), told[one.id]


def _references(prefix: str) -> Iterator[Offer]:
    from harness import references

    with contextlib.suppress(BenchError):
        yield from ((prefix + one.name, f"{one.metric} of {one.device}") for one in references.load())


def _fitting(offers: Iterable[Offer], incomplete: str) -> list[Offer]:
    return [offer for offer in offers if offer[0].startswith(incomplete)]
