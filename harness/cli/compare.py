"""`bench compare A B …`: is B faster, or more accurate, than A? Four verdicts, or a refusal that says why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from harness import references
from harness.analysis.compare import Options, Side, compare_all
from harness.analysis.comparison import Comparison
from harness.api import Description
from harness.cli import complete, options
from harness.comparable import param_classes, side_of
from harness.errors import ExitCode, NothingCompared, UsageError, did_you_mean
from harness.ids import short_id
from harness.registry import Registry
from harness.store.records import ExperimentRecord, ReferenceRecord

if TYPE_CHECKING:
    from harness.store.queries import Store

FormatName = Literal["table", "markdown", "json", "csv"]

Margin = Annotated[
    list[str] | None,
    typer.Option(
        "--margin",
        metavar="METRIC=NUMBER",
        help='non-inferiority: B counts as good enough down to this much worse, e.g. "auc=0.001"; repeatable',
        rich_help_panel="How to compare",
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="EXPRESSION",
        help='a gate, e.g. "throughput<-5%": exit 3 where the whole interval is beyond it, 4 where it cannot be told',
        rich_help_panel="How to compare",
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        metavar="",
        help="exit 4 where a primary metric or a gate is inconclusive",
        rich_help_panel="How to compare",
    ),
]
Format = Annotated[
    FormatName, typer.Option("--format", help="how the comparison is printed", rich_help_panel=options.OUTPUT)
]
_Things = Annotated[
    list[str],
    typer.Argument(
        metavar="A [B …]",
        help="ids or the beginnings of ids, @latest, @latest~1, tags, other.db::ID, reference:NAME; an experiment "
        "stands for its cells",
        autocompletion=complete.compared,
    ),
]
_Baseline = Annotated[
    str | None,
    typer.Option("--baseline", metavar="A", help="what the others are compared with; the first when not given",
                 rich_help_panel="How to compare"),
]  # fmt: skip
_Force = Annotated[
    bool,
    typer.Option("--force", metavar="", help="compare in spite of other data or protocols; the report says so",
                 rich_help_panel="How to compare"),
]  # fmt: skip
_References = Annotated[
    list[Path] | None,
    typer.Option("--references", metavar="FILE", help="published results of your own, a TOML file; repeatable",
                 rich_help_panel="How to compare"),
]  # fmt: skip


def make_compare(registry: Registry) -> Callable[..., Any]:
    """`bench compare`; the registry tells which parameters define a protocol."""

    def compare(
        things: _Things,
        baseline: _Baseline = None,
        margin: Margin = None,
        fail_on: FailOn = None,
        strict: Strict = False,
        force: _Force = False,
        references: _References = None,
        format: Format = "table",
        json: options.Json = False,
        db: options.Database = None,
    ) -> None:
        names = list(things)
        if baseline is not None:
            names = [baseline, *(name for name in names if name != baseline)]
        sides = _sides(names, options.database(db), tuple(references or ()))
        finish(
            sides,
            registry,
            margins=margin or (),
            fail_on=fail_on or (),
            strict=strict,
            format="json" if json else format,
            force=force,
        )

    compare.__doc__ = (
        "Compares B, C, … with the baseline A.\n\nWhat must match (data, protocol, timing scope, workload and version) "
        "is checked first, and a comparison of unlike things is refused (exit 6). What differs is printed as the "
        "question."
    )
    return compare


def finish(
    sides: Sequence[Side | ReferenceRecord],
    registry: Registry,
    *,
    margins: Sequence[str],
    fail_on: Sequence[str],
    strict: bool,
    format: FormatName,
    force: bool,
) -> None:
    """Compares, prints, and ends with the exit code of the gates. Raises what the analysis refuses."""
    from harness.analysis import gate
    from harness.report import comparison as report
    from harness.report.tables import print_stripped

    expressions = [gate.parse(text) for text in fail_on]
    if len(sides) < 2:
        raise UsageError(
            "one thing alone cannot be compared", hint="bench compare A B, or bench compare A reference:NAME"
        )
    first, *others = sides
    if isinstance(first, ReferenceRecord):
        raise UsageError(f"the baseline cannot be reference {first.name!r}", hint="name one of your own results first")
    wanted = Options(
        force=force, margins=parse_margins(margins), param_classes=param_classes(registry, first.cell.workload)
    )
    try:
        comparisons = compare_all(first, others, wanted)
    except NothingCompared as problem:
        raise _explained(problem, first, others) from None
    result = gate.gate(comparisons, [one.text for one in expressions]) if expressions else None
    if format == "json":
        body = report.as_json(comparisons)
        if result is not None:
            body["gates"] = [{"expression": one.expression, "metric": one.metric, "exit_code": int(one.code),
                              "sentence": one.sentence} for one in result.findings]  # fmt: skip
        options.print_json(body)
    else:
        if format == "table":
            console = options.out()
            shown = report.render(comparisons)
            console.print(shown) if console.is_terminal else print_stripped(console, shown, max(100, console.width))
        else:
            sys.stdout.write(report.markdown(comparisons) if format == "markdown" else report.csv_text(comparisons))
        for sentence in result.sentences if result else ():
            options.say(sentence)
    code = result.code if result else ExitCode.OK
    if code == ExitCode.OK and strict and _undecided(comparisons):
        code = ExitCode.INCONCLUSIVE
    if code:
        raise typer.Exit(code)


def _explained(problem: NothingCompared, first: Side, others: Sequence[Side | ReferenceRecord]) -> NothingCompared:
    """A refusal with its cause in words, where it is a data seed: two fingerprints tell nobody that."""
    ours = first.experiment.data_seed
    theirs = [other.experiment.data_seed for other in others if isinstance(other, Side)]
    other_seed = next((seed for seed in theirs if seed != ours), None)
    generated = first.cell.data.get("kind") in (None, "generated")
    if other_seed is None or not generated or not any(line.startswith("data") for line in problem.details):
        return problem
    return NothingCompared(
        problem.message,
        hint=f"measure again with --data-seed {ours} for the same rows; {problem.hint}",
        details=[f"the rows were made from other seeds: data_seed {ours} against {other_seed}", *problem.details],
    )


def check_gates(texts: Sequence[str], description: Description) -> None:
    """UsageError for a gate on a metric that this workload does not give: before anything is measured."""
    from harness.analysis import gate
    from harness.metrics import SHARED_METRICS

    known = {*SHARED_METRICS, *(metric.name for metric in description.metrics)}
    for expression in map(gate.parse, texts):
        name = expression.metric.partition("{")[0]
        if name not in known:
            raise UsageError(
                f"--fail-on {expression.text!r} names {name!r}, which {description.name} does not measure",
                hint=did_you_mean(name, known),
            )


def parse_margins(texts: Sequence[str]) -> dict[str, float]:
    """`auc=0.001` texts as a mapping; the last `=` counts, since labels hold some."""
    found = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise UsageError(f"--margin {text!r} is not METRIC=NUMBER", hint="write it like --margin auc=0.001")
    return found


def sides_of_cells(store: Store, experiment: ExperimentRecord) -> list[Side | ReferenceRecord]:
    """One side per cell, in order, named by its label."""
    return [side_of(store, experiment, cell, name=cell.label or short_id(cell.id)) for cell in experiment.cells]


def _sides(names: Sequence[str], default_db: Path, files: Sequence[Path]) -> list[Side | ReferenceRecord]:
    from harness.store.queries import Store, locate

    found: list[Side | ReferenceRecord] = []
    for name in names:
        if name.startswith(references.PREFIX):
            found.append(references.get(name, references.load(files)))
            continue
        database, text = locate(name, default_db)
        with Store(database) as store:
            kind, identifier = store.resolve(text, ("experiment", "cell"))
            if kind == "cell":
                cell = store.cell(identifier)
                found.append(side_of(store, store.experiment(cell.experiment_id), cell, name=name))
                continue
            experiment = store.experiment(identifier)
            if not experiment.cells:
                raise NothingCompared(f"experiment {short_id(identifier)} has no cell")
            if len(experiment.cells) == 1:
                found.append(side_of(store, experiment, experiment.cells[0], name=name))
            else:
                found += sides_of_cells(store, experiment)
    return found


def _undecided(comparisons: Sequence[Comparison]) -> bool:
    return any(
        metric.verdict == "inconclusive" and metric.role in ("primary", "gate")
        for comparison in comparisons
        for metric in comparison.metrics
    )
