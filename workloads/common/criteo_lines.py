"""Criteo text lines to numbers: a vectorised parser for whole blocks, and a plain one that explains what it refuses.

The block parser finds every field end with one comparison, loads the last eight characters of a field as one 64-bit
word, and decodes all fields of a kind together (the digits of a word are combined in three multiply-shift steps). Rows
in which anything is unusual go to `parse_line`, which alone decides what is valid and words every error.

    n rows; a labelled line has 40 fields: label, I1 to I13, C1 to C26; an unlabelled one lacks the label
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

INTEGER_NAMES = tuple(f"I{number}" for number in range(1, 14))
CATEGORY_NAMES = tuple(f"C{number}" for number in range(1, 27))
FIELD_NAMES = ("label", *INTEGER_NAMES, *CATEGORY_NAMES)
LABELLED_FIELDS = len(FIELD_NAMES)
UNLABELLED_FIELDS = LABELLED_FIELDS - 1

MISSING = -(1 << 31)  # the dense value of an empty field; the file's own integers lie within ±(2^31 - 1)
LARGEST_INTEGER = (1 << 31) - 1

_INTEGER = re.compile(rb"-?[0-9]+")
_HASH = re.compile(rb"[0-9a-fA-F]{1,8}")
_SHOWN_BYTES = 40  # of a wrong value

_TAB, _NEWLINE, _MINUS = 9, 10, 45
_WORD = 8  # characters in a 64-bit word
# Digits and hexadecimal letters become their value; everything else gets a bit that no value has.
_NIBBLES = bytes(
    int(chr(code), 16) if chr(code) in "0123456789abcdefABCDEF" else 0x40 if code == _MINUS else 0x80
    for code in range(256)
)
_KEEP = np.array([((1 << 64) - 1) ^ ((1 << 8 * (_WORD - length)) - 1) for length in range(_WORD + 1)], np.uint64)

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class CriteoRows:
    """Parsed rows, values as in the file."""

    dense: npt.NDArray[np.int32]  # [n, 13], MISSING where the field is empty
    ids: npt.NDArray[np.uint32]  # [n, 26] the hash; 0 where the field is empty
    missing_ids: npt.NDArray[np.bool_]  # [n, 26] the field is empty (a hash may be 0 itself)
    labels: npt.NDArray[np.int8] | None  # [n]; None in an unlabelled file
    bad_rows: int = 0  # lines left out
    first_bad: str | None = None  # why the first of them was

    def __len__(self) -> int:
        return int(self.dense.shape[0])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block of lines lies."""

    path: str
    first_line: int  # counted from 1
    labelled: bool
    ends_file: bool = False  # the block's last line had no line end in the file

    @property
    def names(self) -> tuple[str, ...]:
        return FIELD_NAMES if self.labelled else FIELD_NAMES[1:]


def parse_block(text: bytes, place: Place, *, skip_bad: bool) -> CriteoRows:
    """Parses `text`, whole lines that each end with a newline.

    Raises DataError for the first malformed line, or leaves such lines out and counts them.
    """
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    bad: list[str] = []
    buffer = bytes(_WORD) + text  # room to load the word that ends in the first field
    raw = np.frombuffer(buffer, np.uint8)
    field_ends = np.flatnonzero((raw == _TAB) | (raw == _NEWLINE))
    fields = len(place.names)
    lines = int(np.count_nonzero(raw == _NEWLINE))
    numbers = np.arange(place.first_line, place.first_line + lines)
    if field_ends.size != lines * fields or not (raw[field_ends[fields - 1 :: fields]] == _NEWLINE).all():
        buffer, numbers = _drop_wrong_counts(buffer, numbers, place, skip_bad, bad)
        raw = np.frombuffer(buffer, np.uint8)
        field_ends = np.flatnonzero((raw == _TAB) | (raw == _NEWLINE))
    return _parse_fields(buffer, raw, field_ends.reshape(-1, fields), numbers, place, skip_bad, bad)


