"""Smaller traces: whole batches or samples at a rate, or all lookups of some rows.

Both are seeded, and each distorts something else. Dropping batches keeps a sample's lookups together and every row's
share of requests, but the requests between two uses of a row are thinned less than the rows they touch: hit ratios at
the same cache size are no estimate of those of the whole trace. Keeping all lookups of a share of the rows (spatial
sampling: Waldspurger et al., "Efficient MRC Construction with SHARDS", FAST 2015) scales every reuse distance by that
share, so a cache scaled alike has, in the mean, the hit ratio of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.traces.factorize import Texts, text_hashes
from workloads.cachesim.traces.select import select_requests, select_samples, slice_requests
from workloads.cachesim.traces.trace import Trace, batch_starts
from workloads.cachesim.traces.writers import write_npz, write_recmg
from workloads.common.counter import stream

SAMPLER_VERSION = 1  # raised when the same seed chooses others
SHARD_REQUESTS = 5_000_000  # RecMG's sample.py
STRETCH_WARNING = (
    "dropping batches stretches reuse distances relative to the rows that are left: "
    "compare policies on this trace, but do not read cache sizes for the whole one off it"
)

Unit = Literal["auto", "batch", "sample"]
Form = Literal["npz", "text"]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """A sampled trace. `rate` is what was asked for, `request_share` what share of the requests is left."""

    trace: Trace
    by: Literal["batch", "sample", "row"]
    rate: float
    request_share: float
    warning: str | None

    def capacity(self, rows: int) -> int:
        """The cache size here that stands for `rows` in the whole trace: scaled when sampled by row, else the same."""
        return max(1, round(rows * self.rate)) if self.by == "row" else rows


def sample_batches(trace: Trace, rate: float, *, seed: int = 0, shuffle: bool = False, unit: Unit = "auto") -> Sampled:
    """A share `rate` of the batches, or of the samples where there is one batch (Meta's files) or none.

    They keep their order, or come in a random one with `shuffle`. Raises UsageError where the trace tells neither.
    """
    _check_rate(rate)
    if unit == "auto":
        unit = "batch" if trace.batches is not None and trace.batches > 1 else "sample"
    if unit == "sample":
        return _samples(trace, rate, seed, shuffle)
    if trace.batch_starts is None:
        raise UsageError(f"{trace.source} does not tell batches", hint="say how many samples make one: --batch-size")
    chosen = _choose(trace.batch_starts.size - 1, rate, seed, shuffle, "batches")
    if trace.sample_starts is not None:
        first = np.searchsorted(trace.sample_starts, trace.batch_starts)
        sizes = np.diff(first)[chosen]
        samples = np.concatenate([np.arange(first[each], first[each + 1]) for each in chosen])
        part = select_samples(trace, samples, np.concatenate(([0], np.cumsum(sizes))), _source(trace, rate, "batches"))
    else:
        part = _request_batches(trace, chosen, _source(trace, rate, "batches"))
    return _result(trace, part, "batch", rate)


def sample_rows(trace: Trace, rate: float, *, seed: int = 0) -> Sampled:
    """All requests of a share `rate` of the rows, chosen by a hash of table and id: the same rows in every trace.

    Raises UsageError when no row is left.
    """
    _check_rate(rate)
    keep = np.zeros(trace.unique, np.bool_)
    limit = np.uint64(min(int(rate * 2.0**64), (1 << 64) - 1))
    for number, table in enumerate(trace.schema.tables):
        rows = trace.rows_in_table(number)
        words = stream(seed, SAMPLER_VERSION, f"sample rows of {table.name}").at(_row_numbers(trace, number))
        keep[rows] = words < limit if rate < 1 else True
    part = select_requests(trace, keep[trace.ids], _source(trace, rate, "rows"))
    if part.requests == 0:
        raise UsageError(f"a rate of {rate} leaves none of the {trace.unique:,} rows", hint="choose a higher rate")
    return Sampled(part, "row", rate, part.requests / trace.requests, None)


def shard_bounds(trace: Trace, size: int = SHARD_REQUESTS, *, whole_samples: bool = True) -> list[tuple[int, int]]:
    """Requests from and to of consecutive shards of at most `size`, cut between samples where those are known.

    A single sample larger than that is a shard of its own.
    """
    if size < 1:
        raise UsageError(f"a shard needs at least 1 request, not {size}")
    starts = trace.sample_starts
    if starts is None or not whole_samples:
        return [(start, min(start + size, trace.requests)) for start in range(0, trace.requests, size)]
    bounds, sample = [], 0
    while sample < starts.size - 1:
        following = max(sample + 1, int(np.searchsorted(starts, starts[sample] + size, side="right")) - 1)
        if starts[following] > starts[sample]:
            bounds.append((int(starts[sample]), int(starts[following])))
        sample = following
    return bounds


def write_shards(
    trace: Trace,
    folder: Path,
    stem: str,
    *,
    size: int = SHARD_REQUESTS,
    form: Form = "npz",
    progress: Callable[[int, int], None] | None = None,
    replace_all: bool = False,
) -> list[Path]:
    """Writes the trace as `STEM_0`, `STEM_1`, …: npz, each with its own row numbers, or RecMG's text lines.

    Text shards hold exactly `size` lines but for the last; npz shards end with a sample. With `replace_all` shards that
    an earlier, larger sample left beside them are removed: a pattern over the folder would read them too.
    """
    bounds = shard_bounds(trace, size, whole_samples=form == "npz")
    paths = []
    for number, (start, stop) in enumerate(bounds):
        if form == "text":
            path = folder / f"{stem}_{number}.txt"
            write_recmg(trace, path, start, stop)
        else:
            path = folder / f"{stem}_{number}.npz"
            write_npz(slice_requests(trace, start, stop, samples=_samples_between(trace, start, stop)), path)
        paths.append(path)
        if progress is not None:
            progress(stop, trace.requests)
    if replace_all:
        for path in folder.iterdir():
            rank = path.stem.removeprefix(f"{stem}_")
            ours = path.stem == f"{stem}_{rank}" and rank.isdecimal() and path.suffix in (".npz", ".txt")
            if ours and path not in paths:
                path.unlink()
    return paths


def _samples(trace: Trace, rate: float, seed: int, shuffle: bool) -> Sampled:
    if trace.samples is None:
        raise UsageError(
            f"{trace.source} tells neither samples nor more than one batch, so none can be dropped",
            hint="say how many requests make a batch (--batch-size), or sample by row",
        )
    chosen = _choose(trace.samples, rate, seed, shuffle, "samples")
    batches: Integers | None = None
    if trace.batch_starts is not None and trace.sample_starts is not None:
        first = np.searchsorted(trace.sample_starts, trace.batch_starts)
        if shuffle:
            batches = batch_starts(None, chosen.size, max(1, int(np.diff(first).max())))
        else:
            batches = np.searchsorted(chosen, first)
    part = select_samples(trace, chosen, batches, _source(trace, rate, "samples"))
    return _result(trace, part, "sample", rate)


def _request_batches(trace: Trace, chosen: Integers, source: str) -> Trace:
    """Batches of a trace without samples: chosen as if each were a sample of one table."""
    assert trace.batch_starts is not None
    if trace.tables > 1:
        raise UsageError(
            f"{trace.source} has several tables and no samples, so its batches cannot be dropped", hint="sample by row"
        )
    as_samples = replace(trace, bag_offsets=trace.batch_starts, batch_starts=None)
    return replace(select_samples(as_samples, chosen, np.arange(chosen.size + 1), source), bag_offsets=None)


def _choose(count: int, rate: float, seed: int, shuffle: bool, what: str) -> Integers:
    wanted = round(count * rate)
    if wanted < 1:
        raise UsageError(f"a rate of {rate} leaves none of the {count:,} {what}", hint="choose a higher rate")
    order = np.argsort(stream(seed, SAMPLER_VERSION, f"sample {what}").words(0, count), kind="stable")[:wanted]
    return order if shuffle else np.sort(order)


def _row_numbers(trace: Trace, table: int) -> Integers:
    """A number for each row of a table that is the same in every trace: its id, or a hash of its string."""
    rows = trace.rows_in_table(table)
    if not trace.keys.textual[table]:
        return trace.keys.integers[rows]
    text, offsets = trace.keys.text, trace.keys.text_offsets
    assert text is not None and offsets is not None
    return text_hashes(Texts(np.ascontiguousarray(text), offsets[:-1][rows].copy(), offsets[1:][rows].copy()))


def _samples_between(trace: Trace, start: int, stop: int) -> tuple[int, int] | None:
    if trace.sample_starts is None:
        return None
    first, last = np.searchsorted(trace.sample_starts, [start, stop])
    return int(first), int(last)


def _result(whole: Trace, part: Trace, by: Literal["batch", "sample"], rate: float) -> Sampled:
    if part.requests == 0:
        raise UsageError(f"no lookup is left at a rate of {rate}", hint="choose a higher rate")
    return Sampled(part, by, rate, part.requests / whole.requests, STRETCH_WARNING if rate < 1 else None)


def _source(trace: Trace, rate: float, what: str) -> str:
    return f"{rate:g} of the {what} of {trace.source}"


def _check_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise UsageError(f"a sampling rate must lie in (0, 1], not {rate}", hint="0.8 keeps 80 %")
