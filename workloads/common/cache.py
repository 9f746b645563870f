"""A folder of arrays built once for each key, found again by later runs, and rebuilt when it is damaged.

An entry is written under a temporary name, listed in a manifest, synced and renamed, so a reader sees all of it or
nothing. A kernel lock lets a second process wait for the first instead of building too; where a file system has no
locks both build and the first rename wins. A damaged or incomplete entry is thrown away and built again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from harness.errors import RunFailed, UsageError

FORMAT = 1
MANIFEST = "manifest.json"
CHECKED_BYTES = 256 << 20  # entries up to this size are checked byte by byte when opened, larger ones by size
_POLL_S = 0.5
HEADER_BYTES = 128  # of an .npy file, version 1.0, padded so that it can be written last

Facts = Mapping[str, Any]  # plain JSON: what a builder wants to remember beside its arrays


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A complete folder of arrays."""

    folder: Path
    facts: Facts
    built: bool  # by this call

    def array(self, name: str) -> npt.NDArray[Any]:
        """The array `name`, mapped into memory, read-only."""
        array: npt.NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array


def cached(
    root: Path,
    key: str,
    build: Callable[[Path], Facts],
    *,
    needed_bytes: int = 0,
    waiting: Callable[[], None] | None = None,
) -> CacheEntry:
    """The entry `key` under `root`, built by `build(folder)` when there is none that is whole.

    While another process builds it, `waiting` is called twice a second.
    Raises RunFailed when the disk is full (before building, when `needed_bytes` are not free), UsageError when the
    folder cannot be used; what `build` raises passes through, and nothing is left behind.
    """
    folder = root / key
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{key}.lock", waiting):
            facts = _facts_of_whole_entry(folder)
            if facts is not None:
                return CacheEntry(folder, facts, built=False)
            for leftover in root.glob(f"{key}.tmp-*"):  # of a process that was killed: the lock is ours
                shutil.rmtree(leftover, ignore_errors=True)
            free = shutil.disk_usage(root).free
            if free < needed_bytes:
                raise RunFailed(
                    f"the cache in {root} needs about {needed_bytes / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB are free",
                    hint="free some space, or choose another cache folder",
                )
            return CacheEntry(folder, _build(folder, build), built=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFailed(
                f"no space left while writing the cache in {root}",
                hint="free some space, or choose another cache folder",
            ) from error
        raise UsageError(f"the cache folder {root} cannot be used: {error.strerror}") from error


class ArrayWriter:
    """Appends rows to an .npy file whose length is not known in advance; the header is written last."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._dtype, self._row_shape, self._rows = np.dtype(dtype), row_shape, 0
        self._file = path.open("wb")
        self._file.write(bytes(HEADER_BYTES))

    def append(self, rows: npt.NDArray[Any]) -> None:
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit an array of rows {self._row_shape}")
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)
        self._rows += rows.shape[0]

    def close(self) -> None:
        if self._file.closed:
            return
        text = repr({"descr": self._dtype.str, "fortran_order": False, "shape": (self._rows, *self._row_shape)})
        magic = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
        self._file.seek(0)
        self._file.write(magic + text.encode().ljust(HEADER_BYTES - 11) + b"\n")
        self._file.close()

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _build(folder: Path, build: Callable[[Path], Facts]) -> Facts:
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex[:12]}")
    temporary.mkdir()
    try:
        facts = dict(build(temporary))
        files = {each.name: [each.stat().st_size, _checksum(each)] for each in sorted(temporary.iterdir())}
        manifest = temporary / MANIFEST
        manifest.write_text(json.dumps({"format": FORMAT, "files": files, "facts": facts}))
        for each in temporary.iterdir():
            _sync(each)
        _sync(temporary)
        _discard(folder)
        try:
            temporary.rename(folder)
        except OSError:
            if _facts_of_whole_entry(folder) is None:
                raise
        return json.loads(json.dumps(facts))  # type: ignore[no-any-return]  # as a later reader will see them
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _facts_of_whole_entry(folder: Path) -> Facts | None:
    """The facts of an entry that is complete and undamaged, else None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            return None
        check_bytes = sum(size for size, _ in manifest["files"].values()) <= CHECKED_BYTES
        for name, (size, checksum) in manifest["files"].items():
            if (folder / name).stat().st_size != size or (check_bytes and _checksum(folder / name) != checksum):
                return None
        return manifest["facts"]  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _discard(folder: Path) -> None:
    """Moves an entry away before deleting it: a reader of its arrays keeps them, nobody sees half of it."""
    if folder.exists():
        grave = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex[:12]}")
        folder.rename(grave)
        if grave.is_dir():
            shutil.rmtree(grave, ignore_errors=True)
        else:
            grave.unlink()


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            value = zlib.crc32(piece, value)
    return value


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Holds the kernel's lock of a file, which ends with the process; goes on without where there are no locks."""
    with path.open("ab") as file:
        with contextlib.suppress(OSError):
            while waiting is not None and not _try_lock(file):
                waiting()
                time.sleep(_POLL_S)
            if waiting is None:
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
