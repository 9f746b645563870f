"""`bench sweep WORKLOAD --over key=a,b`: every combination of some settings' values, a cell each, interleaved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_origin

import typer

from harness.api import Description
from harness.cli import complete, layers, options
from harness.cli.flags import with_signature
from harness.cli.run import signature, split, start
from harness.errors import UsageError, did_you_mean
from harness.execution.plan import share_keys
from harness.registry import Registry
from harness.sources import all_settings
from harness.spec import RunSpec, Source

_MOST_CELLS = 200
_PER_CELL = ("data_seed", "jobs", "repeats", "seed")  # belong to the experiment, so that its cells can be compared

_OVER = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="KEY=A,B,…",
        help="a setting and its values; repeatable, every combination is a cell. Values that hold commas are parted by "
        "semicolons: top_mlp=512,256,1;256,1",
        autocompletion=complete.assignments,
        rich_help_panel=options.WHAT,
    ),
]
_IN_ORDER = Annotated[
    bool,
    typer.Option(
        "--in-order",
        metavar="",
        help="all repeats of a cell one after the other, not interleaved",
        rich_help_panel="Measurement",
    ),
]


def make_sweep(registry: Registry) -> Callable[[Description], Callable[..., Any]]:
    """The maker of `bench sweep NAME` for one workload."""

    def make(description: Description) -> Callable[..., Any]:
        def sweep(**values: Any) -> None:
            over, in_order = values.pop("over"), values.pop("in_order")
            given, flags = split(values, description)
            layers.warn_of_strays(all_settings(description))
            specs = cells(registry, description, over or (), given, flags)
            start(
                description,
                specs,
                given,
                command="sweep",
                interleave=not in_order,
                share_keys=share_keys(description, specs),
            )

        sweep.__doc__ = (
            "Repeats of the cells alternate in random order, so that drift of the machine meets all of them alike. "
            "Flags and profile hold for every cell."
        )
        return with_signature(
            sweep, signature(registry, description, {"over": (_OVER, None), "in_order": (_IN_ORDER, False)})
        )

    return make


def cells(
    registry: Registry, description: Description, over: Sequence[str], given: dict[str, Any], flags: dict[str, Any]
) -> list[RunSpec]:
    """One spec per combination, in the order of the values given."""
    axes = [parse_axis(text, description) for text in over]
    if not axes:
        raise UsageError("a sweep needs --over KEY=A,B", hint=f"bench sweep {description.name} --over batch=128,512")
    keys = [key for key, _ in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(f"--over names {key!r} twice", hint="list all its values in one")
    combinations = list(itertools.product(*(values for _, values in axes)))
    if len(combinations) > _MOST_CELLS:
        raise UsageError(
            f"these --over give {len(combinations)} cells, at most {_MOST_CELLS} are allowed in one sweep",
            hint="give fewer values, or sweep one setting after the other",
        )
    specs = []
    for combination in combinations:
        chosen = dict(zip(keys, combination, strict=True))
        first = [Source(origin="--over", values=chosen)]
        label = ", ".join(f"{key}={value}" for key, value in chosen.items())
        specs.append(
            layers.spec_of(
                registry,
                description,
                layers.Given(profile=given["profile"], sets=given["set"] or (), flags=flags, first=first),
                label=label,
            )
        )
    return specs


def parse_axis(text: str, description: Description) -> tuple[str, list[str]]:
    """`batch=128,512` as ("batch", ["128", "512"]), under the setting's own name."""
    key, equals, value = text.partition("=")
    key = key.strip().replace("-", "_")
    key = description.aliases.get(key, key)
    known = {item.name: item for item in all_settings(description)}
    if not equals:
        raise UsageError(f"--over {text!r} is not KEY=A,B", hint="write it like --over batch=128,512")
    if key not in known:
        raise UsageError(f"unknown key {key!r} in --over", hint=did_you_mean(key, [*known, *description.aliases]))
    if key in _PER_CELL:
        raise UsageError(f"--over cannot vary {key}", hint="it holds for the whole experiment")
    lists = get_origin(known[key].base_type) is tuple
    values = [part.strip() for part in value.split(";" if lists or ";" in value else ",")]
    values = [part for part in values if part]
    if not values:
        raise UsageError(f"--over {text!r} has no values", hint="write it like --over batch=128,512")
    for part in values:
        if values.count(part) > 1:
            raise UsageError(f"--over {text!r} has the value {part!r} twice")
    return key, values
