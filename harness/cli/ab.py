"""`bench ab A B`: two configurations, their repeats interleaved in random order, a fixed number of pairs, a verdict."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import profiles
from harness.analysis.statistics import fewest_repeats
from harness.api import Description
from harness.cli import layers, options
from harness.cli.compare import FailOn, Format, Margin, Strict, check_gates, finish, parse_margins, sides_of_cells
from harness.cli.flags import fixed, option, parameters, parse_flags, with_signature
from harness.cli.flags import given as given_flags
from harness.cli.run import FIXED, FIXED_BEHIND, dry_run
from harness.cli.watch import choose_face, follow
from harness.errors import BenchError, UsageError, did_you_mean
from harness.execution.plan import make_plan
from harness.registry import Registry
from harness.settings import settings_of
from harness.sources import all_settings
from harness.spec import RunSettings, RunSpec, Source

AB_REPEATS = fewest_repeats(family=1, paired=True)  # whatever a profile says for runs alone
_SIDE = (
    "a profile, a list of settings like 'batch=512 optimizer=adagrad', a quoted list of flags like '--batch 512 "
    "--no-shuffle', or a Python interpreter"
)
_A = Annotated[str, typer.Argument(metavar="A", help=f"the baseline: {_SIDE}")]
_B = Annotated[str, typer.Argument(metavar="B", help="what is compared with it, written in the same ways")]
_WORKLOAD = Annotated[
    str | None,
    typer.Option(
        "--workload",
        metavar="NAME",
        help="the workload, where no profile tells",
        autocompletion=options.complete_workloads,
        rich_help_panel=options.WHAT,
    ),
]
_MARGINS = {
    "margin": (Margin, None),
    "fail_on": (FailOn, None),
    "strict": (Strict, False),
    "format": (Format, "table"),
}
_PAIR_BREAK = re.compile(r",(?=\s*[A-Za-z_][A-Za-z0-9_-]*=)")


def make_ab(registry: Registry, *, asked: bool = True) -> Callable[..., Any]:
    """`bench ab` for the workloads of this registry; their other words are looked up only where it was `asked` for."""
    words = _run_words(registry) if asked else {}

    def ab(**values: Any) -> None:
        texts = (values.pop("a"), values.pop("b"))
        items = settings_of(RunSettings)
        flags, given = given_flags(values, items, words), fixed(values, items, words)
        description = registry.workload(_workload(registry, texts, given))
        for word in set(flags) & set(words) - set(description.aliases):
            raise UsageError(f"--{word} is no flag of workload {description.name!r}")
        layers.warn_of_strays(all_settings(description))
        specs = [
            _spec(registry, description, letter, text, given, flags) for letter, text in zip("AB", texts, strict=True)
        ]
        _same_experiment(specs)
        check_gates(given["fail_on"] or (), description)
        parse_margins(given["margin"] or ())
        if given["dry_run"]:
            dry_run(specs, json=given["json"])
            return
        _carry_out(specs, given, registry)

    ab.__doc__ = (
        "Runs A and B in turns, in an order drawn anew for each pair, and compares them with an exact paired test. The "
        f"number of pairs (--repeats; {AB_REPEATS} unless given, as fewer cannot reach p < 0.05) is fixed before the "
        "start, so that nobody stops when the result pleases. Settings "
        "given by flags, --set or --profile hold for both sides; those of A and B are stronger."
    )
    behind = {**_MARGINS, **FIXED_BEHIND}
    made = parameters(
        settings_of(RunSettings),
        taken=[*FIXED, *behind, "workload", "help"],
        description=None,
        devices=registry.device_names(),
        aliases=words,
    )
    return with_signature(
        ab,
        [
            option("a", _A, ...).replace(default=option("a", _A).empty),
            option("b", _B, ...).replace(default=option("b", _B).empty),
            option("workload", _WORKLOAD),
            *(option(name, *facts) for name, facts in FIXED.items()),
            *made,
            *(option(name, *facts) for name, facts in behind.items()),
        ],
    )


def _run_words(registry: Registry) -> dict[str, str]:
    """Other words for settings of the run, of any workload that loads."""
    own = {item.name for item in settings_of(RunSettings)}
    found: dict[str, str] = {}
    for name in registry.workload_names():
        with contextlib.suppress(BenchError):
            found |= {word: key for word, key in registry.workload(name).aliases.items() if key in own}
    return found


def side_source(letter: str, text: str, description: Description) -> tuple[str | None, Source]:
    """(profile, settings) that the text of A or B names. UsageError where it is none of the four."""
    text = text.strip()
    if text.startswith("-"):
        values = parse_flags(text, all_settings(description), where=letter, aliases=description.aliases)
    elif interpreter := _interpreter(text):
        values = {"python": interpreter}
    elif "=" in text and not text.endswith(".toml"):
        values = _pairs(letter, text, description)
    else:
        values = {"profile": text}
    profile = values.pop("profile", None)
    return profile, Source(origin=letter, values=values)


def _interpreter(text: str) -> str | None:
    """The path of a Python that was named; a profile's file is none."""
    path = Path(text).expanduser()
    if "/" in text and path.is_file() and os.access(path, os.X_OK) and not text.endswith(".toml"):
        return str(path.absolute())
    return None


