"""Readers of NumPy files: npy, the npz that this package writes, and npz of other hands.

An npz may hold a trace of ours, `indices`/`offsets`/`lengths` (as Meta's files), `keys`/`values`/`lengths` (a
KeyedJaggedTensor), `X_cat` and `counts` (what facebookresearch/dlrm prepares from Criteo data), `ids`, or one array
without a name.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.api import DataError
from workloads.cachesim.traces.builder import Block, Column, Requests, Samples, Values
from workloads.cachesim.traces.factorize import Texts
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.schema import Schema, Table
from workloads.cachesim.traces.trace import Keys, Trace

FORMAT_NAME = "recbench trace"
FORMAT_VERSION = 1
BLOCK_REQUESTS = 1 << 21

Integers = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


def read_npy(path: Path, options: ReadOptions) -> Iterator[Block]:
    """A vector of ids, or a matrix [n, T] in which each column is a table."""
    array = _load(path)
    if isinstance(array, dict):
        raise DataError(f"{path} is an npz archive, expected an npy file", hint="call it .npz")
    yield from _blocks_of_array(array, str(path), options)


def read_npz(path: Path, options: ReadOptions) -> Iterator[Block]:
    """What an npz of other hands holds. Traces of ours are read by `load_trace`."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError(f"{path} is an npy file, expected an npz archive", hint="call it .npy")
    names = set(arrays)
    if {"indices", "offsets", "lengths"} <= names:
        yield from table_major(arrays["indices"], arrays["offsets"], arrays["lengths"], str(path), options)
    elif {"keys", "values"} <= names and names & {"lengths", "offsets"}:
        yield from jagged(arrays, str(path), options)
    elif "X_cat" in names:
        yield from _prepared(arrays, str(path), options)
    elif names == {"arr_0"}:  # np.savez without a name
        yield from _blocks_of_array(arrays["arr_0"], f"{path}, arr_0", options)
    elif "ids" in names:
        yield from _blocks_of_array(arrays["ids"], f"{path}, ids", options)
    else:
        raise DataError(
            f"{path} holds the arrays {', '.join(sorted(names)) or 'none'}, none of which is known",
            hint="expected a trace written by this program, indices/offsets/lengths, keys/values/lengths, X_cat, ids, "
            "or one array without a name",
        )


