"""The trace of a run, read from `--data` (files, folders or patterns, of one format) or generated; its identity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.api import DataIdentity, files_named
from workloads.cachesim.capacity import Tables
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.generators.registry import generate_from, make_spec
from workloads.cachesim.generators.spec import identity as generated_identity
from workloads.cachesim.reading import ReadSettings
from workloads.cachesim.traces.formats import open_trace
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import read_schema
from workloads.cachesim.traces.select import first_requests
from workloads.cachesim.traces.trace import Trace

_PIECE = 1 << 24  # bytes hashed at a time

Progress = Callable[[int, int], None]


def load(
    config: CacheSimConfig,
    data: Path | None,
    seed: int,
    cache_root: Path,
    progress: Progress | None,
    waiting: Callable[[], None] | None = None,
) -> Trace:
    """What the settings name. A file is read once and mapped from the cache afterwards; `waiting` is called while
    another worker reads it."""
    if data is None:
        spec = make_spec(config.generator, requests=config.requests, seed=seed, **config.generator_values())
        schema = None if config.schema is None else read_schema(config.schema)
        trace = generate_from(spec, progress)
        if schema is not None:
            trace = replace(trace, schema=schema.apply(trace.schema))
        if config.limit is not None:
            trace = first_requests(trace, config.limit)
        return trace if config.batch_size is None else trace.in_batches_of(config.batch_size)
    options = read_options(config, progress)
    return open_trace(files_named(data), options, cache_root=cache_root, waiting=waiting)


def read_options(config: ReadSettings, progress: Progress | None) -> ReadOptions:
    """The settings as the readers take them."""
    return ReadOptions(
        format=config.format,
        schema=config.schema,
        batch_size=config.batch_size,
        limit=config.limit,
        id_type=config.id_type,
        columns=config.columns,
        table_column=config.table_column,
        delimiter=config.delimiter,
        record=config.record,
        field=config.field,
        frequency_threshold=config.frequency_threshold,
        progress=progress,
    )


def identify(trace: Trace, config: CacheSimConfig, data: Path | None, seed: int) -> DataIdentity:
    """The generator's settings, or a hash of the lookups: equal ones are one trace, whatever file holds them."""
    if data is None and config.limit is None and config.batch_size is None:
        spec = make_spec(config.generator, requests=config.requests, seed=seed, **config.generator_values())
        return generated_identity(spec, trace.requests)
    digest = hashlib.sha256()
    keys = trace.keys
    told = () if keys.text is None else (np.asarray(keys.textual), keys.text, keys.text_offsets)
    for array in (trace.row_base, keys.integers, trace.ids, trace.bag_offsets, trace.batch_starts, *told):
        digest.update(b"-" if array is None else array.dtype.str.encode() + array.size.to_bytes(8, "little"))
        if array is not None:
            step = _PIECE // array.itemsize
            for start in range(0, array.size, step):
                digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return DataIdentity(
        fingerprint=digest.hexdigest(), kind="full", rows=trace.requests, description=trace.source, rules=trace.order
    )


def tables_of(trace: Trace) -> Tables:
    """What capacities are measured against."""
    return Tables(
        names=trace.schema.names,
        unique=[int(each) for each in trace.table_unique()],
        rows=[table.rows for table in trace.schema.tables],
        row_bytes=[
            None if table.dim is None or table.dtype is None else table.row_bytes() for table in trace.schema.tables
        ],
    )
