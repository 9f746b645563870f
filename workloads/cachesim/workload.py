"""Cache simulation as the harness runs it: a pass over the trace through one cache, then what its hits amount to.

bench run cachesim --data lookups.npz --policy lru --capacity 10%

The replay alone is timed. Reading, next uses and compilation belong to the set-up; ratios are counted from the hit mask
behind the clock, so that they cost the replay nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import BaseWorkload, Context, Metric, Part, RunFailed, Step, UsageError
from workloads.cachesim import source
from workloads.cachesim.capacity import table_rows, unified_rows
from workloads.cachesim.config import CacheSimConfig, trace_key
from workloads.cachesim.engine import batch_cache
from workloads.cachesim.engine import tally as tallies
from workloads.cachesim.engine.advice import advice
from workloads.cachesim.engine.batch_cache import BatchCache, needs_next_batch, next_batches
from workloads.cachesim.engine.layout import Layout, make_layout
from workloads.cachesim.engine.report import Moves, measure
from workloads.cachesim.engine.request_cache import RequestCache, Stream, table_streams, whole_stream
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.plugin import load_policies
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.policies.rows import checked_rows
from workloads.cachesim.policies.simulate import prepare
from workloads.cachesim.traces.trace import Trace
from workloads.common.memory import available_bytes

PIECE_REQUESTS = 1 << 20  # of a step, so that a person is heard soon and progress is seen
SHORT = 10  # a trace with fewer counted requests a line says little about a cache in steady state
MASK_NAME = "hits.npy"
TABLES_SHOWN = 100  # labelled metrics are kept for so many tables


class CacheSimWorkload(BaseWorkload):
    """One repeat of one cell."""

    _context: Context
    _config: CacheSimConfig
    _trace: Trace
    _mask: npt.NDArray[np.uint8]
    _policy: Policy
    _capacities: tuple[int, ...]
    _cache: BatchCache | RequestCache

    def __init__(self) -> None:
        self._stops: Iterator[int] = iter(())
        self._skip = 0
        self._done = 0
        self._key = ""

    def setup(self, context: Context) -> None:
        config: CacheSimConfig = context.config
        self._context, self._config = context, config
        if context.world_size != 1:
            raise UsageError(f"cachesim runs in one process, not in {context.world_size}", hint="leave --ranks at 1")
        self._policy = self._find_policy()
        seed = context.data_seed
        self._key = f"{context.data} {seed} {trace_key(config)}"
        self._trace = trace = self._shared("trace", self._load)
        context.identify(self._shared("identity", lambda: source.identify(trace, config, context.data, seed)))
        if trace.requests == 0:
            raise UsageError(f"{trace.source} holds no request, so there is nothing to simulate")
        self._skip = self._warmup()
        self._capacities = self._sizes()
        if config.fast_bandwidth is not None:
            trace.schema.row_bytes()  # times need bytes: says now what the schema lacks
        batched = config.granularity == "batch" or config.ways is not None
        self._check_memory(batched)
        with context.timer("compile"):
            compiled = tallies.prepare() | (batch_cache.prepare() if batched else prepare(self._policy))
        if compiled:
            context.log("the engine was compiled for this machine; the next run loads it")
        self._mask = np.zeros(trace.requests, np.uint8)
        self._cache = self._batch_cache() if batched else self._request_cache()
        self._warn()

    def step(self) -> Step:
        if isinstance(self._cache, RequestCache):
            samples = self._cache.step()
        else:
            stop = next(self._stops)
            samples = self._cache.advance(stop, self._mask)
            starts = self._batch_starts()
            if 0 < int(starts[stop]) == self._skip:
                self._cache.reset_totals()
        self._done += samples
        return Step(samples, done=self._done == self._trace.requests)

    def evaluate(self, part: Part) -> Sequence[Metric]:
        if self._done != self._trace.requests:
            raise RunFailed(
                f"the pass ended after {self._done:,} of {self._trace.requests:,} requests, so nothing was counted",
                hint="a shorter trace is --limit",
            )
        trace, config = self._trace, self._config
        rows = self._rows()
        counted = tallies.tally(trace, self._mask, skip=self._skip, windows=config.windows, rows=rows)
        metrics, series = measure(
            trace,
            config,
            counted,
            self._moves(),
            whole=tallies.whole_samples(trace, self._mask, self._skip),
            lines=self._lines(),
            tables_shown=TABLES_SHOWN,
        )
        ends = [float(edge) for edge in counted.edges[1:]]
        for name, values in series.items():
            self._context.series(name, "request", "", ends, values)
        if trace.tables > TABLES_SHOWN:
            self._context.log(f"hit ratios of the {TABLES_SHOWN} tables with most requests are kept of {trace.tables}")
        if config.save_mask:
            path = self._context.output_dir / MASK_NAME
            _save(path, self._mask)
            self._context.artifact("hit mask", path)
        return metrics

    def epoch_samples(self) -> int | None:
        return self._trace.requests

    def _shared(self, what: str, make: Any) -> Any:
        return self._context.shared(f"{what} of {self._key}", make)

    def _load(self) -> Trace:
        context = self._context

        def progress(done: int, total: int) -> None:
            context.progress(done, total, "of the trace")

        def waiting() -> None:
            context.progress(0, None, "of the trace")  # a sign of life, while another worker reads it

        return source.load(self._config, context.data, context.data_seed, context.cache_dir, progress, waiting)

    def _find_policy(self) -> Policy:
        extra = () if self._config.policy_file is None else load_policies(self._config.policy_file)
        return registry.policy(self._config.policy, extra)

    def _warmup(self) -> int:
        """Requests not counted; by batches the cut lies between two of them."""
        trace, config = self._trace, self._config
        skip = config.warmup_requests(trace.requests)
        if config.granularity == "batch":
            starts = self._batch_starts()
            skip = int(starts[np.searchsorted(starts, skip)]) if skip <= trace.requests else skip
        if skip >= trace.requests:
            raise UsageError(
                f"cache_warmup = {config.cache_warmup} leaves none of the {trace.requests:,} requests to count",
                hint="choose less of it",
            )
        return skip

    def _sizes(self) -> tuple[int, ...]:
        size, tables = self._config.size(), source.tables_of(self._trace)
        return (unified_rows(size, tables),) if self._config.caches == "unified" else table_rows(size, tables)

    def _batch_starts(self) -> npt.NDArray[np.int64]:
        """Where batches begin: those of the trace, or every request."""
        trace = self._trace
        if self._config.granularity == "request":
            found: npt.NDArray[np.int64] = self._shared(
                "requests", lambda: np.arange(trace.requests + 1, dtype=np.int64)
            )
            return found
        if trace.batch_starts is None:
            raise UsageError(
                f"{trace.source} does not tell batches, and lookups were asked for by batch",
                hint="say how many samples (or requests) make one: --batch-size 2048",
            )
        return trace.batch_starts

    def _rows(self) -> Any:
        return self._shared("rows", lambda: checked_rows(self._trace.ids, self._trace.unique))

    def _batch_cache(self) -> BatchCache:
        trace, config = self._trace, self._config
        starts = self._batch_starts()
        known = None
        if needs_next_batch(self._policy.name, config.look_ahead):
            with self._context.timer("next_use"):
                known = self._shared(
                    f"next batches ({config.granularity})", lambda: next_batches(self._rows(), starts, trace.unique)
                )
        cache = BatchCache(
            self._rows(),
            starts,
            trace.table_of_row(),
            self._layout(),
            self._policy.name,
            in_flight=config.in_flight,
            look_ahead=config.look_ahead,
            training=config.training,
            flush_every=config.flush_every,
            next_batch=known,
        )
        cuts = np.arange(PIECE_REQUESTS, trace.requests, PIECE_REQUESTS)
        stops = {int(each) for each in np.searchsorted(starts, cuts)} | {int(np.searchsorted(starts, self._skip))}
        self._stops = iter(sorted((stops | {starts.size - 1}) - {0}))
        return cache

    def _layout(self) -> Layout:
        up = self._config.size().kind == "tables"
        return make_layout(self._trace, self._capacities, ways=self._config.ways, whole_sets=up)

    def _request_cache(self) -> RequestCache:
        unified = self._config.caches == "unified"
        streams: list[Stream] = self._shared(
            f"streams ({self._config.caches})",
            lambda: [whole_stream(self._trace, self._rows())] if unified else table_streams(self._trace),
        )
        sizes = self._capacities if unified else [size for size in self._capacities if size]
        following = None
        if self._policy.looks_ahead:
            with self._context.timer("next_use"):
                known = self._shared(
                    f"next uses ({self._config.caches})",
                    lambda: [next_uses(stream.rows, stream.n_rows) for stream in streams],
                )
            following = known.__getitem__
        return RequestCache(
            streams,
            sizes,
            self._policy,
            warmup=self._skip,
            seed=self._context.seed,
            next_use=following,
            mask=self._mask,
        )

    def _lines(self) -> list[int]:
        """Lines of each cache that can be in use."""
        if isinstance(self._cache, BatchCache):
            return list(self._layout().cache_lines)
        present = [self._trace.unique] if self._config.caches == "unified" else self._trace.table_unique().tolist()
        return [min(size, int(rows)) for size, rows in zip(self._capacities, present, strict=True)]

    def _moves(self) -> Moves:
        cache = self._cache
        if isinstance(cache, BatchCache):
            return Moves.of_batches(cache.totals, cache.calls, counters=self._config.granularity == "batch")
        tables = [0] if self._config.caches == "unified" else np.flatnonzero(self._trace.table_unique()).tolist()
        return Moves.of_requests(cache.insertions, cache.evictions, tables, self._config.caches == "unified")

    def _check_memory(self, batched: bool) -> None:
        """UsageError before the first large array where the simulation would not fit."""
        trace, config = self._trace, self._config
        lines = min(sum(self._capacities), trace.unique)
        if batched:
            state = batch_cache.state_bytes(trace.unique, lines, trace.requests, config.policy, config.look_ahead) + (
                8 * trace.requests if config.granularity == "request" else 0
            )
        else:
            state = registry.state_bytes(self._policy, trace.unique, lines, trace.requests)
            state += 20 * trace.requests if config.caches == "per-table" else 0
        needed = state + 5 * trace.requests + 8 * trace.unique  # the mask, ids in memory, counting
        free = available_bytes()
        if needed > free:
            raise UsageError(
                f"this simulation needs about {needed / 1e9:.1f} GB beside its trace, {free / 1e9:.1f} GB are free",
                hint="replay a part (--limit), or a sample of the rows",
            )

    def _warn(self) -> None:
        trace, context = self._trace, self._context
        lines = self._lines()
        counted = trace.requests - self._skip
        warnings = []
        unused = sum(self._capacities) - trace.unique
        if unused > 0:
            warnings.append(
                f"the capacity of {sum(self._capacities):,} rows is beyond the {trace.unique:,} rows of the trace: "
                f"{unused:,} lines stay empty"
            )
        elif counted < SHORT * sum(lines):
            warnings.append(
                f"the trace is short for this cache: {counted:,} {'request is' if counted == 1 else 'requests are'} "
                f"counted for {sum(lines):,} {'line' if sum(lines) == 1 else 'lines'}, so "
                "filling the cache weighs heavily in the hit ratio"
            )
        for text in warnings:
            context.log(text, "warning")
        for name in ("policy_file", "schema"):
            path = getattr(self._config, name)
            if path is not None:  # the path alone does not say that the text has changed
                context.engine(**{f"{name}_sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
        context.engine(
            unique_rows=trace.unique,
            warmup_requests=self._skip,
            settings_to_paste=self._advice(),
            warnings=warnings,
        )

    def _advice(self) -> list[str]:
        config = self._config
        return advice(
            self._policy.name,
            sum(self._lines()),
            self._trace.schema.table_rows,
            unified=config.caches == "unified",
            ways=config.ways,
            in_flight=config.in_flight,
        )


def _save(path: Any, mask: npt.NDArray[np.uint8]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, mask, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
