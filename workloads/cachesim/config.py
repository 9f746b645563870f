"""What cache simulation is as a workload: its settings, its mode, its metrics. Neither torch, numpy nor numba here.

A cell is one policy at one capacity over one trace. Cells over the same trace share a worker, and in it the trace.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import Description, FigureSpec, MetricSpec, Mode, UsageError, setting
from workloads.cachesim.capacity import Capacity, parse_capacity
from workloads.cachesim.policies import registry
from workloads.cachesim.reading import ReadSettings

BATCH_POLICIES = ("lru", "fifo", "lfu", "fbgemm-lfu", "belady")  # those of engine.batch_cache

GeneratorName = Literal["zipf", "reuse", "stack", "correlated", "drift"]

_BUILT_IN = "Built-in trace"
_CACHE = "Cache"
_REPORT = "What is reported"
_MEMORIES = "Memories"
_FBGEMM = "pytorch/FBGEMM, SplitTableBatchedEmbeddingBagsCodegen"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSimConfig(ReadSettings):
    """All settings of one cell."""

    policy: str = setting(
        "lru",
        help="replacement policy, or several, each a cell; or all: " + ", ".join(registry.names()),
        group=_CACHE,
        source=_FBGEMM,
    )
    policy_file: Path | None = setting(
        None, help="a Python file with policies of your own, known to --policy by name", group=_CACHE
    )
    capacity: str = setting(
        "10%", help="rows (10000), bytes (40GB), share of the distinct rows (0.1, 10%) or of the tables (tables:20%); "
        "or several, each a cell",
        group=_CACHE,
    )  # fmt: skip
    caches: Literal["unified", "per-table"] = setting(
        "unified", help="one cache for all tables, charging the widest row, or one for each table", group=_CACHE,
        source=f"{_FBGEMM}: one cache for all its tables",
    )  # fmt: skip
    granularity: Literal["request", "batch"] = setting(
        "request", help="look up one request after the other, or de-duplicated batches as FBGEMM does", group=_CACHE
    )
    ways: int | None = setting(
        None, minimum=1, help="lines of a set; fully associative when not given (FBGEMM: 32, on ROCm 64)", group=_CACHE
    )
    in_flight: int = setting(
        1, minimum=0, unit="batches", help="batches, the current one counted, whose lines cannot be evicted; 2 with a "
        "prefetch pipeline (granularity batch)", group=_CACHE, source=f"{_FBGEMM}: 1, or 2 with prefetch_pipeline",
    )  # fmt: skip
    look_ahead: int = setting(
        0, minimum=0, unit="batches", help="next batches that are known: what they need is kept, and is fetched while "
        "the current one is worked on (granularity batch)", group=_CACHE,
    )  # fmt: skip
    training: bool = setting(False, help="lookups change their rows, so evicted ones are written back", group=_CACHE)
    flush_every: int = setting(
        0, minimum=0, unit="batches", help="in training, write all changed rows back each so many batches; 0: never "
        "(granularity batch)", group=_CACHE,
    )  # fmt: skip
    cache_warmup: str = setting(
        "0", help="the first requests fill the cache and are not counted: a number, or a share (0.1, 10%)",
        group=_REPORT, kind="identity",
    )  # fmt: skip
    windows: int = setting(
        20, minimum=1, maximum=100_000, help="equal parts of the trace whose hit ratios are reported one by one",
        group=_REPORT, kind="free",
    )  # fmt: skip
    save_mask: bool = setting(
        False, help="keep the hit (1) or miss (0) of every request, as an npy file", group=_REPORT, kind="free"
    )
    fast_bandwidth: float | None = setting(
        None, minimum=1.0, unit="B/s", help="of the memory that holds the cache; with the slow one's, times are "
        "estimated", group=_MEMORIES,
    )  # fmt: skip
    slow_bandwidth: float | None = setting(
        None, minimum=1.0, unit="B/s", help="of the memory (or link, or disk) that holds all rows", group=_MEMORIES
    )
    fast_latency_s: float = setting(
        0.0, minimum=0.0, unit="s", help="of one access to the fast memory", group=_MEMORIES
    )
    slow_latency_s: float = setting(
        0.0, minimum=0.0, unit="s", help="of one access to the slow memory", group=_MEMORIES
    )
    outstanding: int = setting(1024, minimum=1, help="accesses that each memory serves at once", group=_MEMORIES)

    generator: GeneratorName = setting(
        "zipf", help="makes the trace when no --data is given", group=_BUILT_IN, kind="identity"
    )
    requests: int = setting(
        1_000_000, minimum=1, help="lookups of the built-in trace", group=_BUILT_IN, kind="identity"
    )
    generator_settings: tuple[str, ...] = setting(
        (), help="more of the generator, like rows=100000,exponent=0.8,tables=4,pooling=10", group=_BUILT_IN,
        kind="identity",
    )  # fmt: skip

    def __post_init__(self) -> None:
        self.size()
        self.warmup_requests(1)
        if self.policy_file is None:
            object.__setattr__(self, "policy", self._known_policy())
        batched = self.granularity == "batch"
        if not batched:
            for name, least in (("in_flight", 1), ("look_ahead", 0), ("flush_every", 0)):
                if getattr(self, name) != least:
                    raise UsageError(
                        f"cachesim: {name} = {getattr(self, name)} counts batches, and lookups are one by one",
                        hint="add --granularity batch",
                    )
        if (batched or self.ways is not None) and self.policy not in BATCH_POLICIES:
            what = "by de-duplicated batches" if batched else f"in sets of {self.ways} ways"
            raise UsageError(
                f"cachesim: policy {self.policy!r} cannot be simulated {what}",
                hint="those that can: " + ", ".join(BATCH_POLICIES),
            )
        if self.flush_every and not self.training:
            raise UsageError("cachesim: flush_every writes changed rows back, and none change", hint="add --training")
        if (self.fast_bandwidth is None) != (self.slow_bandwidth is None):
            raise UsageError("cachesim: times need both fast_bandwidth and slow_bandwidth, one is given")
        self.generator_values()

    def size(self) -> Capacity:
        """The capacity as a size. UsageError where it is none."""
        if "," in self.capacity:
            raise UsageError(
                f"cachesim: capacity {self.capacity!r} is more than one, and a cell has one",
                hint="bench run makes a cell of each; so does bench sweep --over capacity=…",
            )
        return parse_capacity(self.capacity)

    def warmup_requests(self, requests: int) -> int:
        """Requests at the start that are not counted, of a trace of so many. UsageError where it is no such text."""
        text = self.cache_warmup.strip()
        try:
            if text.endswith("%") or "." in text:
                share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
                if 0.0 <= share < 1.0:
                    return int(share * requests)
            elif int(text.replace("_", "")) >= 0:
                return int(text.replace("_", ""))
        except ValueError:
            pass
        raise UsageError(
            f"cachesim: cache_warmup = {self.cache_warmup!r} is neither a number of requests nor a share below 1",
            hint="like 100000, 0.1 or 10%",
        )

    def generator_values(self) -> dict[str, int | float | str]:
        """`generator_settings` by name. UsageError where one is not like rows=1000."""
        found: dict[str, int | float | str] = {}
        for text in self.generator_settings:
            name, equals, value = text.partition("=")
            if not equals or not name or not value:
                raise UsageError(f"cachesim: generator_settings holds {text!r}, expected NAME=VALUE like rows=100000")
            if name in ("requests", "seed"):
                raise UsageError(f"cachesim: generator_settings sets {name!r}", hint="use --requests and --data-seed")
            found[name] = _number(value)
        return found

    def _known_policy(self) -> str:
        if "," in self.policy or self.policy.lower() == "all":
            raise UsageError(
                f"cachesim: policy {self.policy!r} is more than one, and a cell has one",
                hint="bench run makes a cell of each; so does bench sweep --over policy=…",
            )
        return registry.policy(self.policy).name


def trace_key(config: CacheSimConfig) -> str:
    """What decides the trace, `--data` and `--data-seed` apart: cells that agree in it may share a worker."""
    names = (
        *("format", "schema", "batch_size", "limit", "id_type", "columns", "table_column", "delimiter", "record"),
        *("field", "frequency_threshold", "generator", "requests", "generator_settings"),
    )
    return json.dumps([str(getattr(config, name)) for name in names])


def split_policies(text: str) -> list[str]:
    """The policies of a list; `all` stands for every shipped one. Names of a policy file are taken as they are."""
    found: list[str] = []
    for word in split_words(text):
        found += [policy.name for policy in registry.select("all")] if word.lower() == "all" else [word]
    return list(dict.fromkeys(found))


def split_words(text: str) -> list[str]:
    """The parts of a comma-separated text, each once."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


