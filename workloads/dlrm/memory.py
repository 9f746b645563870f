"""Whether the tables fit, asked before the first byte is allocated: the kernel's own answer is to kill the process."""

from __future__ import annotations

from harness.api import UsageError
from workloads.dlrm.sizes import ModelSizes

_RESERVE_BYTES = 256 << 20  # the framework, one batch and its activations


def check_tables_fit(sizes: ModelSizes, optimizer: str, available: int) -> None:
    """UsageError when the tables and their optimizer's state need more than `available` bytes."""
    needed = sizes.table_bytes(optimizer)
    if needed + _RESERVE_BYTES <= available:
        return
    largest = max(range(len(sizes.tables)), key=sizes.tables.__getitem__)
    twice = ", twice for adagrad" if optimizer == "adagrad" else ""
    shape = f"{sum(sizes.tables):,} rows of {sizes.embedding_dim} floats{twice}"
    raise UsageError(
        f"the embedding tables need {gigabytes(needed)} ({shape}) "
        f"and the rest of the run {gigabytes(_RESERVE_BYTES)}, but {gigabytes(available)} of memory are free",
        hint=f"cap the tables with --table-rows, e.g. --table-rows 1M; the largest, number {largest + 1}, has "
        f"{sizes.tables[largest]:,} rows",
    )


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
