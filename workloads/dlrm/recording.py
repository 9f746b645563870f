"""The lookups that a run made, as a trace that cache policies are replayed over (`--record-lookups FILE`).

bench run dlrm --profile demo --repeats 1 --record-lookups lookups.npz
bench run cachesim --data lookups.npz --policy lru,belady --capacity 1%,10%

Nothing is written down while the clock runs: which rows an epoch looks up, in which order, follows from its seed, so it
is enough to remember how far each epoch came. The trace is made when the run ends, on disk and not in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from harness.api import RunFailed, UnavailableError, UsageError
from workloads.common.criteo import CATEGORY_NAMES

_AT_ONCE = 1 << 17  # samples gathered at a time
_BYTES_PER_ROW = 72  # of each distinct row, while the trace is made: workloads.cachesim.traces.builder


@dataclass(frozen=True, slots=True)
class Passed:
    """Batches first to last - 1 of an epoch went through the model."""

    epoch: int
    first: int
    last: int


def require_recorder(path: Path) -> None:
    """Asked before anything else: UnavailableError without numba, UsageError where no trace can be written to."""
    _recorder().check_target(path)


def require_memory(table_rows: Sequence[int], rows: int, available: int) -> None:
    """UsageError where the distinct rows that `rows` samples may meet would not fit."""
    needed = _BYTES_PER_ROW * sum(min(size, rows) for size in table_rows)
    if needed > available:
        raise UsageError(
            f"recording may meet {needed // _BYTES_PER_ROW:,} distinct rows, which need {needed / 1e9:.1f} GB, "
            f"but {available / 1e9:.1f} GB of memory are free",
            hint="cap the tables with --table-rows, or record over fewer rows",
        )


def write_lookups(
    path: Path,
    ids: npt.NDArray[np.int32],
    passed: Sequence[Passed],
    order: Callable[[int], Tensor | None],
    *,
    batch: int,
    table_rows: Sequence[int],
    embedding_dim: int,
    progress: Callable[[int, int], None],
) -> int:
    """Writes the trace; how many lookups it holds. ids [n, T]; `order(epoch)` says which row stands at each place.

    Raises RunFailed where it cannot be written.
    """
    recorder = _recorder()
    schema = recorder.Schema(
        tuple(
            recorder.Table(name, rows, embedding_dim, "fp32")
            for name, rows in zip(CATEGORY_NAMES, table_rows, strict=True)
        )
    )
    samples = sum(_samples(each, batch, len(ids)) for each in passed)
    done = 0
    try:
        with tempfile.TemporaryDirectory(prefix=".recording-", dir=path.parent) as scratch:
            lookups = recorder.LookupRecorder(schema=schema, scratch=Path(scratch))
            for each in passed:
                places = order(each.epoch)
                at_once = max(1, _AT_ONCE // batch)
                for first in range(each.first, each.last, at_once):
                    start, stop = first * batch, min(min(first + at_once, each.last) * batch, len(ids))
                    part = ids[start:stop] if places is None else ids[places[start:stop].numpy()]
                    lookups.add_matrix(part, batch=batch)
                    done += stop - start
                    progress(done, samples)
            lookups.save(path)
            return int(lookups.requests)
    except OSError as problem:
        raise RunFailed(f"the lookups cannot be written to {path}: {problem.strerror}") from problem


def _samples(passed: Passed, batch: int, rows: int) -> int:
    return min(passed.last * batch, rows) - passed.first * batch


def _recorder() -> Any:
    """The recorder of cachesim, whose engine is numba: imported only where lookups are recorded."""
    try:
        from workloads.cachesim import recorder
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"recording lookups needs the package {missing.name}, which is not installed",
            hint="pip install 'recbench[cache]'",
        ) from missing
    return recorder