DESCRIPTION = Description(
    name="cachesim",
    version=1,
    summary="Replay embedding lookups through a cache of any policy and size, exactly",
    config=CacheSimConfig,
    workload="workloads.cachesim.workload:CacheSimWorkload",
    modes={"simulate": Mode("pass", "replay the trace once through one cache", ("compute",), sample="requests")},
    metrics=(
        MetricSpec("hit_ratio", "", "higher", "primary", "exact", "lookups whose row was in the cache, of all counted"),
        MetricSpec("unique_hit_ratio", "", "higher", "gate", "exact", "the same over the distinct rows of each batch"),
        MetricSpec("group_hit_ratio", "", "higher", "info", "exact", "samples whose rows all hit"),
        MetricSpec("table_hit_ratio", "", "higher", "info", "exact", "hit_ratio of one table"),
        MetricSpec("table_unique_hit_ratio", "", "higher", "info", "exact", "unique_hit_ratio of one table"),
        MetricSpec("hit_ratio_lowest_window", "", "higher", "info", "exact", "the worst window of the trace"),
        MetricSpec("hit_ratio_highest_window", "", "none", "info", "exact", "the best window of the trace"),
        MetricSpec("throughput", "requests/s", "higher", "info", "ratio", "requests replayed over seconds"),
        MetricSpec("requests_counted", "requests", "none", "info", "exact", "behind the warm-up"),
        MetricSpec("misses", "requests", "lower", "info", "exact", "lookups whose row was not in the cache"),
        MetricSpec("insertions", "rows", "none", "info", "exact", "rows brought into the cache"),
        MetricSpec("evictions", "rows", "lower", "info", "exact", "rows that left the cache for another"),
        MetricSpec("write_backs", "rows", "lower", "info", "exact", "changed rows that left, or were flushed"),
        MetricSpec("capacity_rows", "rows", "none", "info", "exact", "lines of all caches together"),
        MetricSpec("capacity_bytes", "B", "none", "info", "exact", "those times their row bytes"),
        MetricSpec("bytes_fetched", "B", "lower", "info", "exact", "from the slow memory"),
        MetricSpec("bytes_written", "B", "lower", "info", "exact", "to the slow memory"),
        MetricSpec("cache_calls", "batches", "none", "info", "exact", "FBGEMM's counter 0: batches looked up"),
        MetricSpec("requested_indices", "rows", "none", "info", "exact", "FBGEMM's counter 1: all lookups"),
        MetricSpec("unique_indices", "rows", "none", "info", "exact", "FBGEMM's counter 2: distinct rows of batches"),
        MetricSpec("unique_misses", "rows", "lower", "info", "exact", "FBGEMM's counter 3: those not in the cache"),
        MetricSpec("conflict_unique_misses", "rows", "lower", "info", "exact", "FBGEMM's counter 4: no line was free"),
        MetricSpec("conflict_misses", "requests", "lower", "info", "exact", "FBGEMM's counter 5: lookups of those"),
        MetricSpec("estimated_s", "s", "lower", "info", "exact", "time of the lookups by the two-memory model"),
        MetricSpec("estimated_fast_s", "s", "lower", "info", "exact", "of which the fast memory"),
        MetricSpec("estimated_slow_s", "s", "lower", "info", "exact", "of which the slow memory"),
        MetricSpec("estimated_speedup", "", "higher", "info", "exact", "over all rows in the slow memory"),
        MetricSpec("compile_s", "s", "lower", "info", "ratio", "compiling the engine, or loading it"),
        MetricSpec("next_use_s", "s", "lower", "info", "ratio", "finding every next use, for policies that look ahead"),
    ),
    run_defaults={"*": {"repeats": 1, "warmup": "none"}},
    setup_key=trace_key,
    axes={"policy": split_policies, "capacity": split_words},
    aliases={"trace": "data", "size": "capacity"},
    many_files=True,
    figure=FigureSpec(
        metric="hit_ratio",
        over="capacity",
        at="capacity_rows",
        title="Miss ratio by cache size",
        x_label="cache size in rows",
        y_label="miss ratio",
        log_x=True,
        complement=True,
    ),
    install="pip install 'recbench[cache]'",
)
