"""What `bench cache label` does: the labels of OPT, written beside the trace they belong to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.api import Answer, Job, UsageError
from workloads.cachesim import source
from workloads.cachesim.capacity import Capacity, Tables, parse_capacity, unified_rows
from workloads.cachesim.commands.description import LabelConfig
from workloads.cachesim.commands.shared import check_free, check_memory, check_writable, not_empty, read
from workloads.cachesim.commands.text import percent, share_text, shortened, table_lines
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.labels.files import write_labels
from workloads.cachesim.labels.make import Ids, Labels, opt_labels, prepare, shard_labels, state_bytes
from workloads.cachesim.labels.text import LABEL_SUFFIX, MISS_SUFFIX, text_paths, write_label_text
from workloads.cachesim.sample import shard_bounds
from workloads.cachesim.traces.files import find_files, inner_suffixes
from workloads.cachesim.traces.trace import Trace
from workloads.cachesim.traces.writers import recmg_numbers

SUFFIX = ".labels.npz"
SHOWN = 30  # shards or files


def label(config: LabelConfig, job: Job) -> Answer:
    """One npz for the trace; one for each file where files are shards."""
    capacity = parse_capacity(config.size)
    if config.shard is not None and config.by == "trace":
        raise UsageError("--shard cuts the trace in shards, and --by trace labels it whole", hint="add --by shard")
    files = _traces(config.trace)
    if config.by == "shard" and config.shard is None:
        return _label_files(config, capacity, files, job)
    if config.output is None and len(files) > 1:
        raise UsageError(
            f"{len(files)} files are labelled as one trace, and where is not said",
            hint="--output lookups.labels.npz, or --by shard for a file beside each",
        )
    output = config.output or _beside(files[0])
    _check_output(output, config)
    trace = not_empty(read(config, tuple(map(str, files)), job))
    if config.text:
        recmg_numbers(trace)  # says now what the layout cannot hold
    bounds = None if config.shard is None else shard_bounds(trace, config.shard, whole_samples=not config.text)
    stem = _stem(output)
    texts = text_paths(stem, 1 if bounds is None else len(bounds)) if config.text else []
    for path in texts:
        check_free(path, config.force)
    needed = state_bytes(trace.requests, trace.unique, shard=config.shard, jobs=config.jobs)
    check_memory(needed, "labelling", "label shards (--by shard --shard 5M), or a part (--limit)")
    if prepare():
        job.log("the kernels were compiled for this machine; the next run loads them")
    labels = _labels(config, capacity, trace, bounds, job)
    _write(labels, trace, output, stem, config.text)
    _warn_of_room(labels, job)
    written = [output, *texts]
    return Answer(
        lines=[*_summary(labels, job.width), *_written(written)],
        value={**_facts(labels), "files": [str(path) for path in written]},
    )


def _traces(patterns: Sequence[str]) -> list[Path]:
    """The files to label. What this command wrote is passed over: `shards/*.npz` matches it the next time."""
    if not patterns:
        raise UsageError("no trace was named", hint="a file, or a quoted pattern such as 'shards/*.npz'")
    found = find_files(patterns)
    files = [path for path in found if not path.name.endswith((SUFFIX, LABEL_SUFFIX, MISS_SUFFIX))]
    if not files:
        raise UsageError(f"{found[0]} holds labels already, expected the lookups they are for")
    return files


def _labels(
    config: LabelConfig, capacity: Capacity, trace: Trace, bounds: Sequence[tuple[int, int]] | None, job: Job
) -> Labels:
    def progress(done: int, total: int) -> None:
        job.progress(done, total, "of the requests")

    if bounds is None:
        size = unified_rows(capacity, source.tables_of(trace))
        found = opt_labels(trace.ids, trace.unique, size, policy=config.policy, progress=progress)
    else:
        found = shard_labels(
            trace.ids,
            trace.unique,
            bounds,
            lambda rows: unified_rows(capacity, _tables_of_shard(trace, rows)),
            policy=config.policy,
            jobs=config.jobs,
            progress=progress,
        )
    identity = source.identify(trace, CacheSimConfig(), Path(trace.source), 0)
    return replace(found, trace_fingerprint=identity.fingerprint, source=trace.source)


def _tables_of_shard(trace: Trace, rows: Ids) -> Tables:
    """What a size is measured against in a shard with these distinct rows, ascending."""
    unique = np.diff(np.searchsorted(rows, trace.row_base)).tolist()
    return replace(source.tables_of(trace), unique=unique)


def _label_files(config: LabelConfig, capacity: Capacity, files: Sequence[Path], job: Job) -> Answer:
    """Each file by itself, several at a time."""
    outputs = [_beside(path) if config.output is None else config.output / _beside(path).name for path in files]
    twice = next((path for path in outputs if outputs.count(path) > 1), None)
    if twice is not None:
        raise UsageError(f"two of the traces would be labelled in {twice}", hint="label their folders one by one")
    if config.output is not None and config.output.exists() and not config.output.is_dir():
        raise UsageError(f"output = {config.output} is a file, expected a folder for the labels of {len(files)} files")
    for path in outputs:
        _check_output(path, config)
    if prepare():
        job.log("the kernels were compiled for this machine; the next run loads them")
    done, reading, counting = 0, threading.Lock(), threading.Lock()
    quiet = _Quiet(job)

    def run(place: int) -> tuple[Labels, list[Path]]:
        nonlocal done
        with reading:  # parsing holds the interpreter anyway, and its cache is one
            trace = not_empty(read(config, (str(files[place]),), quiet))
        if config.text:
            recmg_numbers(trace)
        needed = state_bytes(trace.requests, trace.unique)
        check_memory(needed, f"labelling {files[place]}", "label fewer at a time (--jobs 1)")
        labels = _labels(config, capacity, trace, None, quiet)
        stem = _stem(outputs[place])
        written = _write(labels, trace, outputs[place], stem, config.text)
        with counting:
            done += 1
            job.progress(done, len(files), "of the files")
        # what the answer needs; the arrays of many files together may not fit
        empty = np.zeros(0, np.uint8)
        facts = _facts(labels)
        kept[place] = facts
        return replace(labels, keep=empty, hits=empty, misses=np.zeros(0, np.int32)), written

    kept: dict[int, dict[str, Any]] = {}
    with ThreadPoolExecutor(config.jobs) as pool:
        found = list(pool.map(run, range(len(files))))
    for labels, _ in found:
        _warn_of_room(labels, job)
    rows = [_row(path.name, kept[place]) for place, path in enumerate(files)]
    lines = table_lines(_HEADS, rows[:SHOWN], max(job.width, 60), fixed=1, left=1)
    if len(rows) > SHOWN:
        lines.append(f"… and {len(rows) - SHOWN:,} more (--json)")
    paths = [path for _, written in found for path in written]
    where = config.output or "beside their traces"
    lines += ["", f"written: {len(paths):,} files, {where}"]
    value = {
        "shards": [{"trace": str(path), **kept[place]} for place, path in enumerate(files)],
        "files": [str(path) for path in paths],
    }
    return Answer(lines=lines, value=value)


class _Quiet:
    """The job of one file among many: its warnings are heard, its own progress would drown that of all."""

    def __init__(self, job: Job) -> None:
        self.width, self.cache_dir, self.log = job.width, job.cache_dir, job.log

    def progress(self, done: float, total: float | None, unit: str) -> None:
        return None


def _write(labels: Labels, trace: Trace, output: Path, stem: Path, text: bool) -> list[Path]:
    written = [output]
    if text:
        written += write_label_text(labels, trace, stem)
    write_labels(labels, output)
    return written


def _check_output(output: Path, config: LabelConfig) -> None:
    if output.suffix.lower() != ".npz":
        raise UsageError(f"output = {output} does not end in .npz", hint=f"call it {output.stem}{SUFFIX}")
    check_free(output, config.force)
    check_writable(output.parent)
    if config.text and config.shard is None:
        for path in text_paths(_stem(output), 1):
            check_free(path, config.force)


def _beside(path: Path) -> Path:
    """`lookups.npz` -> `lookups.labels.npz`, `scarab.trace.xz` -> `scarab.labels.npz`."""
    name = path.name
    if path.suffix.lower() in (".gz", ".xz", ".zst"):
        name = name[: -len(path.suffix)]
    if inner_suffixes(path):
        name = name[: -len(inner_suffixes(path)[-1])]
    return path.with_name(name + SUFFIX)


def _stem(output: Path) -> Path:
    """What the text files are called after."""
    return output.with_name(output.name.removesuffix(".npz").removesuffix(".labels"))


def _warn_of_room(labels: Labels, job: Job) -> None:
    roomy = labels.capacities > labels.unique
    if roomy.any():
        place = int(np.argmax(roomy))
        of = "the trace" if labels.capacities.size == 1 else f"shard {place}"
        job.log(
            f"a cache of {int(labels.capacities[place]):,} rows is beyond the {int(labels.unique[place]):,} rows of "
            f"{of}: OPT keeps every row that is used again, so the labels tell reuse and no choice",
            "warning",
        )


def _summary(labels: Labels, width: int) -> list[str]:
    facts = _facts(labels)
    lines = [
        f"{labels.requests:,} requests, {facts['kept']:,} kept until their next use ({percent(labels.keep_ratio)})",
        f"OPT ({labels.policy}) hits {facts['hits']:,} ({percent(labels.hit_ratio)}); the miss trace has "
        f"{labels.misses.size:,} requests",
    ]
    if labels.capacities.size == 1:
        lines.append(
            f"cache of {int(labels.capacities[0]):,} rows, {share_text(float(labels.capacity_shares[0]))} of "
            f"{int(labels.unique[0]):,} distinct ones"
        )
        return lines
    rows = []
    for shard in range(min(labels.capacities.size, SHOWN)):
        start, stop = labels.shard_starts[shard : shard + 2].tolist()
        own = {
            "requests": stop - start,
            "unique": int(labels.unique[shard]),
            "capacity_rows": int(labels.capacities[shard]),
            "hits": int(np.count_nonzero(labels.hits[start:stop])),
            "kept": int(np.count_nonzero(labels.keep[start:stop])),
        }
        rows.append(_row(str(shard), own))
    lines += ["", *table_lines(["shard", *_HEADS[1:]], rows, max(width, 60), fixed=1)]
    if labels.capacities.size > SHOWN:
        lines.append(f"… and {labels.capacities.size - SHOWN:,} more shards")
    return [*lines, ""]


_HEADS = ("file", "requests", "rows", "cache", "OPT hits", "kept")


def _row(name: str, facts: dict[str, Any]) -> list[str]:
    requests = max(facts["requests"], 1)
    return [
        shortened(name, 32),
        f"{facts['requests']:,}",
        f"{facts['unique']:,}",
        f"{facts['capacity_rows']:,}",
        percent(facts["hits"] / requests),
        percent(facts["kept"] / requests),
    ]


def _facts(labels: Labels) -> dict[str, Any]:
    one = labels.capacities.size == 1
    return {
        "policy": labels.policy,
        "requests": labels.requests,
        "unique": int(labels.unique[0]) if one else labels.unique.tolist(),
        "capacity_rows": int(labels.capacities[0]) if one else labels.capacities.tolist(),
        "capacity_share": float(labels.capacity_shares[0]) if one else labels.capacity_shares.tolist(),
        "kept": int(np.count_nonzero(labels.keep)),
        "hits": int(np.count_nonzero(labels.hits)),
        "misses": int(labels.misses.size),
        "trace_fingerprint": labels.trace_fingerprint,
    }


def _written(paths: Sequence[Path]) -> list[str]:
    shown = [f"written: {path}" for path in paths[:6]]
    return shown if len(paths) <= 6 else [*shown, f"… and {len(paths) - 6:,} more"]
