"""What a person may want to type below a result: only commands that would be answered, not refused."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import paths, references
from harness.analysis.compare import Options, Side, compare
from harness.comparable import param_classes
from harness.errors import BenchError
from harness.ids import short_id
from harness.registry import Registry
from harness.store.records import CellRecord, ExperimentRecord, ReferenceRecord

_MOST_LOOKED_AT = 20  # earlier experiments; an older one is not what a person means to compare with


def next_commands(experiment: ExperimentRecord, database: Path) -> Sequence[str]:
    """`bench show`, and the nearest comparison that can be made."""
    short = short_id(experiment.id)
    where = _where(database)
    if experiment.status not in ("done", "running") and experiment.cells:
        return (f"bench run {experiment.cells[0].workload} --resume {short}{where}",)
    show = f"bench show {short}{where}"
    with contextlib.suppress(BenchError):
        compared = _comparison(experiment, database)
        if compared is not None:
            return (
                (show, f"bench compare {compared}{where}")
                if len(experiment.cells) < 2
                else (f"bench compare {compared}{where}",)
            )
    return (show,)


def _where(database: Path) -> str:
    """The flag that names this database, where a command would not find it by itself."""
    default = Path(os.environ.get("BENCH_DB") or paths.default_database())
    return "" if database.resolve() == default.resolve() else f" --db {database}"


def _comparison(experiment: ExperimentRecord, database: Path) -> str | None:
    """The arguments of `bench compare`; None where nothing can be compared with this experiment."""
    short = short_id(experiment.id)
    if len(experiment.cells) > 1:
        first, *others = (Side(name=cell.id, experiment=experiment, cell=cell) for cell in experiment.cells)
        wanted = _options(experiment, database)
        return short if all(_can(first, other, wanted) for other in others) else None
    if not experiment.cells or not _ok(experiment.cells[0]):
        return None
    cell = experiment.cells[0]
    ours = Side(name=short, experiment=experiment, cell=cell)
    wanted = _options(experiment, database)
    for earlier in _earlier(experiment, cell, database):
        if _can(Side(name=earlier.id, experiment=earlier, cell=earlier.cells[0]), ours, wanted):
            return f"{short_id(earlier.id)} {short}"
    for one in references.load():
        if one.device_count in (None, 1) and one.metric == "throughput" and _can(ours, one, wanted):
            return f"{short} {references.PREFIX}{one.name}"
    return None


def _earlier(experiment: ExperimentRecord, cell: CellRecord, database: Path) -> Iterator[ExperimentRecord]:
    """Experiments of one cell that were made before this one and have something to compare, the newest first."""
    from harness.store.queries import Filters, Store

    with Store(database) as store:
        found = store.list_experiments(
            Filters(workload=cell.workload, mode=cell.mode, until=experiment.created_at), limit=_MOST_LOOKED_AT
        )
        for one in found:
            if one.id != experiment.id and one.cells == 1 and one.runs_ok:
                yield store.experiment(one.id)


def _options(experiment: ExperimentRecord, database: Path) -> Options:
    """The rules of `bench compare` for this workload, a plug-in's too."""
    from harness.execution.plan import Plan
    from harness.store.queries import Store

    with Store(database) as store:
        plan = Plan.from_json(store.plan(experiment.id))
    plugins = plan.cells[0].spec.plugins if plan.cells else ()
    return Options(param_classes=param_classes(Registry(plugins), experiment.cells[0].workload))


def _can(a: Side, b: Side | ReferenceRecord, wanted: Options) -> bool:
    try:
        compare(a, b, wanted)
    except BenchError:
        return False
    return True


def _ok(cell: CellRecord) -> bool:
    return any(run.status == "ok" for run in cell.runs)
