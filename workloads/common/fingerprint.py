"""Says which file this is: SHA-256 of its bytes, remembered by path, size and time of change; sampled when huge.

A full hash is made once for each state of a file. Files above the limit (4 GiB) are identified by their size and
64 evenly spaced samples of 1 MiB, first and last included, and marked `sampled`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.errors import DataError

FULL_LIMIT_BYTES = 4 << 30
SAMPLES = 64
SAMPLE_BYTES = 1 << 20
READ_BYTES = 1 << 22
REMEMBERED_FILES = 1000
SETTLED_NS = 2_000_000_000  # a file changed so shortly before its hash could change again within the same time stamp

Progress = Callable[[int, int], None]  # bytes read so far, bytes to read


@dataclass(frozen=True, slots=True)
class FileFingerprint:
    """The identity of a file's content."""

    kind: Literal["sha256", "sampled"]
    value: str
    bytes: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def fingerprint_file(
    path: Path,
    *,
    memory: Path | None = None,
    full_limit_bytes: int = FULL_LIMIT_BYTES,
    progress: Progress | None = None,
) -> FileFingerprint:
    """The fingerprint of `path`, from the JSON file `memory` when the file has not changed since.

    Raises DataError when the file cannot be read or changes while it is read.
    """
    try:
        before = path.stat()
        kind: Literal["sha256", "sampled"] = "sha256" if before.st_size <= full_limit_bytes else "sampled"
        key = str(path.resolve())
        state = [before.st_size, before.st_mtime_ns, kind]
        known = _remembered(memory).get(key) if memory is not None else None
        if known is not None and known["state"] == state:
            return FileFingerprint(kind, known["value"], before.st_size)
        hashed_at = time.time_ns()
        value = _full(path, before.st_size, progress) if kind == "sha256" else _sampled(path, before.st_size, progress)
        after = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise DataError(f"{path} changed while it was read", hint="wait until it is complete, then run again")
    if memory is not None and hashed_at - before.st_mtime_ns > SETTLED_NS:
        _remember(memory, key, {"state": state, "value": value})
    return FileFingerprint(kind, value, before.st_size)


def _full(path: Path, size: int, progress: Progress | None) -> str:
    digest, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done, size)
    return digest.hexdigest()


def _sampled(path: Path, size: int, progress: Progress | None) -> str:
    digest = hashlib.sha256(str(size).encode())
    last = max(size - SAMPLE_BYTES, 0)
    with path.open("rb", buffering=0) as file:
        for sample in range(SAMPLES):
            file.seek(last * sample // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
            if progress is not None:
                progress(sample + 1, SAMPLES)
    return digest.hexdigest()


def _remembered(memory: Path) -> dict[str, dict[str, Any]]:
    """What the memory file holds; nothing when it is absent or damaged, for it can be made again."""
    try:
        files = json.loads(memory.read_text())["files"]
        return {key: entry for key, entry in files.items() if isinstance(entry["value"], str) and entry["state"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, key: str, entry: dict[str, Any]) -> None:
    """Adds an entry; two processes at once may lose one, which costs a second hash and nothing else."""
    files = _remembered(memory)
    files.pop(key, None)
    files[key] = entry
    newest = dict(list(files.items())[-REMEMBERED_FILES:])
    temporary = memory.with_name(f"{memory.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs the next run a hash
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"files": newest}))
        temporary.replace(memory)
