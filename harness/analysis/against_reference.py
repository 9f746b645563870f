"""A cell beside a published figure: by ratio, with our own interval, differences listed, no p and no verdict.

The estimate is ours over theirs (or ours minus theirs), so that `×1.31` says how far this machine is ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.analysis import words
from harness.analysis.comparison import Comparison, Side, SideSummary
from harness.analysis.judge import MetricComparison, Values
from harness.analysis.keys import Difference
from harness.analysis.sides import declared_metrics, finished_runs, summarise, values_of, why_missing
from harness.analysis.statistics import median_interval
from harness.errors import NothingCompared, did_you_mean
from harness.store.records import MetricRecord, ReferenceRecord, RunRecord
from harness.telemetry.fingerprint import flatten


def compare_with_reference(a: Side, reference: ReferenceRecord, letter: str) -> Comparison:
    """Our cell over a published figure, with our own interval; differences listed, no p and no verdict."""
    cell = a.cell
    if not reference.comparable:
        remark = f": {reference.remark}" if reference.remark else ""
        raise NothingCompared(f"reference {reference.name!r} compares with nothing{remark}")
    if reference.workload != cell.workload:
        raise NothingCompared(
            f"reference {reference.name!r} is of workload {reference.workload}, A ({a.name}) of {cell.workload}"
        )
    runs = finished_runs(a, "A")
    declared = declared_metrics(runs)
    metric = declared.get(reference.metric)
    if metric is None:
        raise NothingCompared(
            f"reference {reference.name!r} gives {reference.metric}, which A ({a.name}) did not measure",
            hint=did_you_mean(reference.metric, declared),
        )
    if metric.unit != reference.unit:
        raise NothingCompared(
            f"reference {reference.name!r} gives {reference.metric} in {reference.unit}, A ({a.name}) in {metric.unit}"
        )
    if reference.kind == "ratio" and cell.device_kind in ("stand-in", "emulated"):
        stage = "a stand-in for" if cell.device_kind == "stand-in" else "an emulated"
        raise NothingCompared(
            f"A ({a.name}) ran on {stage} {cell.device}: its {reference.metric} is no measurement of that device, and "
            "stands beside no published one"
        )
    values = values_of(runs, reference.metric)
    if not values.n:
        raise NothingCompared(
            f"A ({a.name}) has no value of {reference.metric}: {why_missing((values, values), (a, a), ('A', 'A'))}"
        )
    if reference.kind == "ratio" and (reference.value <= 0 or min(values.all) <= 0):
        raise NothingCompared(f"{reference.metric} cannot be compared by ratio: a value is not above zero")
    compared = _against_reference(metric, values, reference, letter)
    subject = _reference_differences(a, reference, runs)
    return Comparison(
        a=summarise(a, "A", runs),
        b=SideSummary(
            letter=letter,
            name=f"reference:{reference.name}",
            label=reference.source,
            device=_reference_device(reference),
            device_kind=None,
        ),
        workload=cell.workload,
        mode=cell.mode,
        design="reference",
        question="; ".join(f"{item.key} {words.whole(item.a)} beside {words.whole(item.b)}" for item in subject)
        or "none known: all that the reference states agrees",
        identity=(),
        subject=subject,
        nuisance=(),
        metrics=(compared,),
        reference=reference,
        notes=tuple(_reference_notes(a, reference, runs)),
    )


def _against_reference(
    metric: MetricRecord, values: Values, reference: ReferenceRecord, letter: str
) -> MetricComparison:
    middle = values.median
    assert middle is not None
    interval = median_interval(values.all)

    def change(value: float) -> float:
        return value / reference.value if reference.kind == "ratio" else value - reference.value

    compared = MetricComparison(
        key=metric.key,
        unit=metric.unit,
        better=metric.better,
        role=metric.role,
        kind=reference.kind,
        phase=metric.phase,
        a=values,
        b=Values(by_repeat={0: reference.value}),
        method="reference",
        letters=("A", letter),
        estimate=change(middle),
        low=None if interval is None else change(interval.low),
        high=None if interval is None else change(interval.high),
        confidence=None if interval is None else interval.confidence,
    )
    of = "" if reference.kind == "ratio" else "from "
    return replace(
        compared, sentence=f"A's {metric.key} is {compared.change_text} {of}the published figure (no verdict)"
    )


def _reference_device(reference: ReferenceRecord) -> str:
    count = reference.device_count
    return reference.device if count in (None, 1) else f"{count} × {reference.device}"


def _framework(runs: Sequence[RunRecord]) -> str | None:
    """What our side ran on, as its environment has it: the published rows are of frameworks too."""
    found = dict.fromkeys(str(version) for run in runs if (version := flatten(run.environment).get("packages.torch")))
    return f"PyTorch {words.listed(list(found))}" if found else None


def _reference_differences(a: Side, reference: ReferenceRecord, runs: Sequence[RunRecord]) -> tuple[Difference, ...]:
    cell = a.cell
    ours: dict[str, object] = {
        "device": cell.device,
        "mode": cell.mode,
        "dataset": cell.data.get("description") or cell.data.get("path") or cell.data.get("kind"),
        "timing_scope": cell.timing_scope,
        "protocol": ", ".join(f"{key}={value}" for key, value in cell.protocol.items() if value is not None) or None,
        "batch": next((cell.params[key] for key in ("batch_size", "batch") if key in cell.params), None),
        "precision": cell.params.get("precision", cell.engine.get("precision")),
        "epochs": cell.protocol.get("epochs"),
        "framework": _framework(runs),
    }
    theirs: dict[str, object] = {
        "device": _reference_device(reference),
        "mode": reference.mode,
        "dataset": reference.dataset,
        "timing_scope": reference.timing_scope,
        "protocol": reference.protocol,
        "batch": reference.batch,
        "precision": reference.precision,
        "epochs": reference.epochs,
        "framework": " ".join(filter(None, (reference.framework, reference.framework_version))) or None,
    }
    for key, value in reference.params.items():
        ours[key], theirs[key] = words.setting_text(cell.params.get(key)), words.setting_text(value)
    return tuple(
        Difference(key, ours.get(key), value, "subject")
        for key, value in theirs.items()
        if value is not None and value != ours.get(key)
    )


def _reference_notes(a: Side, reference: ReferenceRecord, runs: Sequence[RunRecord]) -> list[str]:
    notes = [f"Published: {reference.source}."]
    if reference.remark:
        notes.append(f"Remark: {reference.remark}.".replace("..", "."))
    notes.append(
        "A reference is one figure of another machine: its own spread is unknown, so there is no p and no verdict."
    )
    unstated = [name for name in ("protocol", "precision", "timing_scope") if getattr(reference, name) is None]
    if unstated:
        notes.append(f"The reference does not state its {words.listed(unstated).replace('_', ' ')}.")
    if a.cell.device_kind != "hardware":
        notes.append(f"A ran on {a.cell.device}, which was not proven to be hardware.")
    contended = sum(bool(run.contended) for run in runs)
    if contended:
        notes.append(f"{contended} of {len(runs)} runs of A were contended.")
    return notes
