"""The commands of `bench cache`: their settings, and where their work is. Neither numpy nor numba here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import Command, CommandGroup, setting
from workloads.cachesim.policies import registry
from workloads.cachesim.reading import ReadSettings

_PACKAGE = "workloads.cachesim.commands"
_WORK = f"{_PACKAGE}.work"
_WRITE = "What is written"
_SAMPLE = "What is kept"
_CURVE = "Curves"
_SPLIT = "Split"
_LABELS = "Labels"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveConfig(ReadSettings):
    """Settings of `bench cache curve`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns, read as one trace in their order")
    policy: str = setting(
        "lru,belady", help="policies, or all: " + ", ".join(registry.names()) + "; lru and belady at every size in one "
        "pass, the others by runs", group=_CURVE,
    )  # fmt: skip
    policy_file: Path | None = setting(
        None, help="a Python file with policies of your own, known to --policy by name", group=_CURVE
    )
    size: tuple[str, ...] = setting(
        (), help="sizes to show: rows (10000), bytes (40GB), shares of the distinct rows (10%) or of the tables "
        "(tables:20%); round shares when not given", group=_CURVE,
    )  # fmt: skip
    points: int | None = setting(
        None, minimum=1, maximum=10_000, help="more sizes at which a policy is run, evenly spaced by ratio; 24 when "
        "neither this nor --size is given", group=_CURVE,
    )  # fmt: skip
    per_table: bool = setting(False, help="a cache for each table, instead of one for all", group=_CURVE)
    table: str | None = setting(None, help="the lookups of this table alone", group=_CURVE)
    cache_warmup: str = setting(
        "0", help="the first requests fill the cache and are not counted: a number, or a share (0.1, 10%)", group=_CURVE
    )
    shards: str | None = setting(
        None, help="also estimate LRU by SHARDS, from a share (0.01) or a number of the rows", group=_CURVE
    )
    shards_error: Literal["exact", "spread"] = setting(
        "exact", help="exact: against the exact curve; spread: over eight hashes, and lru is not made exactly",
        group=_CURVE,
    )  # fmt: skip
    opt_method: Literal["all", "sizes", "runs"] = setting(
        "all", help="belady at every size at once, at the chosen sizes by bisection, or by a run for each", group=_CURVE
    )
    seed: int = setting(0, minimum=0, help="of the random policy and of SHARDS", group=_CURVE)
    jobs: int = setting(2, minimum=1, help="runs at a time, each on a thread", group=_CURVE)
    output: Path | None = setting(None, help="the whole curves as .npz, .json or .csv", group=_WRITE)
    torchrec: Path | None = setting(None, help="TorchRec's EmbeddingOffloadStats of each table, as .json", group=_WRITE)
    force: bool = setting(False, help="replace files that are there", group=_WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitConfig(ReadSettings):
    """Settings of `bench cache split`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns, read as one trace in their order")
    budget: str | None = setting(
        None, help="for all caches together: bytes (40GB, needs --schema), rows (100000) or a share (10%) of the "
        "distinct rows, in bytes where the schema tells them", group=_SPLIT,
    )  # fmt: skip
    policy: str = setting("lru", help="of the caches: " + ", ".join(registry.names()), group=_SPLIT)
    policy_file: Path | None = setting(
        None, help="a Python file with policies of your own, known to --policy by name", group=_SPLIT
    )
    points: int = setting(
        24, minimum=2, maximum=10_000, help="sizes of each table at which a policy other than lru and belady is run",
        group=_SPLIT,
    )  # fmt: skip
    cache_warmup: str = setting(
        "0", help="the first requests fill the caches and are not counted: a number, or a share (0.1, 10%)",
        group=_SPLIT,
    )  # fmt: skip
    seed: int = setting(0, minimum=0, help="of the random policy", group=_SPLIT)
    jobs: int = setting(2, minimum=1, help="runs at a time, each on a thread", group=_SPLIT)
    output: Path | None = setting(None, help="the split as .json or .csv", group=_WRITE)
    force: bool = setting(False, help="replace a file that is there", group=_WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelConfig(ReadSettings):
    """Settings of `bench cache label`."""

    trace: tuple[str, ...] = setting((), help="files or quoted patterns")
    size: str = setting(
        "10%", help="of OPT's cache: a share of the distinct rows (10%), rows (10000), bytes (40GB), or a share of the "
        "tables (tables:20%)", group=_LABELS, source="RecMG's optgen.py 0.1",
    )  # fmt: skip
    policy: Literal["belady", "belady-bypass"] = setting(
        "belady", help="OPT that always admits, or that may pass a row by", group=_LABELS
    )
    by: Literal["trace", "shard"] = setting(
        "trace", help="trace: the files as one; shard: each file, or each --shard requests, from an empty cache with a "
        "size of its own", group=_LABELS,
    )  # fmt: skip
    shard: int | None = setting(
        None, minimum=1, unit="requests", help="shards of at most so many; RecMG's are 5M", group=_LABELS
    )
    jobs: int = setting(2, minimum=1, help="shards at a time, each on a thread", group=_LABELS)
    output: Path | None = setting(
        None, help="an .npz file, for several files a folder; beside the trace when not given", group=_WRITE
    )
    text: bool = setting(False, help="also RecMG's text files: labels and miss trace, one number a line", group=_WRITE)
    force: bool = setting(False, help="replace files that are there", group=_WRITE)


GROUP = CommandGroup(
    name="cache",
    summary="Embedding lookups: inspect, sample, generate, convert, curve, split, label",
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
        Command(
            name="curve",
            summary="Hit ratio by cache size, exactly, for any policy; what one more point would cost",
            config=CurveConfig,
            work=f"{_PACKAGE}.curve:curve",
            arguments=("trace",),
            draws=True,
        ),
        Command(
            name="split",
            summary="A memory budget shared out among tables so that most lookups hit",
            config=SplitConfig,
            work=f"{_PACKAGE}.split:split",
            arguments=("trace",),
            draws=True,
        ),
        Command(
            name="label",
            summary="What OPT would keep, for each lookup: the labels that caching models learn",
            config=LabelConfig,
            work=f"{_PACKAGE}.label:label",
            arguments=("trace",),
        ),
    ),
    install="pip install 'recbench[cache]'",
)
