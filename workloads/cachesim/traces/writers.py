"""Writes traces: npz (all that is known of a trace), libCacheSim's oracleGeneral, and RecMG's text lines.

Every file is written under a temporary name, synced and renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import RunFailed, UsageError
from workloads.cachesim.traces.array_formats import FORMAT_NAME, FORMAT_VERSION
from workloads.cachesim.traces.binary_formats import ORACLE_RECORD
from workloads.cachesim.traces.text_formats import RECMG_STRIDE
from workloads.cachesim.traces.trace import Trace

PIECE_REQUESTS = 1 << 20
NEVER = -1  # oracleGeneral: the object is not accessed again


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears complete or not at all; its folder is made. Raises RunFailed where it cannot be written."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RunFailed(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_npz(trace: Trace, path: Path) -> None:
    """The whole trace, uncompressed, as NumPy arrays and a description in JSON; `read_trace` reads it back."""
    about = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "tables": trace.schema.to_json(),
        "textual": list(trace.keys.textual),
        "source": trace.source,
        "order": trace.order,
    }
    arrays: dict[str, npt.NDArray[np.generic] | None] = {
        "recbench_trace": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "ids": trace.ids,
        "row_base": trace.row_base,
        "bag_offsets": trace.bag_offsets,
        "batch_starts": trace.batch_starts,
        "key_integers": trace.keys.integers,
        "key_text": trace.keys.text,
        "key_text_offsets": trace.keys.text_offsets,
    }
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})


def write_oracle_general(trace: Trace, path: Path) -> None:
    """The requests as libCacheSim's 24-byte records: time, object, size, position of its next access or -1.

    Objects are the ids of the source where there is one table of numbers, else row numbers over all tables. Time is
    the batch, or the position where there are no batches; size is the row's bytes where the schema tells, else 1.
    """
    following = next_access(trace.ids, trace.unique)
    own_ids = trace.tables == 1 and not trace.keys.textual[0]
    known = all(table.dim is not None and table.dtype is not None for table in trace.schema.tables)
    sizes = trace.row_bytes().astype(np.uint32) if known else None
    with whole_file(path) as file:
        for start in range(0, trace.requests, PIECE_REQUESTS):
            ids = trace.ids[start : start + PIECE_REQUESTS]
            place = np.arange(start, start + ids.size)
            piece = np.empty(ids.size, ORACLE_RECORD)
            if trace.batch_starts is not None:
                place = np.searchsorted(trace.batch_starts, place, side="right") - 1
            piece["time"] = np.minimum(place, (1 << 32) - 1)
            piece["id"] = (trace.keys.integers[ids] if own_ids else ids.astype(np.int64)).view(np.uint64)
            piece["size"] = 1 if sizes is None else sizes[ids]
            piece["next"] = following[start : start + ids.size]
            file.write(piece.tobytes())


def write_recmg(trace: Trace, path: Path, start: int = 0, stop: int | None = None) -> None:
    """Requests start to stop - 1 as lines of "table, row * 1000 + table" (RecMG's sample.py).

    Raises UsageError where that cannot hold the trace: more than 999 tables, or ids that are no row numbers.
    """
    encoded = recmg_numbers(trace)
    of_row = trace.table_of_row()
    with whole_file(path) as file:
        for first in range(start, trace.requests if stop is None else stop, PIECE_REQUESTS):
            ids = trace.ids[first : min(first + PIECE_REQUESTS, trace.requests if stop is None else stop)]
            pairs = zip(of_row[ids].tolist(), encoded[ids].tolist(), strict=True)
            file.write("".join([f"{table}, {row}\n" for table, row in pairs]).encode())


def recmg_numbers(trace: Trace) -> npt.NDArray[np.int64]:
    """[R] row * 1000 + table of each row. Raises UsageError as `write_recmg` does."""
    if trace.tables >= RECMG_STRIDE:
        raise UsageError(
            f"the trace has {trace.tables} tables, the text layout holds at most {RECMG_STRIDE - 1}",
            hint="write npz instead",
        )
    if any(trace.keys.textual) or (trace.unique and int(trace.keys.integers.min()) < 0):
        raise UsageError("the ids are strings or negative, the text layout holds row numbers", hint="write npz instead")
    if trace.unique and int(trace.keys.integers.max()) >= (1 << 63) // RECMG_STRIDE:
        raise UsageError(f"an id times {RECMG_STRIDE} does not fit 64 bits", hint="write npz instead")
    return trace.keys.integers * RECMG_STRIDE + trace.table_of_row()


def next_access(ids: npt.NDArray[np.int32], unique: int) -> npt.NDArray[np.int64]:
    """[N] the position at which the row of each request is looked up again, -1 where it never is."""
    following = np.empty(ids.size, np.int64)
    _next_access(ids, np.full(unique, NEVER, np.int64), following)
    return following


@njit(cache=True, nogil=True)
def _next_access(ids: npt.NDArray[np.int32], seen: npt.NDArray[np.int64], following: npt.NDArray[np.int64]) -> None:
    for i in range(ids.size - 1, -1, -1):
        following[i] = seen[ids[i]]
        seen[ids[i]] = i
