"""Checksums of the files that a run leaves behind, made once it is over so that nothing reads a disk meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from harness.store.rows import ArtifactRow

LARGEST_HASHED_BYTES = 256 << 20  # a quarter of a second; a larger file keeps its size only


def hashed(row: ArtifactRow) -> ArtifactRow:
    """The row with its size and, where the file is not huge, its SHA-256; as it was where the file is gone."""
    path = Path(row.path)
    try:
        size = path.stat().st_size
        if row.sha256 is not None or size > LARGEST_HASHED_BYTES:
            return replace(row, bytes=size)
        with path.open("rb") as file:
            return replace(row, bytes=size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError:
        return row
