"""The generators by name, and ready-made settings.

trace = generate("correlated", requests=1_000_000, predictability=0.4)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from harness.api import UsageError
from harness.errors import did_you_mean
from workloads.cachesim.generators.correlated import CorrelatedSpec, generate_correlated
from workloads.cachesim.generators.drift import DriftSpec, generate_drift
from workloads.cachesim.generators.reuse import ReuseSpec, generate_reuse
from workloads.cachesim.generators.spec import GeneratorSpec, Progress, memory_bytes
from workloads.cachesim.generators.stack import StackSpec, generate_stack
from workloads.cachesim.generators.zipf import ZipfSpec, generate_zipf
from workloads.cachesim.traces.trace import Trace
from workloads.common.memory import available_bytes, gigabytes


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator: its settings with their defaults, and the function that follows them."""

    name: str
    summary: str
    spec: type[GeneratorSpec]
    generate: Callable[..., Trace]


GENERATORS: Mapping[str, Generator] = {
    each.name: each
    for each in (
        Generator("zipf", "independent lookups with a Zipf law", ZipfSpec, generate_zipf),
        Generator("reuse", "rows reused as often as in Meta's published histograms", ReuseSpec, generate_reuse),
        Generator("stack", "bursts as in a measured trace, by LRU stack distances", StackSpec, generate_stack),
        Generator("correlated", "bags in which one lookup foretells the next", CorrelatedSpec, generate_correlated),
        Generator("drift", "a Zipf law whose popular rows are replaced over time", DriftSpec, generate_drift),
    )
}


def make_spec(name: str, **settings: Any) -> GeneratorSpec:
    """The settings of a generator. Raises UsageError for unknown names, with the nearest, and for wrong values."""
    if name not in GENERATORS:
        raise UsageError(f"unknown generator {name!r}", hint=did_you_mean(name, GENERATORS))
    spec = GENERATORS[name].spec
    known = {each.name: each for each in fields(spec)}
    for key, value in settings.items():
        if key not in known:
            raise UsageError(f"the generator {name} has no setting {key!r}", hint=did_you_mean(key, known))
        default = known[key].default
        if isinstance(default, int) and (not isinstance(value, int) or isinstance(value, bool)):
            raise UsageError(f"{key} of the generator {name} must be a whole number, not {value!r}")
        if isinstance(default, float) and (not isinstance(value, (int, float)) or isinstance(value, bool)):
            raise UsageError(f"{key} of the generator {name} must be a number, not {value!r}")
    return spec(**settings)


def generate(name: str, progress: Progress | None = None, **settings: Any) -> Trace:
    """A generated trace. Raises UsageError as `make_spec` does."""
    return generate_from(make_spec(name, **settings), progress)


def generate_from(spec: GeneratorSpec, progress: Progress | None = None) -> Trace:
    """The trace of given settings. Raises UsageError before the first large array where it would not fit in memory."""
    generator = next(each for each in GENERATORS.values() if each.spec is type(spec))
    check_memory(memory_bytes(spec), spec.requests)
    return generator.generate(spec, progress)


def check_memory(needed: int, requests: int) -> None:
    """UsageError where a trace of so many requests would not fit in memory."""
    free = available_bytes()
    if needed > free:
        raise UsageError(
            f"a generated trace of {requests:,} requests needs about {gigabytes(needed)}, {gigabytes(free)} of "
            "memory are free",
            hint="choose fewer requests: a smaller --requests",
        )
