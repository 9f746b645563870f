"""Reads Parquet, the form of production logs: a row is a sample, a column a table, a list its bag of lookups.

A column of plain values is one lookup a sample (none where it is null). Needs `pyarrow`, which is imported only here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import DataError, UnavailableError
from harness.errors import did_you_mean
from workloads.cachesim.traces.builder import Column, Samples, Values
from workloads.cachesim.traces.factorize import Texts
from workloads.cachesim.traces.files import check_file
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import Schema, Table

BLOCK_ROWS = 1 << 15


def read_parquet(path: Path, options: ReadOptions) -> Iterator[Samples]:
    """Blocks of samples; without `columns` all columns of lists, else all of integers or strings."""
    check_file(path)
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UnavailableError(
            f"{path} is a Parquet file, and pyarrow is not installed", hint="pip install 'recbench[traces]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = _columns(arrow, file.schema_arrow, path, options)
            schema = Schema(tuple(Table(name) for name in names))
            total, done = int(file.metadata.num_rows), 0
            if total == 0:
                raise DataError(f"{path} has no row")
            for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=list(names)):
                columns = [
                    _column(arrow, batch.column(batch.schema.get_field_index(name)), name, path) for name in names
                ]
                done += int(batch.num_rows)
                if options.progress is not None:
                    options.progress(done, total)
                yield Samples(columns, int(batch.num_rows), schema)
    except (arrow.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}",
            hint="it is cut short, damaged or of another format",
        ) from error


def _columns(arrow: Any, schema: Any, path: Path, options: ReadOptions) -> tuple[str, ...]:
    names: list[str] = list(schema.names)
    if options.columns:
        for name in options.columns:
            if name not in names:
                raise DataError(f"{path} has no column {name!r}", hint=did_you_mean(name, names))
            kind = schema.field(name).type
            if not (_is_ids(arrow, kind) or (_is_list(arrow, kind) and _is_ids(arrow, kind.value_type))):
                raise DataError(f"{path}: column {name!r} holds {kind}, expected integers, strings or lists of them")
        return options.columns
    lists = [each.name for each in schema if _is_list(arrow, each.type) and _is_ids(arrow, each.type.value_type)]
    plain = [each.name for each in schema if _is_ids(arrow, each.type)]
    if not lists and not plain:
        raise DataError(f"{path} has no column of integers, strings or lists of them, but {', '.join(names[:8])}")
    return tuple(lists or plain)


def _is_list(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_ids(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    if types.is_dictionary(kind):
        return _is_ids(arrow, kind.value_type)
    return bool(
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )


def _column(arrow: Any, array: Any, name: str, path: Path) -> Column:
    compute = importlib.import_module("pyarrow.compute")
    if _is_list(arrow, array.type):
        lengths = compute.fill_null(compute.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        values = array.flatten()
        if values.null_count:
            raise DataError(f"{path}: a list in column {name!r} holds a null", hint="leave missing ids out of the list")
    else:
        lengths = array.is_valid().to_numpy(zero_copy_only=False)
        values = array.drop_null()
    return Column(_values(arrow, values), lengths.astype(np.int64))


def _values(arrow: Any, values: Any) -> Values:
    if arrow.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if arrow.types.is_integer(values.type):
        numbers: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
        if numbers.dtype == np.uint64:
            return numbers.view(np.int64)
        return numbers.astype(np.int64)
    data = values.cast(arrow.large_binary())
    _, offsets, content = data.buffers()
    bounds = np.frombuffer(offsets, np.int64)[data.offset : data.offset + len(data) + 1]
    blob = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, np.uint8)
    return Texts(blob, bounds[:-1].copy(), bounds[1:].copy())
