"""What `bench cache inspect, sample, generate, convert` do: settings and a job in, an answer out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.api import Answer, Job, UsageError
from workloads.cachesim.commands.description import (
    ConvertConfig,
    Form,
    GenerateConfig,
    InspectConfig,
    SampleConfig,
)
from workloads.cachesim.commands.shared import check_free, named, read
from workloads.cachesim.commands.text import counted
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.generators.registry import check_memory, generate_from, make_spec
from workloads.cachesim.generators.zipf import (
    REFERENCE_BYTES_PER_REQUEST,
    REFERENCE_REQUESTS,
    REFERENCE_ROWS,
    REFERENCE_SEED,
    reference_zipf,
)
from workloads.cachesim.inspect import inspect_trace
from workloads.cachesim.inspect_report import report_lines
from workloads.cachesim.sample import SHARD_REQUESTS, Sampled, sample_batches, sample_rows, write_shards
from workloads.cachesim.traces.formats import BUILDER_BYTES_PER_ROW
from workloads.cachesim.traces.schema import read_schema
from workloads.cachesim.traces.trace import Trace
from workloads.cachesim.traces.writers import write_npz, write_oracle_general, write_recmg

_ENDINGS: dict[str, Form] = {".npz": "npz", ".oraclegeneral": "oracleGeneral", ".txt": "recmg"}


def inspect(config: InspectConfig, job: Job) -> Answer:
    """Some passes over the trace; all figures are exact."""
    trace = read(config, config.trace, job)
    report = inspect_trace(
        trace, window=config.window, progress=lambda done, total: job.progress(done, total, "of the passes")
    )
    return Answer(lines=report_lines(report, width=job.width), value=report.to_json())


def convert(config: ConvertConfig, job: Job) -> Answer:
    """Reads one form and writes another."""
    output, form = _target(config.output, config.to, config.force)
    trace = read(config, config.trace, job)
    _write(trace, output, form)
    return _written(trace, output, form)


def generate(config: GenerateConfig, job: Job) -> Answer:
    """A trace from its settings alone."""
    output, form = _target(config.output, config.to, config.force)
    schema = None if config.schema is None else read_schema(config.schema)
    if config.generator == "reference":
        trace = _reference(config)
    else:
        values = CacheSimConfig(generator_settings=config.settings).generator_values()
        values |= {} if config.batch_size is None else {"batch_size": config.batch_size}
        spec = make_spec(config.generator, requests=config.requests, seed=config.seed, **values)
        trace = generate_from(spec, lambda done, total: job.progress(done, total, "of the trace"))
    if schema is not None:
        trace = replace(trace, schema=schema.apply(trace.schema))
    _write(trace, output, form)
    return _written(trace, output, form)


def sample(config: SampleConfig, job: Job) -> Answer:
    """A share of the rows, batches or samples; what it distorts is said."""
    output = named(config.output)
    sharded = config.shard is not None or config.text
    if not sharded and output.suffix.lower() != ".npz":
        raise UsageError(
            f"output = {output} does not end in .npz", hint="call it .npz, or ask for shards: --shard 5M, --text"
        )
    if not sharded:
        check_free(output, config.force)
    if config.by == "row" and config.shuffle:
        raise UsageError("--shuffle orders batches or samples anew, and rows are sampled", hint="add --by batch")
    trace = read(config, config.trace, job)
    if config.by == "row":
        found = sample_rows(trace, config.rate, seed=config.seed)
    else:
        found = sample_batches(trace, config.rate, seed=config.seed, shuffle=config.shuffle, unit=config.by)
    if found.warning is not None:
        job.log(found.warning, "warning")
    return _shards(found, config, output, job) if sharded else _sampled(found, output)


def _shards(found: Sampled, config: SampleConfig, folder: Path, job: Job) -> Answer:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output = {folder} is a file, expected a folder for the shards")
    if folder.is_dir() and any(folder.glob(f"{folder.name}_*")) and not config.force:
        raise UsageError(f"{folder} holds shards of that name already", hint="choose another, or add --force")
    paths = write_shards(
        found.trace,
        folder,
        folder.name,
        size=config.shard or SHARD_REQUESTS,
        form="text" if config.text else "npz",
        progress=lambda done, total: job.progress(done, total, "of the requests"),
        replace_all=config.force,
    )
    value = {**_sample_facts(found), "files": [str(path) for path in paths]}
    return Answer(lines=[f"{counted(len(paths), 'shard')} in {folder}: {_sample_words(found)}"], value=value)


def _sampled(found: Sampled, output: Path) -> Answer:
    write_npz(found.trace, output)
    lines = [f"{output}: {_sample_words(found)}"]
    if found.by == "row":
        lines.append(
            f"a cache for the whole trace is one of {found.rate:g} times its rows here: 1,000,000 are "
            f"{found.capacity(10**6):,}"
        )
    return Answer(lines=lines, value={**_sample_facts(found), "files": [str(output)]})


def _sample_words(found: Sampled) -> str:
    trace = found.trace
    return f"{trace.requests:,} requests ({found.request_share:.1%} of them), {trace.unique:,} rows"


def _sample_facts(found: Sampled) -> dict[str, Any]:
    return {
        "by": found.by,
        "rate": found.rate,
        "request_share": found.request_share,
        "requests": found.trace.requests,
        "unique": found.trace.unique,
        "warning": found.warning,
    }


def _reference(config: GenerateConfig) -> Trace:
    """The published trace: nothing of it can be chosen but its length."""
    if config.settings or config.batch_size is not None or config.seed not in (0, REFERENCE_SEED):
        raise UsageError(
            "the reference trace is fixed: neither seed, batch size nor settings can be given", hint="use zipf"
        )
    default = GenerateConfig.__dataclass_fields__["requests"].default
    requests = REFERENCE_REQUESTS if config.requests == default else config.requests
    check_memory(REFERENCE_BYTES_PER_REQUEST * requests + BUILDER_BYTES_PER_ROW * REFERENCE_ROWS, requests)
    return reference_zipf(requests)


def _target(output: Path | None, form: Form | None, force: bool) -> tuple[Path, Form]:
    path = named(output)
    told = form or _ENDINGS.get(path.suffix.lower())
    if told is None:
        raise UsageError(
            f"output = {path} does not tell its format", hint="end it in .npz, .oracleGeneral or .txt, or give --to"
        )
    check_free(path, force)
    return path, told


def _write(trace: Trace, path: Path, form: Form) -> None:
    {"npz": write_npz, "oracleGeneral": write_oracle_general, "recmg": write_recmg}[form](trace, path)


def _written(trace: Trace, path: Path, form: Form) -> Answer:
    facts = {
        "file": str(path),
        "format": form,
        "bytes": path.stat().st_size,
        "requests": trace.requests,
        "unique": trace.unique,
        "tables": trace.tables,
        "samples": trace.samples,
        "batches": trace.batches,
    }
    words = f"{trace.requests:,} requests, {trace.unique:,} rows, {counted(trace.tables, 'table')}"
    return Answer(lines=[f"{path}: {words}, {path.stat().st_size:,} bytes"], value=facts)
