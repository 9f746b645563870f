"""Reads Criteo click logs as lookups: each of the 26 categorical columns is a table, each line a sample.

Without a threshold every hash is a row and a missing field one more (-1). With `frequency_threshold` the columns are
encoded as DLRM trains on them (`workloads.common.criteo_data`): rare ids share row 0, a missing field is row 1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workloads.cachesim.traces.builder import Column, Samples
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import Schema, Table
from workloads.common.criteo import CATEGORY_NAMES, iterate_criteo
from workloads.common.criteo_data import PreprocessingRules, Split, prepare_criteo

MISSING = -1  # no hash is negative
BLOCK_ROWS = 1 << 16


def read_criteo_lookups(path: Path, options: ReadOptions) -> Iterator[Samples]:
    """Blocks of samples of a Criteo text file, plain or gzip."""
    if options.frequency_threshold is not None:
        yield from _encoded(path, options, options.frequency_threshold)
        return
    schema = Schema(tuple(Table(name) for name in CATEGORY_NAMES))
    for block in iterate_criteo(path, progress=options.progress):
        ids = block.ids.astype(np.int64)
        ids[block.missing_ids] = MISSING
        if len(block):
            yield Samples([Column(ids[:, column]) for column in range(ids.shape[1])], len(block), schema)


def _encoded(path: Path, options: ReadOptions, threshold: int) -> Iterator[Samples]:
    rules = PreprocessingRules(frequency_threshold=threshold, split=Split.parse("1:0:0"))
    if options.scratch is not None:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="recbench-criteo-", dir=options.scratch) as folder:
        data = prepare_criteo(path, rules, cache_root=Path(folder), progress=options.progress)
        schema = Schema(tuple(Table(name, rows) for name, rows in zip(CATEGORY_NAMES, data.table_rows, strict=True)))
        for start in range(0, len(data.rows), BLOCK_ROWS):
            ids = np.array(data.rows.ids[start : start + BLOCK_ROWS], np.int64)
            columns = [Column(ids[:, column]) for column in range(ids.shape[1])]
            yield Samples(columns, ids.shape[0], schema, row_numbers=True)
