"""Finds and decodes the fields of text lines in compiled loops: nothing here is a Python loop over lines."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import DataError
from workloads.cachesim.traces.factorize import Texts
from workloads.common.criteo_lines import shown

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

_NOT_A_NUMBER, _TOO_LARGE = 1, 2
_SEPARATOR = "\x1f"  # between fields that were unquoted: ASCII's own unit separator


def fields(piece: bytes, delimiter: str | None, columns: tuple[int, ...], place: Path, first_line: int) -> list[Texts]:
    """The fields at `columns` (counted from 0) of every line of `piece`, blanks around them left out.

    Without a delimiter a line is one field. Raises DataError for a line with too few fields.
    """
    if delimiter is not None and b'"' in piece:
        piece, delimiter = _unquoted(piece, delimiter, place, first_line)
    blob = np.frombuffer(piece, np.uint8)
    line_ends = np.flatnonzero(blob == ord("\n")).astype(np.int64)
    wanted = np.array(columns, np.int64)
    starts = np.empty((wanted.size, line_ends.size), np.int64)
    ends = np.empty_like(starts)
    mark = -1 if delimiter is None else ord(delimiter)
    bad, found = _find_fields(blob, line_ends, mark, wanted, starts, ends)
    if bad >= 0:
        raise DataError(
            f"{place}, line {first_line + bad}: {found} {'field' if found == 1 else 'fields'}, "
            f"expected at least {int(wanted.max()) + 1}",
            hint="the fields are separated by another character, or the line is cut short",
        )
    return [Texts(blob, start, end) for start, end in zip(starts, ends, strict=True)]


def integers(texts: Texts, place: Path, first_line: int, *, what: str = "id", hint: str | None = None) -> Integers:
    """The fields as signed 64-bit numbers. Raises DataError naming line and value of the first that is none."""
    values = np.empty(len(texts), np.int64)
    bad, why = parse_integers(texts.blob, texts.starts, texts.ends, values)
    if bad < 0:
        return values
    raw = texts.blob[texts.starts[bad] : texts.ends[bad]].tobytes()
    line = f"{place}, line {first_line + bad}"
    if not raw:
        raise DataError(f"{line}: the {what} is missing", hint=hint)
    if why == _TOO_LARGE:
        raise DataError(f"{line}: the {what} {shown(raw)} does not fit a signed 64-bit number", hint=hint)
    raise DataError(f"{line}: the {what} {shown(raw)} is not a number", hint=hint)


def all_integers(texts: Texts) -> bool:
    """Whether every field is a signed 64-bit number."""
    return int(parse_integers(texts.blob, texts.starts, texts.ends, np.empty(len(texts), np.int64))[0]) < 0


def not_empty(texts: Texts, place: Path, first_line: int) -> Texts:
    """The fields themselves. Raises DataError naming the line of the first that is empty."""
    empty = np.flatnonzero(texts.starts == texts.ends)
    if empty.size:
        raise DataError(f"{place}, line {first_line + int(empty[0])}: the id is missing")
    return texts


def _unquoted(piece: bytes, delimiter: str, place: Path, first_line: int) -> tuple[bytes, str]:
    """Lines with quoted fields, without the quotes and with a separator that no field holds."""
    text = piece.decode("utf-8", "surrogateescape")
    if _SEPARATOR in text:
        raise DataError(f"{place}, from line {first_line}: quoted fields beside the character 0x1f cannot be read")
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    if len(rows) != piece.count(b"\n"):
        raise DataError(f"{place}, from line {first_line}: a quoted field holds a line end", hint="remove it first")
    joined = "".join(_SEPARATOR.join(row) + "\n" for row in rows)
    return joined.encode("utf-8", "surrogateescape"), _SEPARATOR


@njit(cache=True, nogil=True)
def _find_fields(
    blob: Bytes, line_ends: Integers, delimiter: int, wanted: Integers, starts: Integers, ends: Integers
) -> tuple[int, int]:
    """Fills starts and ends [k, lines]; the first line with too few fields and how many it has, or (-1, 0)."""
    last = wanted.max()
    position = 0
    for line in range(line_ends.size):
        end = line_ends[line]
        field = 0
        start = position
        for i in range(position, end + 1):
            if i == end or blob[i] == delimiter:
                for k in range(wanted.size):
                    if wanted[k] == field:
                        low, high = start, i
                        while low < high and (blob[low] == 32 or blob[low] == 9 or blob[low] == 13):
                            low += 1
                        while high > low and (blob[high - 1] == 32 or blob[high - 1] == 9 or blob[high - 1] == 13):
                            high -= 1
                        starts[k, line] = low
                        ends[k, line] = high
                field += 1
                start = i + 1
                if field > last:
                    break
        if field <= last:
            return line, field
        position = end + 1
    return -1, 0


@njit(cache=True, nogil=True)
def parse_integers(blob: Bytes, starts: Integers, ends: Integers, values: Integers) -> tuple[int, int]:
    """Decodes each field; the first that is no signed 64-bit number and why, or (-1, 0)."""
    for i in range(starts.size):
        low, high = starts[i], ends[i]
        negative = low < high and blob[low] == 45
        if low < high and (blob[low] == 45 or blob[low] == 43):
            low += 1
        if low == high:
            return i, 1
        value = np.uint64(0)
        for k in range(low, high):
            digit = np.uint64(blob[k]) - np.uint64(48)
            if digit > np.uint64(9):
                return i, 1
            if value > np.uint64(922337203685477580):
                return i, 2
            value = value * np.uint64(10) + digit
        if value > np.uint64(1 << 63) or (value == np.uint64(1 << 63) and not negative):
            return i, 2
        values[i] = -np.int64(value) if negative else np.int64(value)
    return -1, 0
