"""Whether the tables fit, asked before the first byte is allocated: the kernel's own answer is to kill the process."""

from __future__ import annotations

from pathlib import Path

from harness.api import UsageError
from workloads.dlrm.sizes import ModelSizes

_RESERVE_BYTES = 256 << 20  # the framework, one batch and its activations
_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Memory this process may still take: what the machine has left, or the container's limit if that is less."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = _number(_CGROUP / "memory.max")
    used = _number(_CGROUP / "memory.current")
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return free


def check_tables_fit(sizes: ModelSizes, optimizer: str, available: int) -> None:
    """UsageError when the tables and their optimizer's state need more than `available` bytes."""
    needed = sizes.table_bytes(optimizer)
    if needed + _RESERVE_BYTES <= available:
        return
    largest = max(range(len(sizes.tables)), key=sizes.tables.__getitem__)
    raise UsageError(
        f"the embedding tables need {gigabytes(needed)} ({sum(sizes.tables):,} rows of {sizes.embedding_dim} floats"
        f"{', twice for adagrad' if optimizer == 'adagrad' else ''}), but {gigabytes(available)} of memory are free",
        hint=f"cap the tables with --table-rows, e.g. --table-rows 1M; the largest, number {largest + 1}, has "
        f"{sizes.tables[largest]:,} rows",
    )


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or the word "max"
        return None
