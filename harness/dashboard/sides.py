"""What the Compare screen reads: cells to choose from, the comparison of two, and the published results beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import comparable, references
from harness.analysis.compare import Comparison, Options, Side, compare
from harness.errors import BenchError, NothingCompared
from harness.ids import short_id
from harness.registry import Registry
from harness.store.browse import Browser, query
from harness.store.listing import Filters
from harness.store.queries import Store
from harness.store.records import CellRecord, ExperimentRecord, ReferenceRecord, RunSummary

MOST_RUNS = 3000  # of which cells are offered; the Runs screen reaches all
MOST_REFERENCES = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """A cell that may be A or B. `runs` are those in the list, `ok` of them ended well."""

    summary: RunSummary
    runs: int
    ok: int

    @property
    def cell_id(self) -> str:
        return self.summary.cell_id

    @property
    def name(self) -> str:
        """Its label, or the experiment's tag, or its profile."""
        return self.summary.label or next(iter(self.summary.tags), "") or self.summary.profile or ""

    def comparable_with(self, other: Choice) -> bool:
        """Whether it is worth trying: what a list knows of the identity agrees."""
        mine, theirs = self.summary, other.summary
        return (mine.workload, mine.mode, mine.timing_scope) == (theirs.workload, theirs.mode, theirs.timing_scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A published figure, and how far A and B are from it (None where that side has no such value)."""

    reference: ReferenceRecord
    a: Comparison | None
    b: Comparison | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A and B with what came of comparing them; `problem` says why nothing did."""

    a: Side
    b: Side | None = None
    comparison: Comparison | None = None
    problem: BenchError | None = None
    beside: tuple[Beside, ...] = field(default=())
    more_beside: int = 0


def choices(path: Path, text: str = "") -> tuple[Choice, ...]:
    """The cells of the newest runs that pass a filter, the newest first."""
    filters: Sequence[Filters] = query(text)
    with Browser(path) as browser:
        identifiers = browser.identifiers(filters)[:MOST_RUNS]
        runs = browser.page(identifiers, ())
    of_cell: dict[str, list[RunSummary]] = {}
    for identifier in identifiers:
        if identifier in runs:
            of_cell.setdefault(runs[identifier].cell_id, []).append(runs[identifier])
    return tuple(Choice(some[0], len(some), sum(run.status == "ok" for run in some)) for some in of_cell.values())


def side_of(path: Path, cell_id: str) -> Side:
    """A cell as one side, with its machine's calibrated drift. UsageError where it is gone."""
    with Store(path, busy_timeout_s=2.0) as store:
        cell = store.cell(cell_id)
        experiment = store.experiment(cell.experiment_id)
        return comparable.side_of(store, experiment, cell, name=name_of(experiment, cell))


def answer(
    path: Path,
    registry: Registry,
    a: str,
    b: str | None,
    *,
    force: bool = False,
    published: Sequence[ReferenceRecord] = (),
) -> Answer:
    """Compares two cells by their ids, and each with what was published. StoreError and UsageError pass through."""
    side_a = side_of(path, a)
    side_b = side_of(path, b) if b is not None else None
    beside = [
        found
        for one in published
        if one.comparable and (one.workload, one.mode) == (side_a.cell.workload, side_a.cell.mode)
        for found in (Beside(reference=one, a=_against(side_a, one), b=_against(side_b, one)),)
        if found.a is not None or found.b is not None
    ]
    beside.sort(key=lambda one: (one.reference.metric != "throughput", one.reference.device_count not in (None, 1)))
    kept, more = tuple(beside[:MOST_REFERENCES]), max(0, len(beside) - MOST_REFERENCES)
    if side_b is None:
        return Answer(a=side_a, beside=kept, more_beside=more)
    options = Options(force=force, param_classes=comparable.param_classes(registry, side_a.cell.workload))
    try:
        comparison = compare(side_a, side_b, options)
    except NothingCompared as problem:
        return Answer(a=side_a, b=side_b, problem=problem, beside=kept, more_beside=more)
    return Answer(a=side_a, b=side_b, comparison=comparison, beside=kept, more_beside=more)


def load_references() -> tuple[ReferenceRecord, ...]:
    """The published results, none where they cannot be read."""
    try:
        return references.load()
    except BenchError:
        return ()


def _against(side: Side | None, reference: ReferenceRecord) -> Comparison | None:
    if side is None:
        return None
    try:
        return compare(side, reference)
    except NothingCompared:
        return None


def name_of(experiment: ExperimentRecord, cell: CellRecord) -> str:
    """How a person knows it: its label, a tag, a profile; else its id."""
    return cell.label or next(iter(experiment.tags), "") or cell.profile or short_id(cell.id)
