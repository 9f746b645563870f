"""What the commands have in common: reading the trace, checking where they write, and what memory they need."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from harness.api import Job, UsageError
from workloads.cachesim import source
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.plugin import load_policies
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.reading import ReadSettings
from workloads.cachesim.traces.formats import open_trace
from workloads.cachesim.traces.trace import Trace


def read(config: ReadSettings, patterns: tuple[str, ...], job: Job) -> Trace:
    """The named files as one trace."""
    if not patterns:
        raise UsageError("no trace was named", hint="a file, or a quoted pattern such as 'logs/*.parquet'")
    options = source.read_options(config, lambda done, total: job.progress(done, total, "of the trace"))
    return open_trace(list(patterns), options, cache_root=job.cache_dir)


def not_empty(trace: Trace) -> Trace:
    """The same trace. UsageError where it has no request."""
    if trace.requests == 0:
        raise UsageError(f"{trace.source} holds no request, so no cache can be simulated on it")
    return trace


def warmup_requests(text: str, trace: Trace) -> int:
    """`--cache-warmup` as requests of this trace, at least one of which is left to count."""
    skip = CacheSimConfig(cache_warmup=text).warmup_requests(trace.requests)
    if skip >= trace.requests:
        raise UsageError(
            f"cache_warmup = {text} leaves none of the {trace.requests:,} requests to count", hint="choose less of it"
        )
    return skip


def chosen_policies(text: str, file: Path | None) -> tuple[Policy, ...]:
    """The policies of a list, shipped ones or those of a file. UsageError with the nearest name."""
    return registry.select(text, () if file is None else tuple(load_policies(file)))


def named(output: Path | None, example: str = "lookups.npz") -> Path:
    if output is None:
        raise UsageError("no file was named to write to", hint=f"--output {example}")
    return output


def check_free(path: Path, force: bool, setting: str = "output") -> None:
    """UsageError where the file is there already, or cannot be written: said before the work, not behind it."""
    if path.is_dir():
        raise UsageError(f"{setting} = {path} is a folder, expected a file")
    if path.exists() and not force:
        raise UsageError(f"{setting} = {path} is there already", hint="choose another name, or add --force")
    check_writable(path.parent, setting)


def check_writable(folder: Path, setting: str = "output") -> None:
    """UsageError where nothing can be written into the folder, or it cannot be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(
            f"nothing can be written into {folder}", hint=f"choose another place: --{setting.replace('_', '-')}"
        )


def check_memory(needed: int, what: str, hint: str) -> None:
    """UsageError before the first large array where the work would not fit."""
    free = int(psutil.virtual_memory().available)
    if needed > free:
        raise UsageError(
            f"{what} needs about {needed / 1e9:.1f} GB beside its trace, {free / 1e9:.1f} GB are free", hint=hint
        )