def is_own_npz(path: Path) -> bool:
    """Whether an npz was written by `write_npz`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "recbench_trace.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def load_trace(path: Path) -> Trace:
    """A trace that `write_npz` wrote. Raises DataError where it is damaged or of a newer format."""
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise DataError(f"{path} is an npy file, expected an npz archive")
    try:
        about = json.loads(arrays["recbench_trace"].tobytes())
        if about["format"] != FORMAT_NAME or about["version"] > FORMAT_VERSION:
            raise DataError(
                f"{path} is version {about['version']} of the format, this program reads up to {FORMAT_VERSION}",
                hint="update recbench",
            )
        text = arrays.get("key_text")
        keys = Keys(
            arrays["key_integers"], tuple(bool(each) for each in about["textual"]), text, arrays.get("key_text_offsets")
        )
        trace = Trace(
            ids=arrays["ids"],
            row_base=arrays["row_base"],
            schema=Schema.from_json(about["tables"]),
            keys=keys,
            bag_offsets=arrays.get("bag_offsets"),
            batch_starts=arrays.get("batch_starts"),
            source=about["source"],
        )
    except DataError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is a damaged trace: {error}") from error
    if trace.ids.dtype != np.int32 or (
        trace.requests and (int(trace.ids.min()) < 0 or int(trace.ids.max()) >= trace.unique)
    ):
        raise DataError(f"{path} is a damaged trace: ids lie outside its {trace.unique} rows")
    for name, ends in (("bag_offsets", trace.bag_offsets), ("batch_starts", trace.batch_starts)):
        if ends is not None and bool((np.diff(ends) < 0).any()):
            raise DataError(f"{path} is a damaged trace: {name} do not ascend")
    return trace


def table_major(
    indices: Array, offsets: Array, lengths: Array, place: str, options: ReadOptions, *, names: Sequence[str] = ()
) -> Iterator[Samples]:
    """Blocks of a batch that lies table by table (dlrm_datasets, KeyedJaggedTensor), as one batch.

    indices [n] row numbers, offsets [T * B + 1], lengths [T, B], which must agree. Only a piece is held at a time, so
    the arrays may be mapped.
    """
    if lengths.ndim != 2 or lengths.size == 0:
        raise DataError(f"{place}: lengths has the shape {list(lengths.shape)}, expected [tables, samples]")
    for name, array in (("indices", indices), ("offsets", offsets), ("lengths", lengths)):
        if array.dtype.kind not in "iu":
            raise DataError(f"{place}: {name} holds {array.dtype}, expected integers")
    tables, samples = lengths.shape
    if indices.ndim != 1 or offsets.shape != (tables * samples + 1,):
        raise DataError(
            f"{place}: offsets has the shape {list(offsets.shape)}, expected [{tables * samples + 1}] for "
            f"{tables} tables of {samples} samples"
        )
    if int(offsets[0]) != 0 or int(offsets[-1]) != indices.size:
        raise DataError(
            f"{place}: offsets go from {int(offsets[0])} to {int(offsets[-1])}, expected 0 to the "
            f"{indices.size} indices",
            hint="the file is cut short or damaged",
        )
    schema = Schema(tuple(Table(name) for name in names)) if names else None
    piece = max(1, min(samples, BLOCK_REQUESTS * samples // max(indices.size, 1)))
    for start in range(0, samples, piece):
        stop = min(start + piece, samples)
        columns = []
        for table in range(tables):
            bags = offsets[table * samples + start : table * samples + stop + 1].astype(np.int64)
            own = np.asarray(lengths[table, start:stop], np.int64)
            wrong = np.flatnonzero(np.diff(bags) != own)
            if wrong.size:
                at = int(wrong[0])
                raise DataError(
                    f"{place}: table {table}, sample {start + at} has {int(own[at])} lookups by lengths and "
                    f"{int(bags[at + 1] - bags[at])} by offsets"
                )
            if own.size and int(own.min()) < 0:
                raise DataError(f"{place}: table {table} has a bag of {int(own.min())} lookups")
            rows = np.asarray(indices[bags[0] : bags[-1]], np.int64)
            check_row_numbers(rows, f"{place}: table {names[table] if names else table}")
            columns.append(Column(rows, own))
        if options.progress is not None:
            options.progress(stop, samples)
        yield Samples(columns, stop - start, schema, ends_batch=stop == samples, row_numbers=True)


def jagged(tensors: Mapping[str, Any], place: str, options: ReadOptions) -> Iterator[Samples]:
    """A KeyedJaggedTensor: `keys` (names), `values` [n], and `lengths` [T * B] or `offsets` [T * B + 1], key-major."""
    names = [str(name) for name in tensors["keys"]]
    values = np.asarray(tensors["values"])
    if not names or len(set(names)) != len(names):
        raise DataError(f"{place}: keys {names[:5]} must be distinct names, one for each table")
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise DataError(f"{place}: values holds {values.dtype} of shape {list(values.shape)}, expected integers [n]")
    if tensors.get("lengths") is not None:
        lengths = np.asarray(tensors["lengths"])
        if lengths.dtype.kind not in "iu":
            raise DataError(f"{place}: lengths holds {lengths.dtype}, expected integers")
        offsets = np.concatenate(([0], np.cumsum(lengths.ravel(), dtype=np.int64)))
    elif tensors.get("offsets") is not None:
        offsets = np.asarray(tensors["offsets"])
        if offsets.dtype.kind not in "iu":
            raise DataError(f"{place}: offsets holds {offsets.dtype}, expected integers")
        lengths = np.diff(offsets.astype(np.int64))
    else:
        raise DataError(f"{place} has neither lengths nor offsets")
    if lengths.size == 0 or lengths.size % len(names):
        raise DataError(
            f"{place}: {lengths.size} lengths are no multiple of the {len(names)} keys",
            hint="lengths stand key after key, one for each sample",
        )
    if int(lengths.min()) < 0:
        raise DataError(f"{place}: a bag has {int(lengths.min())} lookups")
    yield from table_major(values, offsets, lengths.reshape(len(names), -1), place, options, names=names)


def check_row_numbers(rows: Integers, place: str) -> None:
    """Raises DataError where a row number is negative."""
    if rows.size and int(rows.min()) < 0:
        at = int(np.flatnonzero(rows < 0)[0])
        raise DataError(
            f"{place}: the row number {int(rows[at])} is negative", hint="row numbers count from 0 in this format"
        )


def _prepared(arrays: Mapping[str, Array], place: str, options: ReadOptions) -> Iterator[Block]:
    """`X_cat` [n, T]: rows of each table, whose sizes are in `counts`."""
    rows = arrays["X_cat"]
    if rows.ndim != 2 or rows.dtype.kind not in "iu":
        raise DataError(f"{place}: X_cat holds {rows.dtype} of shape {list(rows.shape)}, expected integers [n, tables]")
    sizes: list[int | None] = [None] * rows.shape[1]
    if "counts" in arrays:
        if arrays["counts"].shape != (rows.shape[1],):
            raise DataError(f"{place}: counts has {arrays['counts'].size} sizes for {rows.shape[1]} tables")
        sizes = [int(size) for size in arrays["counts"]]
    schema = Schema(tuple(Table(f"C{number}", size) for number, size in enumerate(sizes, 1)))
    for block in _blocks_of_array(rows, f"{place}, X_cat", options, schema=schema):
        assert isinstance(block, Samples)
        for table, column in enumerate(block.columns):
            assert not isinstance(column.values, Texts)
            check_row_numbers(column.values, f"{place}, X_cat: table C{table + 1}")
        yield Samples(block.columns, block.samples, schema, row_numbers=True)


def _blocks_of_array(
    array: Array, place: str, options: ReadOptions, *, schema: Schema | None = None
) -> Iterator[Block]:
    if array.dtype.kind not in "iuSU":
        raise DataError(f"{place} holds {array.dtype}, expected integers or strings")
    if array.size == 0:
        raise DataError(f"{place} is empty", hint="expected at least one id")
    if array.ndim not in (1, 2):
        raise DataError(f"{place} has the shape {list(array.shape)}, expected [n] or [n, tables]")
    tables = 1 if array.ndim == 1 else array.shape[1]
    step = max(1, BLOCK_REQUESTS // tables)
    for start in range(0, array.shape[0], step):
        part = array[start : start + step]
        if array.ndim == 1:
            yield Requests(_values(part))
        else:
            yield Samples([Column(_values(part[:, table])) for table in range(tables)], part.shape[0], schema)
        if options.progress is not None:
            options.progress(min(start + step, array.shape[0]), array.shape[0])


def _values(part: Array) -> Values:
    if part.dtype.kind in "SU":
        encoded = np.char.encode(part, "utf-8") if part.dtype.kind == "U" else part
        width = encoded.dtype.itemsize
        starts = np.arange(encoded.size, dtype=np.int64) * width
        blob = np.frombuffer(np.ascontiguousarray(encoded).tobytes(), np.uint8)
        return Texts(blob, starts, starts + np.char.str_len(encoded))
    if part.dtype.kind == "u" and part.dtype.itemsize == 8:
        return np.ascontiguousarray(part, np.uint64).view(np.int64)  # the same 64 bits: ids, not quantities
    return np.ascontiguousarray(part, np.int64)


def _load(path: Path) -> Array | dict[str, Array]:
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                file.seek(0)
                with np.load(file, allow_pickle=False) as loaded:
                    return {name: loaded[name] for name in loaded.files}
        mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped
    except ValueError as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{path} holds pickled objects or is no NumPy file, and was not opened",
                hint="save plain arrays of integers; object arrays are never unpickled",
            ) from error
        raise DataError(
            f"{path} cannot be read as NumPy arrays: {error}", hint="it is cut short, or of another format"
        ) from error
    except (OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(
            f"{path} cannot be read as NumPy arrays: {error}", hint="it is cut short, or of another format"
        ) from error