def _pairs(letter: str, text: str, description: Description) -> dict[str, str]:
    known = [*(item.name for item in all_settings(description)), *description.aliases]
    found = {}
    for word in shlex.split(text):
        for part in _PAIR_BREAK.split(word):
            key, equals, value = part.partition("=")
            key = key.strip().replace("-", "_")
            if not equals:
                raise UsageError(
                    f"{letter}: {part!r} is not KEY=VALUE", hint="write it like 'batch=512 optimizer=adagrad'"
                )
            if key != "profile" and key not in known:
                raise UsageError(f"{letter}: unknown key {key!r}", hint=did_you_mean(key, [*known, "profile"]))
            found[key] = value.strip()
    return found


def _workload(registry: Registry, texts: Sequence[str], given: Mapping[str, Any]) -> str:
    if given["workload"]:
        return str(given["workload"])
    for text in (given["profile"], *texts):
        if text and "=" not in text and not text.strip().startswith("-") and _interpreter(text) is None:
            name = profiles.load(text).workload_name
            if name:
                return name
        elif match := re.search(r"(?:^|[\s,])(?:--)?profile[=\s]([^\s,]+)", text or ""):
            name = profiles.load(match[1]).workload_name
            if name:
                return name
    raise UsageError(
        "which workload? Neither A nor B names a profile", hint="--workload " + "|".join(registry.workload_names())
    )


def _spec(
    registry: Registry,
    description: Description,
    letter: str,
    text: str,
    given: Mapping[str, Any],
    flags: Mapping[str, Any],
) -> RunSpec:
    own, source = side_source(letter, text, description)
    first = [source]
    sets = list(given["set"] or ())
    if own and given["profile"]:
        first += profiles.sources(profiles.load(own), description)
        own = given["profile"]
    spec = layers.spec_of(
        registry,
        description,
        layers.Given(profile=own or given["profile"], sets=sets, flags=flags, first=first),
        label=f"{letter}: {text.strip() or 'as given'}",
    )
    if spec.origins["repeats"] in (letter, "--set", "--repeats", "BENCH_REPEATS"):
        return spec
    return replace(
        spec,
        settings=replace(spec.settings, repeats=AB_REPEATS),
        origins={**spec.origins, "repeats": "bench ab"},
    )


def _same_experiment(specs: Sequence[RunSpec]) -> None:
    a, b = specs
    for key in ("repeats", "data_seed", "seed"):
        if getattr(a.settings, key) != getattr(b.settings, key):
            raise UsageError(
                f"A has {key} {getattr(a.settings, key)} and B {getattr(b.settings, key)}, but pairs need one {key}",
                hint=f"give --{key.replace('_', '-')} for both",
            )


def _carry_out(specs: Sequence[RunSpec], given: Mapping[str, Any], registry: Registry) -> None:
    import sys

    from harness.cli.watch import report
    from harness.execution.launch import launch
    from harness.store.queries import Store

    face = choose_face(given["ui"], json=given["json"])
    database = options.database(given["db"])
    plan = make_plan(
        specs,
        command="ab",
        database=database,
        interleave=True,
        argv=sys.argv[1:],
        face=face,
        share=given["share"],
        tags=tuple(given["tag"] or ()),
        note=given["note"],
    )
    with launch(plan) as attachment:
        last = follow(attachment, plan.face)
    if last.exit_code or given["json"]:
        report(last, plan.database, face=plan.face, json=given["json"])
    if given["json"]:
        return
    with Store(plan.database) as store:
        sides = sides_of_cells(store, store.experiment(plan.experiment_id))
    finish(
        sides,
        registry,
        margins=given["margin"] or (),
        fail_on=given["fail_on"] or (),
        strict=given["strict"],
        format=given["format"],
        force=False,
    )
