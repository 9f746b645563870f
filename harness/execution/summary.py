"""From a run's events to its numbers: throughput, phase times, and what they say of the machine.

Throughput = all samples of the measure phase, over all ranks / the longest rank's measured seconds, synchronised at
both ends; never a mean of rates. A run that did not finish its measure phase has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.api import MetricSpec, Work
from harness.execution.events import Event
from harness.metrics import SHARED_METRICS
from harness.store.rows import MetricRow

_OF_TIME = ("roofline_share", "scaling_efficiency", "accelerator_utilization", "energy_j_per_sample")
_PHASE_METRICS = {"setup": "setup_s", "warmup": "warmup_s", "evaluate": "evaluate_s"}


@dataclass(slots=True)
class RankTally:
    """What one rank has done. `phase_s` are seconds by phase; the measured segments are set at the phase's end."""

    phase_s: dict[str, float] = field(default_factory=dict)
    segment_samples: int | None = None
    segment_steps: int | None = None
    segment_seconds: float | None = None
    window_samples: int = 0  # of the measure phase so far
    window_seconds: float = 0.0

    def phase_ended(self, event: Event) -> None:
        name, seconds = event["name"], event.get("seconds")
        if isinstance(seconds, int | float):
            self.phase_s[name] = self.phase_s.get(name, 0.0) + seconds
        if name == "measure":
            self.segment_samples = _number(event.get("segment_samples"), int)
            self.segment_steps = _number(event.get("segment_steps"), int)
            self.segment_seconds = _number(event.get("segment_seconds"), float)

    def window(self, event: Event) -> None:
        if event["phase"] == "measure":
            self.window_samples += event["window_samples"]
            self.window_seconds += event["seconds"]


@dataclass(slots=True)
class RunTally:
    """All ranks of one run."""

    ranks: list[RankTally]
    work: Mapping[str, Any] | None = None  # of one step of one rank

    @classmethod
    def of(cls, world_size: int) -> RunTally:
        return cls([RankTally() for _ in range(world_size)])

    @property
    def measured(self) -> bool:
        """Every rank has finished its measure phase."""
        return all(rank.segment_seconds is not None for rank in self.ranks)

    @property
    def measured_s(self) -> float | None:
        """Of the longest rank."""
        return max((rank.segment_seconds or 0.0 for rank in self.ranks), default=0.0) if self.measured else None

    @property
    def measured_samples(self) -> int | None:
        return sum(rank.segment_samples or 0 for rank in self.ranks) if self.measured else None

    def throughput(self) -> float | None:
        """Samples per second; None where it was not measured to the end, or nothing was."""
        samples, seconds = self.measured_samples, self.measured_s
        return samples / seconds if samples and seconds else None

    def throughput_so_far(self) -> float | None:
        """By the windows that have arrived, for people who watch."""
        seconds = max(rank.window_seconds for rank in self.ranks)
        return sum(rank.window_samples for rank in self.ranks) / seconds if seconds > 0 else None

    def work_per_step(self) -> Work | None:
        """The least work of one step of one rank, as the worker told it."""
        if self.work is None:
            return None
        known = {name: value for name, value in self.work.items() if name in Work.__dataclass_fields__}
        return Work(**{name: float(value) for name, value in known.items() if isinstance(value, int | float)})

    def metrics(
        self,
        run_id: str,
        declared: Mapping[str, MetricSpec],
        *,
        alone: bool,
        energy_j: float | None,
        accelerator_utilization: float | None = None,
    ) -> list[MetricRow]:
        """The harness's own metrics of a run that finished its measure phase, else only its times.

        `alone`: nothing else was measured on this machine at the same time, and the run was not resumed from another
        process; otherwise throughput is None.
        """
        rows: list[MetricRow] = []
        for phase, name in _PHASE_METRICS.items():
            seconds = [rank.phase_s[phase] for rank in self.ranks if phase in rank.phase_s]
            if seconds:
                rows.append(metric_row(run_id, name, max(seconds), declared, phase=phase))
        if self.measured:
            rows.append(metric_row(run_id, "measure_s", self.measured_s, declared))
            rows.append(metric_row(run_id, "throughput", self.throughput() if alone else None, declared))
            samples = self.measured_samples
            per_sample = energy_j / samples if energy_j is not None and samples else None
            rows.append(metric_row(run_id, "energy_j_per_sample", per_sample, declared))
            if accelerator_utilization is not None:
                rows.append(metric_row(run_id, "accelerator_utilization", accelerator_utilization, declared))
        return rows


def is_rate(unit: str) -> bool:
    """Seconds, or something a second."""
    return unit == "s" or unit.endswith("/s")


def is_timing(row: MetricRow) -> bool:
    """Whether it came from a clock (or a meter beside it), so that what else ran has a part in it; a time that was
    computed is `exact`."""
    return row.kind != "exact" and (is_rate(row.unit) or row.name in _OF_TIME)


def metric_row(
    run_id: str,
    name: str,
    value: float | None,
    declared: Mapping[str, MetricSpec],
    *,
    phase: str = "measure",
    labels: Mapping[str, str] | None = None,
) -> MetricRow:
    """A metric as it was declared by the workload, or by the harness for all."""
    spec = declared.get(name) or SHARED_METRICS[name]
    return MetricRow(
        run_id=run_id,
        name=name,
        value=value,
        unit=spec.unit,
        labels=labels or {},
        phase=phase,
        better=spec.better,
        role=spec.role,
        kind=spec.kind,
    )


def metric_of_event(run_id: str, event: Event, labels: Mapping[str, str]) -> MetricRow:
    """A metric as the worker told it; words that nobody knows become the most cautious ones."""
    return MetricRow(
        run_id=run_id,
        name=event["name"],
        value=event["value"],
        unit=event["unit"],
        labels={**_texts(event.get("labels")), **labels},
        phase=str(event.get("phase") or "measure"),
        better=_one_of(event.get("better"), ("higher", "lower", "none"), "none"),
        role=_one_of(event.get("role"), ("primary", "gate", "info"), "info"),
        kind=_one_of(event.get("kind"), ("ratio", "difference", "exact"), "ratio"),
    )


def _texts(labels: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}


def _one_of(value: Any, known: tuple[str, ...], otherwise: str) -> Any:  # Any: a Literal of the caller's column
    return value if value in known else otherwise


def _number(value: Any, kind: type) -> Any:  # Any: an int or a float, as `kind` says
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
