"""What `bench doctor` shows of devices: each one probed in a child of its own, all at once; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.api import Available
from harness.devices.probe import TIMEOUT_S, Probed, examine_in_child
from harness.errors import BenchError
from harness.registry import Registry

State = Literal["available", "not installed", "no card", "not built", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReport:
    """One device in one sentence. `versions` are those of its interpreter; None: not installed there."""

    name: str
    state: State
    sentence: str
    hint: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    python: str | None = None


def examine(registry: Registry, python: str | Path | None = None, timeout_s: float = TIMEOUT_S) -> list[DeviceReport]:
    """A report for every device the registry knows, in its order. `python`: the interpreter workers would have."""

    def report(name: str) -> DeviceReport:
        try:
            return _report(name, examine_in_child(name, registry.plugins, python, timeout_s))
        except BenchError as problem:  # a plug-in or entry point that does not even construct
            return DeviceReport(name=name, state="broken", sentence=problem.message, hint=problem.hint)

    names = registry.device_names()
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(report, names))


def _report(name: str, probed: Probed) -> DeviceReport:
    verdict = probed.verdict
    if isinstance(verdict, Available):
        summary = verdict.details.get("summary") or verdict.details.get("name") or "available"
        return DeviceReport(
            name=name,
            state="available",
            sentence=str(summary),
            details=verdict.details,
            versions=probed.versions,
            python=probed.python,
        )
    return DeviceReport(
        name=name,
        state=verdict.state,
        sentence=verdict.reason,
        hint=verdict.hint,
        details=verdict.details,
        versions=probed.versions,
        python=probed.python,
    )
