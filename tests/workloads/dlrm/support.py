"""A context that records what a workload says, on the real CPU device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.api import DataIdentity
from harness.devices.cpu import CpuDevice
from harness.settings import build
from workloads.dlrm.config import DLRMConfig

TINY = {
    "rows": 2_000,
    "table_rows": 40,
    "embedding_dim": 4,
    "bottom_mlp": (16, 4),
    "top_mlp": (16, 1),
    "batch": 64,
    "compile": "off",
}


class RecordingContext:
    def __init__(
        self,
        tmp_path: Path,
        *,
        mode: str = "train",
        timing_scope: str = "compute",
        seed: int = 0,
        data_seed: int = 0,
        data: Path | None = None,
        init_from: Path | None = None,
        **values: Any,
    ) -> None:
        self.config = build(DLRMConfig, mode, {**TINY, **values})
        self.mode = mode
        self.device = CpuDevice()
        self.timing_scope = timing_scope
        self.seed = seed
        self.data_seed = data_seed
        self.repeat = 0
        self.rank = 0
        self.world_size = 1
        self.data = data
        self.init_from = init_from
        self.cache_dir = tmp_path / "cache"
        self.output_dir = tmp_path
        self.identity: DataIdentity | None = None
        self.facts: dict[str, Any] = {}
        self.logs: list[str] = []
        self.metrics: dict[str, float | None] = {}
        self.artifacts: dict[str, Path] = {}
        self.timers: list[str] = []
        self.progressed: list[tuple[float, float | None, str]] = []
        self._shared: dict[str, Any] = {}

    def identify(self, identity: DataIdentity) -> None:
        self.identity = identity

    @contextmanager
    def timer(self, name: str) -> Iterator[None]:
        self.timers.append(name)
        yield

    def metric(self, name: str, value: float | None, **labels: str) -> None:
        self.metrics[name] = value

    def series(self, name: str, axis: str, unit: str, x: Any, y: Any) -> None:
        pass

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self.progressed.append((done, total, unit))

    def engine(self, **facts: Any) -> None:
        self.facts |= facts

    def log(self, text: str, level: str = "info") -> None:
        self.logs.append(text)

    def artifact(self, kind: str, path: Path) -> None:
        self.artifacts[kind] = path

    def should_stop(self) -> bool:
        return False

    def shared(self, key: str, make: Any) -> Any:
        return self._shared.setdefault(key, make())
