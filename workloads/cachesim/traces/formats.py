"""The formats a trace can be read from, how a file's format is told, and the one way to read: `read_trace`.

trace = read_trace(["logs/day_*.parquet"], ReadOptions(columns=("user", "item")))
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import DataError, UsageError
from harness.errors import did_you_mean
from workloads.cachesim.traces.array_formats import is_own_npz, load_trace, read_npy, read_npz
from workloads.cachesim.traces.binary_formats import (
    ORACLE_RECORD,
    read_binary,
    read_int64_big_endian,
    read_oracle_general,
    record_type,
)
from workloads.cachesim.traces.builder import Block, TraceBuilder
from workloads.cachesim.traces.criteo_format import read_criteo_lookups
from workloads.cachesim.traces.files import (
    ByteSource,
    estimate_unpacked_bytes,
    find_files,
    inner_suffixes,
    refuse_foreign,
)
from workloads.cachesim.traces.options import ReadOptions
from workloads.cachesim.traces.parquet_format import read_parquet
from workloads.cachesim.traces.schema import Schema, read_schema
from workloads.cachesim.traces.select import concatenate, first_requests
from workloads.cachesim.traces.text_formats import looks_like_recmg, read_csv, read_lines, read_recmg
from workloads.cachesim.traces.torch_formats import read_torch
from workloads.cachesim.traces.trace import Keys, Trace
from workloads.common.cache import CacheEntry, Facts, cached
from workloads.common.criteo_lines import LABELLED_FIELDS, UNLABELLED_FIELDS
from workloads.common.fingerprint import fingerprint_file

READER_VERSION = 1  # raised when the same files give another trace
SNIFFED_BYTES = 1 << 16
BUILDER_BYTES_PER_ROW = 72  # hash slots at their emptiest, and the key


@dataclass(frozen=True, slots=True)
class Format:
    """A form of file. `suffixes` are its endings, packing left out."""

    name: str
    summary: str
    read: Callable[[Path, ReadOptions], Iterator[Block]]
    suffixes: tuple[str, ...] = ()


FORMATS = {
    each.name: each
    for each in (
        Format("lines", "one id a line, number or string", read_lines, (".ids",)),
        Format("csv", "a column of ids; several: each a table", read_csv, (".csv", ".tsv")),
        Format("npz", "a trace of this program, or arrays by their usual names", read_npz, (".npz",)),
        Format("npy", "a vector of ids, or a matrix with a table in each column", read_npy, (".npy",)),
        Format("torch", "Meta's dlrm_datasets, or keys/values/lengths of a KJT", read_torch, (".pt", ".pth")),
        Format("parquet", "a sample a row, a table a column, lists as bags", read_parquet, (".parquet", ".pq")),
        Format("oracleGeneral", "libCacheSim's 24-byte records", read_oracle_general, (".oraclegeneral",)),
        Format("binary", "fixed records of any layout (--record, --field)", read_binary),
        Format("int64-be", "big-endian 64-bit ids (Scarab)", read_int64_big_endian, (".trace",)),
        Format("recmg", 'lines of "table, row * 1000 + table" (RecMG\'s sample.py)', read_recmg),
        Format("criteo", "Criteo click logs: 26 columns, each a table", read_criteo_lookups),
    )
}
_BY_SUFFIX = {suffix: each.name for each in FORMATS.values() for suffix in each.suffixes}


def detect_format(path: Path) -> str:
    """The format of a file by its ending, else by its first bytes. Raises DataError where neither tells."""
    suffixes = inner_suffixes(path)
    for suffix in reversed(suffixes):
        if suffix in _BY_SUFFIX:
            return _BY_SUFFIX[suffix]
    if suffixes and suffixes[-1] == ".bin":
        raise DataError(
            f"{path}: a .bin file may have any layout",
            hint="say which: --format binary --record '<q', or --format oracleGeneral",
        )
    with ByteSource(path) as source:
        head = source.read(SNIFFED_BYTES)
    if not head:
        raise DataError(f"{path} is empty inside its wrapping")
    refuse_foreign(head, path)
    lines = head.split(b"\n")
    first = lines[0]
    if first.count(b"\t") + 1 in (LABELLED_FIELDS, UNLABELLED_FIELDS):
        return "criteo"
    whole = b"\n".join(lines[:-1]) if len(lines) > 1 else head
    if first.count(b",") == 1 and looks_like_recmg(whole):
        return "recmg"
    return "csv" if any(mark in first for mark in (b",", b"\t", b";")) else "lines"


def read_trace(
    patterns: Sequence[str | Path], options: ReadOptions | None = None, *, folder: Path | None = None
) -> Trace:
    """The trace of one or several files, in their order; all of one format.

    With `folder` the requests are written there as they come and the trace is mapped from it. Raises DataError for
    what is wrong in a file, UsageError for options that make no sense, UnavailableError for a missing package.
    """
    options = options if options is not None else ReadOptions()
    _check(options)
    paths = find_files(patterns)
    name = _format(paths, options)
    schema = read_schema(options.schema) if options.schema is not None else None
    source = _source(paths)
    if name == "npz" and any(is_own_npz(path) for path in paths):
        trace = concatenate([load_trace(path) for path in paths], source)
        if options.limit is not None:
            trace = first_requests(trace, options.limit)
        if schema is not None:
            trace = dataclasses.replace(trace, schema=schema.apply(trace.schema))
        return trace if options.batch_size is None else trace.in_batches_of(options.batch_size)
    builder = TraceBuilder(folder=folder, limit=options.limit)
    for path in paths:
        for block in FORMATS[name].read(path, options):
            builder.add(block, str(path))
            if builder.full:
                break
    return builder.finish(source, schema=schema, batch_size=options.batch_size)


def open_trace(
    patterns: Sequence[str | Path],
    options: ReadOptions | None = None,
    *,
    cache_root: Path,
    waiting: Callable[[], None] | None = None,
) -> Trace:
    """As `read_trace`, from the cache when the files were read with the same options before; mapped, not held.

    While another process reads them, `waiting` is called twice a second.
    """
    options = options if options is not None else ReadOptions()
    _check(options)
    paths = find_files(patterns)
    memory = cache_root / "fingerprints.json"
    files = [str(fingerprint_file(path, memory=memory)) for path in paths]
    rules = {
        key: value
        for key, value in dataclasses.asdict(options).items()
        if key not in ("schema", "progress", "scratch", "format")
    }
    rules["format"] = _format(paths, options)
    schema = None
    if options.schema is not None:
        read_schema(options.schema)  # says in a sentence what is wrong with it
        schema = hashlib.sha256(options.schema.read_bytes()).hexdigest()
    text = json.dumps([READER_VERSION, files, rules, schema], sort_keys=True)
    key = "trace-" + hashlib.sha256(text.encode()).hexdigest()[:32]
    scratch = dataclasses.replace(options, scratch=options.scratch or cache_root)

    def build(folder: Path) -> Facts:
        trace = read_trace(paths, scratch, folder=folder)
        for name, array in _arrays(trace).items():
            if array is not None and not (folder / f"{name}.npy").exists():
                np.save(folder / f"{name}.npy", array)
        return {
            "tables": trace.schema.to_json(),
            "textual": list(trace.keys.textual),
            "arrays": [name for name, array in _arrays(trace).items() if array is not None],
        }

    needed = 4 * estimate_requests(paths, options)
    return _mapped(cached(cache_root, key, build, needed_bytes=needed, waiting=waiting), _source(paths))


def estimate_requests(patterns: Sequence[str | Path], options: ReadOptions | None = None) -> int:
    """About how many requests the files hold, from their sizes and first megabytes; for memory and progress."""
    options = options if options is not None else ReadOptions()
    paths = find_files(patterns)
    name = _format(paths, options)
    total = sum(_estimate(path, name, options) for path in paths)
    return total if options.limit is None else min(total, options.limit)


def memory_bytes(requests: int, unique: int, *, tables: int = 1, bags: int = 0, mapped: bool = False) -> int:
    """Bytes that reading takes at most for so many requests, distinct rows and bags; less the requests if mapped."""
    held = 0 if mapped else requests * (4 if tables == 1 else 8) * 2 + 8 * bags
    return held + BUILDER_BYTES_PER_ROW * unique


def _estimate(path: Path, name: str, options: ReadOptions) -> int:
    if name in ("lines", "csv", "recmg", "criteo"):
        with ByteSource(path) as source:
            head = source.read(1 << 20)
        lookups = {"criteo": 26, "csv": max(1, len(options.columns))}.get(name, 1)
        return estimate_unpacked_bytes(path) * max(head.count(b"\n"), 1) // max(len(head), 1) * lookups
    if name in ("npy", "npz", "parquet", "torch"):
        return path.stat().st_size // 4  # ids of four bytes at least; packed ones are told only by reading
    record = {"oracleGeneral": ORACLE_RECORD.itemsize, "int64-be": 8}.get(name)
    return estimate_unpacked_bytes(path) // (record or record_type(options.record).itemsize)


def _format(paths: Sequence[Path], options: ReadOptions) -> str:
    if options.format is not None:
        if options.format not in FORMATS:
            raise UsageError(f"unknown trace format {options.format!r}", hint=did_you_mean(options.format, FORMATS))
        return options.format
    found = [detect_format(path) for path in paths]
    for path, name in zip(paths, found, strict=True):
        if name != found[0]:
            raise DataError(
                f"{paths[0]} looks like {found[0]} and {path} like {name}, a trace is read from one format",
                hint="name the format, or convert one of them",
            )
    return found[0]


def _check(options: ReadOptions) -> None:
    for name in ("batch_size", "limit", "frequency_threshold"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, not {value}")


def _arrays(trace: Trace) -> dict[str, Any]:
    return {
        "ids": trace.ids,
        "row_base": trace.row_base,
        "bag_offsets": trace.bag_offsets,
        "batch_starts": trace.batch_starts,
        "key_integers": trace.keys.integers,
        "key_text": trace.keys.text,
        "key_text_offsets": trace.keys.text_offsets,
    }


def _source(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _mapped(entry: CacheEntry, source: str) -> Trace:
    """The cached trace, called by the files of this call: equal ones may have been read under other names."""
    there = set(entry.facts["arrays"])
    arrays = {name: entry.array(name) if name in there else None for name in _ARRAY_NAMES}
    found: dict[str, Any] = arrays
    return Trace(
        ids=found["ids"],
        row_base=found["row_base"],
        schema=Schema.from_json(entry.facts["tables"]),
        keys=Keys(
            found["key_integers"],
            tuple(entry.facts["textual"]),
            found["key_text"],
            found["key_text_offsets"],
        ),
        bag_offsets=found["bag_offsets"],
        batch_starts=found["batch_starts"],
        source=source,
    )


_ARRAY_NAMES = ("ids", "row_base", "bag_offsets", "batch_starts", "key_integers", "key_text", "key_text_offsets")
