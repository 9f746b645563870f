"""Readers of fixed records: libCacheSim's oracleGeneral, any record that `struct` can write, big-endian int64.

oracleGeneral is 24 bytes, little-endian and packed: time (uint32), object (uint64), size (uint32), and the position of
the object's next access (int64), -1 or the largest int64 where there is none.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.api import DataError, UsageError
from workloads.cachesim.traces.builder import Block, Requests
from workloads.cachesim.traces.files import ByteSource, records
from workloads.cachesim.traces.options import ReadOptions

ORACLE_RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
LARGEST = (1 << 63) - 1
_CODES = {"b": "i1", "B": "u1", "h": "i2", "H": "u2", "i": "i4", "I": "u4", "l": "i4", "L": "u4", "q": "i8", "Q": "u8"}
_OTHER_CODES = {"x": "V1", "f": "f4", "d": "f8"}


def read_oracle_general(path: Path, options: ReadOptions) -> Iterator[Block]:
    """The objects of an oracleGeneral file as one table; sizes and times are left out."""
    with ByteSource(path, progress=options.progress) as source:
        first = True
        for piece in records(source, ORACLE_RECORD.itemsize, "an oracleGeneral record"):
            found = np.frombuffer(piece, ORACLE_RECORD)
            if first:
                _check_oracle(found[:1000], path)
                first = False
            yield Requests(np.ascontiguousarray(found["id"]).view(np.int64))


def read_binary(path: Path, options: ReadOptions) -> Iterator[Block]:
    """One field of a fixed record."""
    record = record_type(options.record)
    names = record.names or ()
    if not 0 <= options.field < len(names):
        raise UsageError(f"the record {options.record!r} has {len(names)} fields, field {options.field} was asked for")
    name = names[options.field]
    if record[name].kind not in "iu":
        raise UsageError(f"field {options.field} of the record {options.record!r} is no integer")
    with ByteSource(path, progress=options.progress) as source:
        for piece in records(source, record.itemsize, f"a record {options.record!r}"):
            values = np.frombuffer(piece, record)[name]
            if values.dtype.kind == "u" and values.dtype.itemsize == 8:
                yield Requests(values.astype(np.uint64).view(np.int64))
            else:
                yield Requests(values.astype(np.int64))


def read_int64_big_endian(path: Path, options: ReadOptions) -> Iterator[Block]:
    """Big-endian signed 64-bit ids, one after another (the Scarab traces of Caffeine's simulator)."""
    with ByteSource(path, progress=options.progress) as source:
        for piece in records(source, 8, "a 64-bit id"):
            yield Requests(np.frombuffer(piece, ">i8").astype(np.int64))


def record_type(text: str) -> np.dtype[np.void]:
    """A packed NumPy type for a `struct` format with a byte order. Raises UsageError naming what is wrong."""
    order = text[:1]
    if order not in "<>!=" or not order:
        raise UsageError(
            f"the record {text!r} must begin with its byte order, < (little-endian) or > (big-endian)",
            hint="for example '<IQIq', the record of oracleGeneral",
        )
    order = {"!": ">", "=": "="}.get(order, order)
    fields: list[tuple[str, str]] = []
    parts = re.findall(r"(\d*)(\S)", text[1:].replace(" ", ""))
    for repeat, code in parts:
        kind = _CODES.get(code) or _OTHER_CODES.get(code)
        if kind is None:
            raise UsageError(
                f"the record {text!r} has the unknown field {code!r}",
                hint="known: b h i l q, capital for unsigned, f d, and x for a byte to skip",
            )
        for _ in range(int(repeat or 1)):
            fields.append((f"{'skip' if code == 'x' else 'field'}{len(fields)}", order + kind if code != "x" else kind))
    visible = [name for name, _ in fields if name.startswith("field")]
    if not visible:
        raise UsageError(f"the record {text!r} has no field")
    packed = np.dtype(fields)
    if packed.itemsize != struct.calcsize(text):
        raise UsageError(f"the record {text!r} is not understood")
    return np.dtype(
        {
            "names": visible,
            "formats": [packed[name] for name in visible],
            "offsets": [packed.fields[name][1] for name in visible] if packed.fields is not None else [],
            "itemsize": packed.itemsize,
        }
    )


def _check_oracle(head: np.ndarray[tuple[int], np.dtype[np.void]], path: Path) -> None:
    """Raises DataError where the first records cannot be oracleGeneral's."""
    following = head["next"]
    wrong = np.flatnonzero((following < -1) | ((following > 1 << 48) & (following != LARGEST)))
    if wrong.size:
        at = int(wrong[0])
        raise DataError(
            f"{path} is no oracleGeneral file: record {at + 1} says that its object's next access is {following[at]}",
            hint="name its format; for other fixed records: --format binary --record '<IQIq' --field 1",
        )
