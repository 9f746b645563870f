"""Compares two cells, or a cell with a published reference: what the question is, and what can honestly be answered.

Records in, frozen dataclasses out; no database, no text beyond sentences. The rules are in docs/methods.md.

A comparison is refused (`NothingCompared`, exit 6) where identity keys differ, or nuisance keys on the same device;
`force` compares anyway and the result says so. Interleaved cells (`bench ab`) are compared in pairs; others are said
not to be interleaved and must clear the machine's drift between experiments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.analysis import words
from harness.analysis.against_reference import compare_with_reference
from harness.analysis.comparison import MOST_PRIMARY, Comparison, Design, Options, Side, SideSummary
from harness.analysis.drift import DEFAULT_DRIFT, Drift, allowance
from harness.analysis.judge import MetricComparison, Values, decide, measure
from harness.analysis.keys import Differences, differences
from harness.analysis.notes import notes_on
from harness.analysis.sides import declared_metrics, finished_runs, summarise, values_of, why_missing
from harness.analysis.statistics import holm
from harness.errors import NothingCompared, UsageError, did_you_mean
from harness.store.records import MetricRecord, ReferenceRecord, RunRecord

__all__ = ["Comparison", "Design", "MetricComparison", "Options", "Side", "SideSummary", "compare", "compare_all"]

MOST_QUESTIONS = 8  # a report names so many keys; JSON has them all


def compare_all(
    baseline: Side, others: Sequence[Side | ReferenceRecord], options: Options | None = None
) -> tuple[Comparison, ...]:
    """Each of `others` (B, C, …) against one baseline A, as questions of their own: Holm covers the metrics of one.

    Raises NothingCompared for the first that is refused.
    """
    letters = [chr(ord("B") + place) if place < 25 else f"B{place}" for place in range(len(others))]
    return tuple(
        compare(baseline, other, options, letter=letter) for letter, other in zip(letters, others, strict=True)
    )


def compare(a: Side, b: Side | ReferenceRecord, options: Options | None = None, *, letter: str = "B") -> Comparison:
    """B against A. `letter` is what B is called where several are compared with one baseline.

    Raises NothingCompared where nothing may or can be compared, UsageError for an option that names no metric.
    """
    options = options or Options()
    if isinstance(b, ReferenceRecord):
        return compare_with_reference(a, b, letter)
    letters = ("A", letter)
    same_experiment = a.experiment.id == b.experiment.id
    if same_experiment and a.cell.id == b.cell.id:
        raise NothingCompared(f"A ({a.name}) and {letter} ({b.name}) are the same cell: there is nothing to compare")
    runs = (finished_runs(a, "A"), finished_runs(b, letter))
    found = differences((a.experiment, a.cell), (b.experiment, b.cell), param_classes=options.param_classes)
    if found.refused and not options.force:
        raise _refusal(found, letters)
    interleaved = same_experiment and a.experiment.interleaved
    unranked = _unranked((a, b), letters)
    drift, allowed = _drift(a, b)
    measured, one_sided = _measure_all((a, b), runs, interleaved, allowed, options, letters)
    comparison = Comparison(
        a=summarise(a, "A", runs[0]),
        b=summarise(b, letter, runs[1]),
        workload=_both(a.cell.workload, b.cell.workload),
        mode=_both(a.cell.mode, b.cell.mode),
        design="interleaved" if interleaved else "separate",
        question=_question(found),
        identity=found.identity,
        subject=found.subject,
        nuisance=found.nuisance,
        metrics=_judge_all(measured, unranked, options),
        one_sided=one_sided,
        drift=None if interleaved else drift,
        refused=found.refused,
        unranked=unranked,
    )
    return replace(comparison, notes=tuple(notes_on(comparison, (a, b))))


def _measure_all(
    sides: tuple[Side, Side],
    runs: tuple[list[RunRecord], list[RunRecord]],
    interleaved: bool,
    allowed: float,
    options: Options,
    letters: tuple[str, str],
) -> tuple[list[MetricComparison], dict[str, str]]:
    """Every metric that both sides have, measured; and why each other one is not compared."""
    common, one_sided = _common_metrics(*runs, letters)
    _check_names(options, [*common, *one_sided])
    values: dict[str, tuple[Values, Values]] = {}
    for key in common:
        values[key] = (values_of(runs[0], key), values_of(runs[1], key))
        if not (values[key][0].n and values[key][1].n):
            one_sided[key] = why_missing(values.pop(key), sides, letters)
    if not values:
        reasons = [f"{key}: {why}" for key, why in one_sided.items()]
        raise NothingCompared(f"A and {letters[1]} have no metric that both measured", details=reasons)
    metrics = {key: _with_role(common[key], options) for key in values}
    family = [key for key, metric in metrics.items() if _in_family(metric, options)]
    measured = [
        measure(
            metric,
            *values[key],
            interleaved=interleaved,
            allowance=allowed,
            tolerance=options.tolerance(metric),
            margin=options.margin(metric),
            family=len(family) if key in family else 1,
            alpha=options.alpha,
            letters=letters,
        )
        for key, metric in metrics.items()
    ]
    return measured, one_sided


def _judge_all(
    measured: Sequence[MetricComparison], unranked: str | None, options: Options
) -> tuple[MetricComparison, ...]:
    """Verdicts, with Holm over the primary metrics that have a test; primary first, then gates, then the rest."""
    family = [metric for metric in measured if _in_family(metric, options)]
    tested = [(metric.key, metric.p) for metric in family if metric.p is not None]
    adjusted = dict(zip((key for key, _ in tested), holm([p for _, p in tested]), strict=True))
    judged = [
        decide(
            metric,
            p_holm=adjusted.get(metric.key),
            unranked=unranked,
            family=len(family) if metric in family else 1,
            alpha=options.alpha,
        )
        for metric in measured
    ]
    return tuple(sorted(judged, key=lambda metric: ("primary", "gate", "info").index(metric.role)))


def _in_family(metric: MetricRecord | MetricComparison, options: Options) -> bool:
    margin = options.margin(metric) if isinstance(metric, MetricRecord) else metric.margin
    return metric.role == "primary" and metric.kind != "exact" and margin is None


def _common_metrics(
    runs_a: Sequence[RunRecord], runs_b: Sequence[RunRecord], letters: tuple[str, str]
) -> tuple[dict[str, MetricRecord], dict[str, str]]:
    """The metrics of both sides, and why each of the others cannot be compared."""
    declared_a, declared_b = declared_metrics(runs_a), declared_metrics(runs_b)
    common: dict[str, MetricRecord] = {}
    apart: dict[str, str] = {}
    for key in dict.fromkeys([*declared_a, *declared_b]):
        one, other = declared_a.get(key), declared_b.get(key)
        if one is None or other is None:
            apart[key] = f"only {letters[1] if one is None else letters[0]} measured it"
        elif one.unit != other.unit:
            apart[key] = f"its unit is {one.unit} in {letters[0]} and {other.unit} in {letters[1]}"
        elif (one.kind, one.better) != (other.kind, other.better):
            apart[key] = "the two sides declare it differently"
        else:
            common[key] = one
    return common, apart


def _with_role(metric: MetricRecord, options: Options) -> MetricRecord:
    if options.primary is None:
        return metric
    if metric.key in options.primary or metric.name in options.primary:
        return replace(metric, role="primary")
    return replace(metric, role="info") if metric.role == "primary" else metric


def _check_names(options: Options, keys: Sequence[str]) -> None:
    known = {*keys, *(words.base_name(key) for key in keys)}
    for what, names in (
        ("margin", options.margins),
        ("tolerance", options.tolerances),
        ("primary metric", options.primary or ()),
    ):
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{what} names {name!r}, a metric that neither side has", hint=did_you_mean(name, known)
                )
    for what, limits in (("margin", options.margins), ("tolerance", options.tolerances)):
        for name, limit in limits.items():
            if not (math.isfinite(limit) and limit >= 0):
                raise UsageError(f"{what} {name} = {limit} must be a number of zero or more")
    if options.primary is not None and len(options.primary) > MOST_PRIMARY:
        raise UsageError(f"{len(options.primary)} primary metrics are given, at most {MOST_PRIMARY} may be")


def _drift(a: Side, b: Side) -> tuple[Drift, float]:
    drifts = (a.drift or DEFAULT_DRIFT, b.drift or DEFAULT_DRIFT)
    larger = max(drifts, key=lambda drift: drift.upper)
    return larger, allowance(*drifts)


def _unranked(sides: tuple[Side, Side], letters: tuple[str, str]) -> str | None:
    """Why nothing may be ranked: a device that is not proven hardware."""
    reasons = []
    for side, letter in zip(sides, letters, strict=True):
        kind = side.cell.device_kind
        if kind == "stand-in":
            reasons.append(f"{letter} ran on a stand-in for {side.cell.device}")
        elif kind == "emulated":
            reasons.append(f"{letter} ran on an emulated {side.cell.device}")
        elif kind != "hardware":
            reasons.append(f"{letter}'s device {side.cell.device} was not proven to be hardware")
    return words.listed(reasons) or None


def _refusal(found: Differences, letters: tuple[str, str]) -> NothingCompared:
    keys = words.listed([item.key for item in found.refused])
    verb = "differs" if len(found.refused) == 1 else "differ"
    why = "" if any(item.kind == "identity" for item in found.refused) else " on the same device"
    return NothingCompared(
        f"{letters[0]} and {letters[1]} cannot be compared: {keys} {verb}{why}",
        hint="--force compares anyway, and the report says so",
        details=[
            f"{item.key} ({item.kind}): {letters[0]} {words.shortened(item.a)}, {letters[1]} {words.shortened(item.b)}"
            for item in found.refused
        ],
    )


def _question(found: Differences) -> str:
    """What the comparison asks: each key of the subject with both values."""
    changed = [
        f"{words.plain_key(item.key)} {words.shortened(item.a, 32)} → {words.shortened(item.b, 32)}"
        for item in found.subject
    ]
    if changed:
        more = len(changed) - MOST_QUESTIONS
        return "; ".join([*changed[:MOST_QUESTIONS], *([f"and {more} more"] if more > 0 else [])])
    if found.identity:
        return "none: only what should be equal differs"
    return "none: nothing differs, this compares A with A"


def _both(a: str, b: str) -> str:
    return a if a == b else f"{a}, {b}"
