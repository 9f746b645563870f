"""The commands of `bench cache`: their settings, and where their work is. Neither numpy nor numba here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import Command, CommandGroup, setting
from workloads.cachesim.reading import ReadSettings

_WORK = "workloads.cachesim.commands.work"
_WRITE = "What is written"
_SAMPLE = "What is kept"

Form = Literal["npz", "oracleGeneral", "recmg"]
TraceMaker = Literal["zipf", "reuse", "stack", "correlated", "drift", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectConfig(ReadSettings):
    """Settings of `bench cache inspect`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns, read as one trace in their order")
    window: int = setting(
        50,
        minimum=1,
        unit="requests",
        help="how far behind a row its successors are looked for",
        group="What is reported",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig(ReadSettings):
    """Settings of `bench cache convert`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns, read as one trace in their order")
    output: Path | None = setting(None, help="the file to write; .npz keeps all that is known", group=_WRITE)
    to: Form | None = setting(None, help="its format; told by its ending when not given", group=_WRITE)
    force: bool = setting(False, help="replace a file that is there", group=_WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleConfig(ReadSettings):
    """Settings of `bench cache sample`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns, read as one trace in their order")
    rate: float = setting(0.1, minimum=0.0, maximum=1.0, help="share that is kept", group=_SAMPLE)
    by: Literal["row", "batch", "sample"] = setting(
        "row", help="row: all lookups of some rows, so that scaled cache sizes keep their hit ratio; batch, sample: "
        "whole ones, as RecMG does", group=_SAMPLE,
    )  # fmt: skip
    shuffle: bool = setting(False, help="batches or samples in random order, as RecMG has them", group=_SAMPLE)
    seed: int = setting(0, minimum=0, help="another one keeps others", group=_SAMPLE)
    output: Path | None = setting(None, help="an .npz file; or a folder for shards, called after it", group=_WRITE)
    shard: int | None = setting(
        None, minimum=1, unit="requests", help="write shards of at most so many; RecMG's are 5M", group=_WRITE
    )
    text: bool = setting(False, help="shards as RecMG's text lines; without --shard of 5M", group=_WRITE)
    force: bool = setting(False, help="replace files that are there", group=_WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateConfig:
    """Settings of `bench cache generate`."""

    generator: TraceMaker = setting(
        "zipf", help="zipf, reuse, stack, correlated, drift; or reference, the Zipf trace of published hit counts"
    )
    requests: int = setting(1_000_000, minimum=1, help="lookups; the reference has 10M")
    settings: tuple[str, ...] = setting(
        (), help="more of the generator, like rows=100000,exponent=0.8,tables=4,pooling=10"
    )
    batch_size: int | None = setting(None, minimum=1, unit="samples", help="samples a batch; no batches when not given")
    seed: int = setting(0, minimum=0, help="another one gives another trace of the same law")
    schema: Path | None = setting(None, help="TOML or CSV file with name, rows, dim and dtype of the tables")
    output: Path | None = setting(None, help="the file to write; .npz keeps all that is known", group=_WRITE)
    to: Form | None = setting(None, help="its format; told by its ending when not given", group=_WRITE)
    force: bool = setting(False, help="replace a file that is there", group=_WRITE)


GROUP = CommandGroup(
    name="cache",
    summary="Traces of embedding lookups: inspect, sample, generate, convert",
    commands=(
        Command(
            name="inspect",
            summary="What a trace is like: size, skew, reuse times and distances, pooling, successors",
            config=InspectConfig,
            work=f"{_WORK}:inspect",
            arguments=("trace",),
        ),
        Command(
            name="sample",
            summary="A smaller trace: all lookups of some rows, or some batches",
            config=SampleConfig,
            work=f"{_WORK}:sample",
            arguments=("trace",),
        ),
        Command(
            name="generate",
            summary="A trace by a law, with a seed: the same bytes everywhere",
            config=GenerateConfig,
            work=f"{_WORK}:generate",
            arguments=("generator",),
        ),
        Command(
            name="convert",
            summary="Any trace that can be read, as npz, libCacheSim's oracleGeneral or RecMG's text",
            config=ConvertConfig,
            work=f"{_WORK}:convert",
            arguments=("trace",),
        ),
    ),
)