def parse_line(line: bytes, number: int, place: Place) -> tuple[int | None, list[int], list[int | None]]:
    """Label, 13 integers (MISSING for an empty field) and 26 hashes (None for an empty field) of one line.

    Raises DataError naming file, line, column and value.
    """
    fields = line.split(b"\t")
    names = place.names
    if len(fields) != len(names):
        raise _wrong_count(line, number, place, cut_short=False)
    label: int | None = None
    integers: list[int] = []
    hashes: list[int | None] = []
    for position, (name, value) in enumerate(zip(names, fields, strict=True), 1):
        if name == "label":
            if value not in (b"0", b"1"):
                hint = "Criteo files have no header line" if number == 1 and not value[:1].isdigit() else None
                raise _wrong_value(place, number, name, position, value, "expected the label 0 or 1", hint)
            label = int(value)
        elif name.startswith("I"):
            integers.append(_integer(place, number, name, position, value))
        elif not value:
            hashes.append(None)
        elif _HASH.fullmatch(value):
            hashes.append(int(value, 16))
        else:
            expected = "expected up to 8 hexadecimal digits, or nothing"
            raise _wrong_value(place, number, name, position, value, expected)
    return label, integers, hashes


def _integer(place: Place, number: int, name: str, position: int, value: bytes) -> int:
    if not value:
        return MISSING
    if not _INTEGER.fullmatch(value):
        raise _wrong_value(place, number, name, position, value, "expected an integer, or nothing")
    digits = value.lstrip(b"-").lstrip(b"0")
    if len(digits) > 10 or int(digits or b"0") > LARGEST_INTEGER:
        raise _wrong_value(place, number, name, position, value, f"integers must lie within ±{LARGEST_INTEGER}")
    return int(value)


def _parse_fields(
    buffer: bytes,
    raw: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],  # [n, fields] where each field ends in the buffer
    numbers: npt.NDArray[np.int64],
    place: Place,
    skip_bad: bool,
    bad: list[str],
) -> CriteoRows:
    flat = ends.ravel()
    starts = np.concatenate(([_WORD], flat[:-1] + 1))[: flat.size].reshape(ends.shape)
    nibbles = buffer.translate(_NIBBLES)
    words = np.ndarray((len(nibbles) - _WORD + 1,), "<u8", buffer=nibbles, strides=(1,))  # one at every byte
    first = 1 if place.labelled else 0
    middle = first + len(INTEGER_NAMES)
    dense, odd = _integers(raw, words, starts[:, first:middle], ends[:, first:middle])
    ids, missing, odd_ids = _hashes(words, starts[:, middle:], ends[:, middle:])
    odd |= odd_ids
    labels: npt.NDArray[np.int8] | None = None
    if place.labelled:
        character = raw[starts[:, 0]]
        odd |= (ends[:, 0] - starts[:, 0] != 1) | ((character != ord("0")) & (character != ord("1")))
        labels = (character == ord("1")).astype(np.int8)
    refused: list[int] = []
    for row in np.flatnonzero(odd).tolist():
        line = buffer[starts[row, 0] : ends[row, -1]]
        try:
            label, integers, hashes = parse_line(line, int(numbers[row]), place)
        except DataError as error:
            if not skip_bad:
                raise
            bad.append(error.message)
            refused.append(row)
            continue
        dense[row] = integers
        ids[row] = [value or 0 for value in hashes]
        missing[row] = [value is None for value in hashes]
        if labels is not None and label is not None:
            labels[row] = label
    if refused:
        kept = np.ones(len(dense), np.bool_)
        kept[refused] = False
        dense, ids, missing = dense[kept], ids[kept], missing[kept]
        labels = None if labels is None else labels[kept]
    return CriteoRows(dense, ids, missing, labels, bad_rows=len(bad), first_bad=bad[0] if bad else None)


