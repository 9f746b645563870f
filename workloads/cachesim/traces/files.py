"""Files of a trace: patterns to paths, and their bytes unpacked in pieces, with a sentence for all that can be wrong.

gzip and xz come with Python; zstd needs the package `zstandard`. What a file is packed with is told by its first
bytes; an ending that claims otherwise is an error, for such a file was cut, renamed or never unpacked.
"""

from __future__ import annotations

import glob
import gzip
import importlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from harness.api import DataError, UnavailableError, matches
from harness.errors import did_you_mean

Progress = Callable[[int, int], None]  # bytes read so far, bytes in all, as the file lies on disk

PIECE_BYTES = 1 << 22
LONGEST_LINE_BYTES = 1 << 20

_PACKED = {".gz": b"\x1f\x8b", ".xz": b"\xfd7zXZ\x00", ".zst": b"\x28\xb5\x2f\xfd"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive (or a PyTorch or npz file)",
    b"BZh": "a bzip2 archive",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89HDF": "an HDF5 file",
}


def find_files(patterns: Sequence[str | Path]) -> list[Path]:
    """The files that paths and glob patterns name, in the order given, matches of a pattern by natural order.

    Raises DataError where one is missing, a folder or empty, or a pattern matches nothing.
    """
    if not patterns:
        raise DataError("no trace was named, expected a file or a pattern such as 'logs/*.parquet'")
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.exists() or not glob.has_magic(str(pattern)):
            found.append(path)
            continue
        found += matches(pattern)
    for path in found:
        check_file(path)
    return found


def check_file(path: Path) -> int:
    """The file's size in bytes. Raises DataError where it is missing, a folder or empty."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder, expected a trace", hint="name a file inside it, or a pattern")
        size = path.stat().st_size
    except FileNotFoundError:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            f"{path} does not exist", hint=did_you_mean(path.name, beside) if beside else "check the path"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if size == 0:
        raise DataError(f"{path} is empty", hint="check that its download was completed")
    return size


def inner_suffixes(path: Path) -> list[str]:
    """The endings of a file without the one that says how it is packed, lower case, the last one last."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[:-1] if suffixes and suffixes[-1] in _PACKED else suffixes


class ByteSource:
    """The bytes of a file, unpacked. `read` raises DataError where the file is cut short or damaged."""

    def __init__(self, path: Path, *, progress: Progress | None = None) -> None:
        self.path, self._progress = path, progress
        self.packed_bytes = check_file(path)
        self.unpacked = 0  # bytes handed out
        try:
            self._raw = path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        try:
            self._stream = self._unpack()
        except BaseException:
            self._raw.close()
            raise

    def read(self, size: int = PIECE_BYTES) -> bytes:
        """The next bytes, at most `size`; fewer only at the end."""
        parts, missing = [], size
        while missing > 0:
            part = self._part(missing)
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        self.unpacked += len(whole)
        if self._progress is not None:
            self._progress(min(self._raw.tell(), self.packed_bytes), self.packed_bytes)
        return whole

    def __enter__(self) -> ByteSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    def _part(self, size: int) -> bytes:
        try:
            return self._stream.read(size) or b""
        except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
            raise self._damaged(str(error)) from error
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _damaged(self, why: str) -> DataError:
        return DataError(
            f"{self.path} cannot be unpacked beyond byte {self.unpacked:,} of its content: {why}",
            hint="the file is cut short or damaged: copy or download it again",
        )

    def _unpack(self) -> _Stream:
        head = self._raw.read(8) or b""
        self._raw.seek(0)
        claimed = self.path.suffix.lower()
        packed = next((suffix for suffix, magic in _PACKED.items() if head.startswith(magic)), None)
        if packed is None and claimed in _PACKED and _PACKED[claimed].startswith(head):
            raise self._damaged("it ends inside its header")
        if claimed in _PACKED and claimed != packed:
            raise DataError(
                f"{self.path} ends in {claimed}, but its first bytes are not of that format",
                hint=f"it looks like a {packed} file" if packed else "it may be unpacked already: rename it",
            )
        if packed == ".gz":
            return gzip.GzipFile(fileobj=io.BufferedReader(self._raw))
        if packed == ".xz":
            return lzma.LZMAFile(io.BufferedReader(self._raw))
        if packed == ".zst":
            return _ZstdStream(self._raw, self.path, self._damaged)
        return self._raw


def records(source: ByteSource, record_bytes: int, what: str) -> Iterator[bytes]:
    """Pieces of whole records. Raises DataError where the content is empty or ends inside a record."""
    size = max(PIECE_BYTES // record_bytes, 1) * record_bytes
    while piece := source.read(size):
        if len(piece) % record_bytes:
            raise DataError(
                f"{source.path} holds {source.unpacked:,} bytes, no multiple of the {record_bytes} of {what}",
                hint="the file is cut short, or of another format",
            )
        yield piece
    if source.unpacked == 0:
        raise DataError(f"{source.path} is empty inside its wrapping")


def lines(source: ByteSource) -> Iterator[bytes]:
    """Pieces of whole lines, each ending in a newline. Raises DataError for what is no text."""
    rest = b""
    while piece := source.read():
        if source.unpacked == len(piece):
            refuse_foreign(piece, source.path)
        text = rest + piece
        whole = text.rfind(b"\n") + 1
        rest = text[whole:]
        if len(rest) > LONGEST_LINE_BYTES:
            raise DataError(f"{source.path} is no text: a line of more than {LONGEST_LINE_BYTES:,} bytes has no end")
        if whole:
            yield text[:whole]
    if source.unpacked == 0:
        raise DataError(f"{source.path} is empty inside its wrapping")
    if rest:
        yield rest + b"\n"


def refuse_foreign(head: bytes, path: Path) -> None:
    """Raises DataError where a text file begins as another format does, or holds a zero byte."""
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {name}, expected text", hint="name its format, or convert it first")
    zero = head[: 1 << 16].find(b"\0")
    if zero >= 0:
        raise DataError(f"{path} is no text: byte {zero} is zero", hint="name its format")


def estimate_unpacked_bytes(path: Path) -> int:
    """The size of the content, scaled up from the first megabytes where the file is packed."""
    with ByteSource(path) as source:
        source.read(1 << 22)
        if source.unpacked < 1 << 22:
            return source.unpacked
        return int(source.packed_bytes * (source.unpacked / max(source._raw.tell(), 1)))


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class _ZstdStream:
    """Unpacks one zstd frame after another; unlike zstandard's own reader it says when the last is cut short."""

    def __init__(self, raw: io.FileIO, path: Path, damaged: Callable[[str], DataError]) -> None:
        try:
            self._zstandard: Any = importlib.import_module("zstandard")
        except ImportError as error:
            raise UnavailableError(
                f"{path} is packed with zstd, and the package zstandard is not installed",
                hint="pip install 'recbench[traces]', or unpack the file with zstd -d",
            ) from error
        self._raw, self._damaged = raw, damaged
        self._frame: Any = None
        self._packed, self._ready = b"", b""

    def read(self, size: int) -> bytes:
        while not self._ready:
            if not self._packed:
                self._packed = self._raw.read(1 << 18) or b""
                if not self._packed:
                    if self._frame is not None:
                        raise self._damaged("its last frame has no end")
                    return b""
            if self._frame is None:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            try:
                self._ready = self._frame.decompress(self._packed)
            except self._zstandard.ZstdError as error:
                raise self._damaged(str(error)) from error
            self._packed = b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        part, self._ready = self._ready[:size], self._ready[size:]
        return part
