"""What is known of one run, beside the list that it was chosen from."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from harness.dashboard.views.wrap import wrapped
from harness.dashboard.widgets.cells import fitted
from harness.dashboard.words import local_time, status_tone
from harness.ids import short_id
from harness.report.numbers import amount, duration
from harness.store.records import MetricRecord, RunSummary

_TONES = {"good": "$text-success", "bad": "$text-error", "warn": "$text-warning", "busy": "$text-accent"}
_MUTED = "$foreground 60%"
_ROLES = ("primary", "gate", "info")
_LABEL = 11


class RunCard(Static):
    """Shows a run; `brief` leaves out all but what the list has no room for."""

    def show(self, run: RunSummary | None, metrics: tuple[MetricRecord, ...] | None = None) -> None:
        content = Content("")
        if run is not None:
            narrow = self.screen.has_class("-narrow")
            known = metrics or tuple(run.metrics.values())
            content = _brief(run) if narrow else _whole(run, known, self.size.width or 40)
        self.update(content, layout=False)  # its size is the screen's to say: a layout would draw all of it anew


def _brief(run: RunSummary) -> Content:
    lines = [Content.assemble((f"{run.workload} {run.mode}", "bold"), " on ", _device(run), " · ", _status(run))]
    tags, note = ", ".join(run.tags) or "–", run.note or "–"
    lines += [Content.assemble(("tags ", _MUTED), tags, ("   note ", _MUTED), note)]
    why = run.reason or run.contention_reason
    if why:
        lines.append(Content.styled(why, "$text-warning"))
    return Content("\n").join(lines)


def _whole(run: RunSummary, metrics: tuple[MetricRecord, ...], width: int) -> Content:
    lines = [Content.assemble((f"{run.workload} {run.mode}", "bold"), " on ", _device(run))]
    if run.label:
        lines.append(Content(run.label))
    lines.append(_status(run))
    why = run.reason if run.status != "ok" else None
    for text in (why, run.contention_reason if run.contended else None):
        lines += [Content.styled(text, "$text-warning")] if text else []
    lines.append(Content(""))
    for label, value in (
        ("tags", ", ".join(run.tags) or "–"), ("note", run.note or "–"), ("experiment", short_id(run.experiment_id)),
        ("run", f"{short_id(run.id)}, repeat {run.repeat + 1}"), ("started", local_time(run.started_at)),
        ("took", duration(run.wall_s)), ("profile", run.profile or "–"), ("clock", run.timing_scope),
        ("settings", run.params_hash), ("host", run.host or "–"),
    ):  # fmt: skip
        for place, part in enumerate(wrapped(value, max(10, width - _LABEL))):
            lines.append(Content.assemble((label.ljust(_LABEL) if place == 0 else " " * _LABEL, _MUTED), part))
    if metrics:
        lines.append(Content(""))
    for role in _ROLES:
        for metric in metrics:
            if metric.role == role:
                value = amount(metric.value, metric.unit)
                room = max(1, width - len(value) - 1)
                style = "bold" if role == "primary" else "" if role == "gate" else _MUTED
                number = style if metric.value is not None else _MUTED
                lines.append(Content.assemble((fitted(metric.key, room), style), " ", (value, number)))
    return Content("\n").join(lines)


def _device(run: RunSummary) -> Content:
    if run.device_kind in (None, "hardware"):
        return Content(run.device)
    return Content.assemble(run.device, (f" ({run.device_kind})", "$text-warning"))


def _status(run: RunSummary) -> Content:
    found = Content.styled(str(run.status), _TONES.get(status_tone(run.status), _MUTED))
    if run.contended:
        found += Content.styled(", contended", "$text-warning")
    return found