def _integers(
    raw: npt.NDArray[np.uint8], words: Words, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Values [n, 13], and the rows [n] that need the plain parser (a wrong character, or more than 8 digits)."""
    lengths = ends - starts
    negative = raw[starts] == _MINUS
    digits = lengths - negative
    word = words[ends - _WORD]
    word &= _KEEP[np.minimum(digits, _WORD)]
    # A byte above 9 reaches 128 when 118 is added, and no byte carries into the next.
    odd = ((word + np.uint64(0x7676767676767676)) & np.uint64(0x8080808080808080)) != 0
    odd |= (digits > _WORD) | (negative & (digits == 0))
    word = word * np.uint64(10) + (word >> np.uint64(8))
    word &= np.uint64(0x00FF00FF00FF00FF)
    word = word * np.uint64(100) + (word >> np.uint64(16))
    word &= np.uint64(0x0000FFFF0000FFFF)
    word = word * np.uint64(10_000) + (word >> np.uint64(32))
    value = word.astype(np.uint32).astype(np.int32)
    np.negative(value, out=value, where=negative)
    value[lengths == 0] = MISSING
    return value, odd.any(axis=1)


def _hashes(
    words: Words, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Hashes [n, 26], which are missing [n, 26], and the rows [n] that need the plain parser."""
    lengths = ends - starts
    word = words[ends - _WORD]
    word &= _KEEP[np.minimum(lengths, _WORD)]
    odd = (word & np.uint64(0xF0F0F0F0F0F0F0F0)) != 0
    odd |= lengths > _WORD
    word = (word << np.uint64(4)) | (word >> np.uint64(8))
    word &= np.uint64(0x00FF00FF00FF00FF)
    word = (word << np.uint64(8)) | (word >> np.uint64(16))
    word &= np.uint64(0x0000FFFF0000FFFF)
    word = (word << np.uint64(16)) | (word >> np.uint64(32))
    return word.astype(np.uint32), lengths == 0, odd.any(axis=1)


def _drop_wrong_counts(
    buffer: bytes, numbers: npt.NDArray[np.int64], place: Place, skip_bad: bool, bad: list[str]
) -> tuple[bytes, npt.NDArray[np.int64]]:
    """The buffer without the lines that have another number of fields, and the numbers of the lines that stay."""
    lines = buffer[_WORD:].split(b"\n")[:-1]
    fields = len(place.names)
    kept: list[int] = []
    for index, line in enumerate(lines):
        if line.count(b"\t") == fields - 1:
            kept.append(index)
            continue
        cut_short = place.ends_file and index == len(lines) - 1
        error = _wrong_count(line, int(numbers[index]), place, cut_short=cut_short)
        if skip_bad:
            bad.append(error.message)
            continue
        before = b"".join(each + b"\n" for each in lines[:index])
        parse_block(before, place, skip_bad=False)  # an earlier line may be wrong in another way
        raise error
    return bytes(_WORD) + b"".join(lines[index] + b"\n" for index in kept), numbers[kept]


def _wrong_count(line: bytes, number: int, place: Place, *, cut_short: bool) -> DataError:
    fields, wanted = line.count(b"\t") + 1, len(place.names)
    where = f"{place.path}, line {number}"
    if not line:
        return DataError(f"{where}: the line is empty, expected {wanted} fields separated by tabs")
    hint = None
    if fields == 1 and line.count(b",") > wanted // 2:
        hint = "the fields are separated by commas: Criteo text has tabs, and no header line"
    elif fields == 1 and len(line.split()) > wanted // 2:
        hint = "the fields are separated by blanks: Criteo text has tabs, and leaves a missing field empty"
    elif cut_short and fields < wanted:
        return DataError(
            f"{where}: the file ends in the middle of the line, after {fields} of {wanted} fields",
            hint="the file is cut short: copy or download it again, or use --on-bad-row skip",
        )
    return DataError(
        f"{where}: {fields} {'field' if fields == 1 else 'fields'} separated by tabs, expected {wanted}", hint=hint
    )


def _wrong_value(
    place: Place, number: int, name: str, position: int, value: bytes, expected: str, hint: str | None = None
) -> DataError:
    return DataError(
        f"{place.path}, line {number}, column {name} (field {position} of {len(place.names)}): "
        f"{shown(value)}, {expected}",
        hint=hint,
    )


def shown(value: bytes) -> str:
    """A wrong value in quotes, cut to a readable length, unprintable bytes escaped."""
    text = repr(value[:_SHOWN_BYTES])[1:]
    return text + (f" and {len(value) - _SHOWN_BYTES} more bytes" if len(value) > _SHOWN_BYTES else "")
