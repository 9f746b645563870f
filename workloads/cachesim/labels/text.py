"""Labels as the text files of RecMG's `optgen.py`: one number a line, beside the lines of its `sample.py`.

`…_cached_trace_opt.txt` has the label of each request, 1 or 0; the label is the right one of `make`, which the original
lacks. `…_cache_miss_trace.txt` has row * 1000 + table of each request that misses in OPT, else 0. Row 0 of table 0 is 0
as well, so its misses cannot be told from hits there: the npz has none of this.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.api import DataError
from workloads.cachesim.labels.make import Labels
from workloads.cachesim.traces.trace import Trace
from workloads.cachesim.traces.writers import recmg_numbers, whole_file

LABEL_SUFFIX = "_cached_trace_opt.txt"
MISS_SUFFIX = "_cache_miss_trace.txt"
PIECE_LINES = 1 << 20


def write_label_text(labels: Labels, trace: Trace, stem: Path) -> list[Path]:
    """Two files for each shard, `STEM_0_…`, `STEM_1_…`; `STEM_…` where there is one.

    Raises UsageError where the layout cannot hold the trace: more than 999 tables, or ids that are no row numbers.
    """
    encoded = recmg_numbers(trace)
    paths = []
    shards = labels.capacities.size
    for number in range(shards):
        start, stop = labels.shard_starts[number : number + 2].tolist()
        name = stem.name if shards == 1 else f"{stem.name}_{number}"
        label_path, miss_path = stem.with_name(name + LABEL_SUFFIX), stem.with_name(name + MISS_SUFFIX)
        with whole_file(label_path) as label_file, whole_file(miss_path) as miss_file:
            for first in range(start, stop, PIECE_LINES):
                piece = slice(first, min(first + PIECE_LINES, stop))
                label_file.write(_lines(labels.keep[piece]))
                miss_file.write(_lines(np.where(labels.hits[piece] == 0, encoded[trace.ids[piece]], 0)))
        paths += [label_path, miss_path]
    return paths


def text_paths(stem: Path, shards: int) -> list[Path]:
    """The files that `write_label_text` writes."""
    names = [stem.name] if shards == 1 else [f"{stem.name}_{number}" for number in range(shards)]
    return [stem.with_name(name + suffix) for name in names for suffix in (LABEL_SUFFIX, MISS_SUFFIX)]


def read_numbers(path: Path) -> npt.NDArray[np.int64]:
    """The numbers of either file. Raises DataError naming the first line that is none."""
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if lines and lines[-1] == "":
        lines.pop()
    try:
        return np.array(lines, np.int64) if lines else np.zeros(0, np.int64)
    except (ValueError, OverflowError):
        number = next(place for place, line in enumerate(lines, 1) if not line.lstrip("-").isdigit())
        raise DataError(f"{path}, line {number}: {lines[number - 1]!r} is no number") from None


def _lines(numbers: npt.NDArray[np.integer]) -> bytes:
    return ("\n".join(map(str, numbers.tolist())) + "\n").encode() if numbers.size else b""
