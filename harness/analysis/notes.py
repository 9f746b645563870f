"""What a reader of a comparison must know besides the numbers: one plain sentence each, the gravest first."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis import words
from harness.analysis.comparison import MOST_PRIMARY, Comparison, Side, SideSummary
from harness.analysis.keys import ran_side_by_side

MOST_NUISANCES = 6


def notes_on(comparison: Comparison, sides: tuple[Side, Side]) -> Iterator[str]:
    """The notes of a comparison of two cells."""
    if comparison.forced:
        keys = words.listed([item.key for item in comparison.refused])
        verb = "is" if len(comparison.refused) == 1 else "are"
        yield f"Compared by force: {keys} should be equal and {verb} not."
    if comparison.unranked is not None and not comparison.judged:
        yield f"Nothing is ranked: {comparison.unranked}."
    if comparison.design == "separate":
        yield _drift_note(comparison)
    for summary, side in zip((comparison.a, comparison.b), sides, strict=True):
        yield from _run_notes(summary)
        if side.experiment.shared:
            yield f"{summary.letter} ran beside another measurement (--share)."
        if ran_side_by_side(side.cell):
            yield f"The runs of {summary.letter} went on side by side (--jobs): they are not timed."
    yield from _metric_notes(comparison)
    yield from _data_notes(comparison, sides)
    if comparison.nuisance:
        yield _nuisance_note(comparison)


def _run_notes(summary: SideSummary) -> Iterator[str]:
    if summary.left_out:
        counts = words.listed([f"{count} {status}" for status, count in summary.left_out.items()])
        yield f"{words.counted(sum(summary.left_out.values()), 'run')} of {summary.letter} left out: {counts}."
    if summary.contended:
        why = f" ({summary.contention_reasons[0]})" if summary.contention_reasons else ""
        verb = "was" if summary.contended == 1 else "were"
        runs = words.counted(summary.runs, "run")
        yield f"{summary.contended} of {runs} of {summary.letter} {verb} contended{why}."
    if summary.unjudged:
        runs = words.counted(summary.runs, "run")
        yield f"Whether {summary.unjudged} of {runs} of {summary.letter} shared the machine could not be judged."


def _metric_notes(comparison: Comparison) -> Iterator[str]:
    for metric in comparison.metrics:
        sides = list(zip(metric.letters, (metric.a, metric.b), strict=True))
        lost = [f"{values.missing} of {letter}" for letter, values in sides if values.missing]
        if lost:
            yield f"{metric.key}: {words.listed(lost)} not measured, left out."
        if metric.method == "paired" and metric.n_pairs is not None:
            alone = [
                f"{values.n - metric.n_pairs} of {letter}" for letter, values in sides if values.n > metric.n_pairs
            ]
            if alone:
                yield f"{metric.key}: {words.listed(alone)} without a partner, left out."
    primary = [metric for metric in comparison.metrics if metric.p_holm is not None]
    if len(primary) > MOST_PRIMARY:
        yield f"{len(primary)} primary metrics share one error rate (Holm): {MOST_PRIMARY} would decide sooner."
    if comparison.design == "interleaved" and any(metric.method == "unpaired" for metric in primary):
        yield "Too few pairs for a paired test: compared unpaired, which can hide a difference but not invent one."


def _nuisance_note(comparison: Comparison) -> str:
    shown = [
        f"{words.plain_key(item.key)} {words.shortened(item.a, 24)} / {words.shortened(item.b, 24)}"
        for item in comparison.nuisance[:MOST_NUISANCES]
    ]
    more = len(comparison.nuisance) - len(shown)
    rest = f"; and {more} more" if more else ""
    return f"Also different, and not asked for: {'; '.join(shown)}{rest}."


def _drift_note(comparison: Comparison) -> str:
    drifting = [metric for metric in comparison.metrics if metric.drift is not None]
    same = comparison.a.experiment_id == comparison.b.experiment_id
    what = "The cells ran one after the other" if same else "These are two experiments"
    start = f"{what}, not interleaved"
    if not drifting or drifting[0].drift is None or comparison.drift is None:
        return f"{start}."
    share = words.percent(drifting[0].drift)
    if not comparison.drift.calibrated:
        return (
            f"{start}: intervals of speed are widened by {share} for drift between them, a cautious default "
            "as this machine is not calibrated (bench calibrate)."
        )
    when = f" of {comparison.drift.measured_at[:10]}" if comparison.drift.measured_at else ""
    return f"{start}: intervals of speed are widened by {share} for drift between them (calibration{when})."


def _data_notes(comparison: Comparison, sides: tuple[Side, Side]) -> Iterator[str]:
    if any(side.cell.data.get("fingerprint") is None for side in sides):
        yield "The data is not fingerprinted: that both sides saw the same rows is not known."
    elif any(side.cell.data.get("kind") == "sampled" for side in sides):
        yield "The data is identified by a sampled hash, not by every byte."
    if all(side.experiment.git_dirty for side in sides) and not any(
        item.key == "git_dirty" for item in comparison.subject
    ):
        yield "Both sides ran uncommitted code: the commit does not say what differs."
