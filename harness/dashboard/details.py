"""What a face must ask for: resolved settings with their origin, and the log of a run. Blocking; for thread workers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import paths
from harness.analysis.words import setting_text
from harness.errors import BenchError
from harness.execution.plan import Plan
from harness.spec import RunSettings, describe
from harness.store.queries import Store

# Sequences that a terminal would obey (ECMA-48): colours, cursor movements, titles. A log is text.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LOG_BYTES = 64 * 1024  # the end of the log that is shown


@dataclass(frozen=True, slots=True)
class SettingLine:
    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Details:
    """The settings of each cell, by its id. `problem` says why there are none."""

    experiment_id: str
    settings: Mapping[str, tuple[SettingLine, ...]]
    argv: tuple[str, ...] = ()
    order: tuple[str, ...] = ()  # run ids as planned
    threads: Mapping[str, int | None] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RunDetails:
    """The end of a run's log. `problem` says why there is none."""

    run_id: str
    lines: tuple[str, ...] = ()
    path: str | None = None
    problem: str | None = None


def read_details(database: Path, experiment_id: str) -> Details:
    """From the plan that the database keeps; an experiment that has just begun may not be there yet."""
    try:
        with Store(database) as store:
            plan = Plan.from_json(store.plan(experiment_id))
    except BenchError as problem:
        return Details(experiment_id, {}, problem=problem.message)
    except (KeyError, TypeError, ValueError) as problem:
        return Details(experiment_id, {}, problem=f"the plan of this experiment cannot be read: {problem}")
    settings = {
        cell.id: tuple(SettingLine(key, setting_text(value), origin) for key, value, origin in describe(cell.spec))
        for cell in plan.cells
    }
    threads = {cell.id: _cores_used(cell.spec.settings) for cell in plan.cells}
    return Details(experiment_id, settings, plan.argv, tuple(run.id for run in plan.order), threads)


def _cores_used(settings: RunSettings) -> int | None:
    return None if settings.threads is None else settings.threads * settings.ranks


def read_log(database: Path, run_id: str) -> RunDetails:
    """The last lines of a run's log: what its worker and the libraries printed."""
    path = paths.output_dir(database) / run_id / "log.txt"
    try:
        if not path.exists():
            with Store(database) as store:
                named = store.run(run_id).log_path
            path = Path(named) if named else path
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except BenchError as problem:
        return RunDetails(run_id, problem=problem.message)
    except OSError as problem:
        return RunDetails(run_id, path=str(path), problem=f"no log: {problem.strerror or problem}")
    lines = [_CONTROL.sub("", line).expandtabs(4) for line in _ESCAPE.sub("", text).replace("\r", "\n").split("\n")]
    lines = [line for line, before in zip(lines, ["x", *lines], strict=False) if line or before]
    if size > LOG_BYTES:
        lines = ["…", *lines[1:]]
    while lines and not lines[-1]:
        lines.pop()
    return RunDetails(run_id, tuple(lines), str(path))
