"""The Context that a workload sees: the worker's implementation of `harness.api.Context`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.api import DataIdentity, Description, Device, Metric, MetricSpec, TimingScope
from harness.errors import RunFailed
from harness.execution.channel import Channel
from harness.metrics import SHARED_METRICS
from harness.spec import RunSpec

T = TypeVar("T")
_PROGRESS_EVERY_S = 0.2


class WorkerContext:
    """State of one repeat of one cell inside its worker. Turns calls of the workload into events."""

    def __init__(
        self,
        channel: Channel,
        description: Description,
        spec: RunSpec,
        config: Any,
        device: Device,
        *,
        repeat: int,
        rank: int,
        world_size: int,
        cache_dir: Path,
        output_dir: Path,
        shared: dict[str, Any],
    ) -> None:
        self.config = config
        self.mode = spec.mode
        self.device = device
        self.timing_scope: TimingScope = spec.settings.timing_scope
        self.seed = spec.settings.seed + repeat
        self.data_seed = spec.settings.data_seed
        self.repeat = repeat
        self.rank = rank
        self.world_size = world_size
        self.data = spec.settings.data
        self.init_from = spec.settings.init_from
        self.cache_dir = cache_dir
        self.output_dir = output_dir
        self.phase = "setup"
        self.timers: dict[str, float] = {}
        self._channel = channel
        self._declared = {**SHARED_METRICS, **{item.name: item for item in description.metrics}}
        self._shared = shared
        self._progress_at = 0.0

    def identify(self, identity: DataIdentity) -> None:
        self._channel.send(
            "data",
            fingerprint=identity.fingerprint,
            kind=identity.kind,
            rows=identity.rows,
            description=identity.description,
            rules=identity.rules,
            path=str(self.data) if self.data else None,
        )

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timers[name] = self.timers.get(name, 0.0) + time.perf_counter() - start

    def metric(self, name: str, value: float | None, **labels: str) -> None:
        self.emit(Metric(name, value, labels))

    def emit(self, metric: Metric, phase: str | None = None) -> None:
        """Sends a metric with what is declared of it; an undeclared one is information without a direction."""
        spec = self._declared.get(metric.name, MetricSpec(metric.name, "", "none"))
        value = None if metric.value is None else float(metric.value)
        self._channel.send(
            "metric",
            name=metric.name,
            value=value,
            unit=spec.unit,
            better=spec.better,
            role=spec.role,
            kind=spec.kind,
            phase=phase or self.phase,
            labels={key: str(text) for key, text in metric.labels.items()},
        )

    def series(
        self,
        name: str,
        axis: str,
        unit: str,
        x: Sequence[float],
        y: Sequence[float | None],
        labels: Mapping[str, str] | None = None,
    ) -> None:
        if len(x) != len(y):
            raise RunFailed(f"series {name!r} has {len(x)} places and {len(y)} values")
        self._channel.send("series", name=name, axis=axis, unit=unit, x=list(x), y=list(y), labels=dict(labels or {}))

    def progress(self, done: float, total: float | None, unit: str) -> None:
        now = time.monotonic()
        if now - self._progress_at < _PROGRESS_EVERY_S and done != total:
            return
        self._progress_at = now
        self._channel.send("progress", phase=self.phase, done=done, total=total, unit=unit)

    def engine(self, **facts: Any) -> None:
        self._channel.send("engine", values=facts)

    def log(self, text: str, level: Literal["info", "warning"] = "info") -> None:
        self._channel.send("log", level=level, text=text)

    def artifact(self, kind: str, path: Path) -> None:
        self._channel.send("artifact", kind=kind, path=str(path), bytes=path.stat().st_size)

    def should_stop(self) -> bool:
        return self._channel.stop_requested or self._channel.skip_requested

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found
