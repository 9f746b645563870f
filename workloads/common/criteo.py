"""Reads Criteo click logs as text (`train.txt`, `day_0`, the unlabelled `test.txt`), plain or gzip, in bounded memory.

The format (Criteo Display Advertising Challenge and Criteo 1TB): a line is the label, 13 integers and 26 hexadecimal
ids of up to 8 digits, separated by tabs; an empty field is missing, integers may be negative; `test.txt` has no label.
The last line needs no line end, and Windows line ends are accepted.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from harness.errors import DataError, did_you_mean
from workloads.common.criteo_lines import (
    CATEGORY_NAMES,
    FIELD_NAMES,
    INTEGER_NAMES,
    LABELLED_FIELDS,
    MISSING,
    UNLABELLED_FIELDS,
    CriteoRows,
    Place,
    parse_block,
)

__all__ = [
    "CATEGORY_NAMES",
    "FIELD_NAMES",
    "INTEGER_NAMES",
    "MISSING",
    "CriteoRows",
    "OnBadRow",
    "Progress",
    "iterate_criteo",
    "read_criteo",
]

OnBadRow = Literal["error", "skip"]
Progress = Callable[[int, int], None]  # bytes read so far, bytes in all, as the file lies on disk

CHUNK_BYTES = 1 << 18  # a block and its words stay in the processor's cache; larger ones parse more slowly
LONGEST_LINE_BYTES = 1 << 16  # a Criteo line has about 240; what has no line end for so long is no text
SNIFFED_BYTES = 4096
DECIDING_LINES = 100  # whose majority says whether a file has labels, so that no single damaged line can

_FOREIGN_FORMATS = {
    b"PK\x03\x04": "a zip archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89HDF": "an HDF5 file",
}
_LINE_END = b"\n"
_GZIP = b"\x1f\x8b"


def read_criteo(path: Path, *, on_bad_row: OnBadRow = "error", progress: Progress | None = None) -> CriteoRows:
    """All rows of a file at once: 183 bytes a row; see `iterate_criteo` for files that should not be held whole."""
    blocks = list(iterate_criteo(path, on_bad_row=on_bad_row, progress=progress))
    labels = [block.labels for block in blocks if block.labels is not None]
    return CriteoRows(
        dense=np.concatenate([block.dense for block in blocks]),
        ids=np.concatenate([block.ids for block in blocks]),
        missing_ids=np.concatenate([block.missing_ids for block in blocks]),
        labels=np.concatenate(labels) if labels else None,
        bad_rows=sum(block.bad_rows for block in blocks),
        first_bad=next((block.first_bad for block in blocks if block.first_bad is not None), None),
    )


def iterate_criteo(
    path: Path,
    *,
    on_bad_row: OnBadRow = "error",
    progress: Progress | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[CriteoRows]:
    """Blocks of rows in file order, at least one.

    Most of the first lines say whether the file has labels. Raises DataError when the file is missing, empty, no
    Criteo text or holds no valid row, and at the first malformed line, naming file, line, column and value; with
    `on_bad_row="skip"` malformed lines are left out and counted in the blocks.
    """
    total = _size(path)
    skip_bad = on_bad_row == "skip"
    kept_rows, first_bad = 0, None
    with path.open("rb", buffering=0) as raw:
        source = _text(path, raw)
        labelled: bool | None = None
        line_number, rest = 1, b""
        while True:
            piece = _read(source, chunk_bytes, path, line_number)
            if progress is not None:
                progress(min(raw.tell(), total), total)
            text, ends_file = rest + piece, False
            if piece:
                whole = text.rfind(b"\n") + 1
                text, rest = text[:whole], text[whole:]
                if len(rest) > LONGEST_LINE_BYTES:
                    raise _no_criteo_text(path, f"line {line_number + text.count(_LINE_END)} has no end")
                if labelled is None and text.count(_LINE_END) < DECIDING_LINES:
                    rest = text + rest
                    continue
            elif text and not text.endswith(_LINE_END):
                text, ends_file = text + b"\n", True
            if labelled is None:
                labelled = _has_labels(text, path)
            if text:
                place = Place(str(path), line_number, labelled, ends_file)
                line_number += text.count(_LINE_END)
                block = parse_block(text, place, skip_bad=skip_bad)
                kept_rows += len(block)
                first_bad = first_bad or block.first_bad
                yield block
            if not piece:
                break
    if kept_rows == 0:
        raise DataError(f"{path} has no valid row", hint=first_bad)


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder, expected a Criteo text file", hint="name a file inside it")
        return path.stat().st_size
    except FileNotFoundError:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            f"{path} does not exist", hint=did_you_mean(path.name, beside) if beside else "check the path"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _text(path: Path, raw: io.FileIO) -> io.FileIO | gzip.GzipFile:
    """The file as a stream of text bytes; refuses what is no text by its first bytes."""
    head = raw.read(SNIFFED_BYTES) or b""
    raw.seek(0)
    if not head:
        raise DataError(f"{path} is empty, expected Criteo text", hint="check that its download was completed")
    for magic, name in _FOREIGN_FORMATS.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {name}, expected Criteo text or gzip of it", hint="unpack or convert it first")
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    return raw


def _read(source: io.FileIO | gzip.GzipFile, size: int, path: Path, line: int) -> bytes:
    try:
        return source.read(size) or b""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} cannot be unpacked beyond line {line}: {error}",
            hint="the gzip file is cut short or damaged: copy or download it again",
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read beyond line {line}: {error.strerror}") from error


def _has_labels(text: bytes, path: Path) -> bool:
    """Whether lines have 40 fields, not 39, by most of the first that have either; with neither, the parser explains.

    As many of the one as of the other leave it to the first of them.
    """
    if not text:
        raise DataError(f"{path} is empty inside its gzip wrapping, expected Criteo text")
    counts = [line.count(b"\t") + 1 for line in text.split(_LINE_END, DECIDING_LINES)[:DECIDING_LINES]]
    known = [fields == LABELLED_FIELDS for fields in counts if fields in (LABELLED_FIELDS, UNLABELLED_FIELDS)]
    if known:
        labelled = sum(known)
        return known[0] if 2 * labelled == len(known) else 2 * labelled > len(known)
    if b"\0" in text:
        raise _no_criteo_text(path, f"byte {text.index(0)} is zero")
    return True


def _no_criteo_text(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} is not Criteo text: {reason}",
        hint="expected lines of a label, 13 integers and 26 hexadecimal ids, separated by tabs",
    )
