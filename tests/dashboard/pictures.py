"""Snapshots as an orchestrator would send them, made by arithmetic: the same on every machine and every day.

`steady(at_s)` is a training run's picture at that second of its third repeat; `sweep()` has cache policies as cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.dashboard.source import Source
from harness.errors import BenchError, UsageError
from harness.execution.snapshot import CellView, LineView, MetricView, RunView, Snapshot, WindowView

EXPERIMENT = "kmzt9c4q7x2a"
RATE = 61_000.0
BATCH = 2048


def metric(name: str, value: float | None, unit: str = "", **more: Any) -> MetricView:
    return MetricView(name=name, value=value, unit=unit, **more)


def windows(run_id: str, count: int, *, seed: int, first: int = 0) -> tuple[WindowView, ...]:
    """A window a second, two of them warm-up, with a wobble that depends on `seed`."""
    made = []
    for index in range(count):
        wobble = 0.025 * math.sin(1.7 * index + seed) + 0.01 * math.sin(7.3 * index + 2 * seed)
        rate = RATE * (0.86 if index < 2 else 1.0 + wobble)
        loss = 0.44 + 0.25 * math.exp(-(index + 1) / 9) + 0.004 * math.sin(3.1 * index + seed)
        made.append(
            WindowView(
                number=first + index, run_id=run_id, phase="warmup" if index < 2 else "measure", index=index,
                at_s=3.0 + index, samples=round(rate), seconds=1.0, loss=loss,
            )
        )  # fmt: skip
    return tuple(made)


def finished(repeat: int, **changes: Any) -> RunView:
    """A repeat that ended well."""
    run_id = f"r{repeat}aaaaaaaaaa"
    made = windows(run_id, 30, seed=repeat, first=100 * repeat)
    facts: dict[str, Any] = {
        "id": run_id, "cell_id": "c0", "repeat": repeat, "status": "ok",
        "started_at": f"2026-11-03T14:0{repeat}:00Z", "elapsed_s": 34.0 + repeat,
        "samples": sum(window.samples for window in made), "throughput": RATE * (1 + 0.004 * repeat),
        "contended": False, "windows": made,
        "metrics": (
            metric("auc", 0.7931 + 0.0003 * repeat, better="higher", role="primary"), metric("auc_bayes", 0.8125),
            metric("log_loss", 0.4312, "nat"), metric("throughput", RATE * (1 + 0.004 * repeat), "samples/s"),
            metric("memory_peak_bytes", 1.31e9, "bytes"),
        ),
    }  # fmt: skip
    return RunView(**{**facts, **changes})


def current(repeat: int, at_s: int, **changes: Any) -> RunView:
    """A repeat `at_s` windows after its first."""
    run_id = f"r{repeat}aaaaaaaaaa"
    made = windows(run_id, at_s, seed=repeat, first=100 * repeat)
    facts: dict[str, Any] = {
        "id": run_id, "cell_id": "c0", "repeat": repeat, "status": "running",
        "phase": "measure" if at_s > 2 else "warmup",
        "started_at": f"2026-11-03T14:0{repeat}:00Z", "elapsed_s": at_s + 3.0, "step": at_s * 30,
        "samples": sum(window.samples for window in made), "progress_done": float(at_s - 2), "progress_total": 28.0,
        "progress_unit": "s", "eta_s": 33.0 - at_s, "throughput": RATE * 1.006, "windows": made,
    }  # fmt: skip
    return RunView(**{**facts, **changes})


def pending(repeat: int, cell_id: str = "c0") -> RunView:
    return RunView(id=f"r{repeat}aaaaaaaaaa", cell_id=cell_id, repeat=repeat, status="pending")


def host(at: float, *, foreign: float = 0.0) -> dict[str, Any]:
    """The host's reading: eight cores, of which the worker keeps six busy."""
    cores = [min(1.0, 0.72 + 0.05 * math.sin(at + core) + foreign / 8) for core in range(8)]
    return {
        "cpu_by_core": cores, "cpu_total": sum(cores) / 8, "memory_used_bytes": 11_300_000_000,
        "memory_available_bytes": 22_700_000_000, "worker_cpu_per_wall": sum(cores) - foreign - 0.05,
        "worker_rss_bytes": 2_140_000_000, "worker_read_bytes": int(1.9e8 * at), "worker_write_bytes": int(2e5 * at),
        "load1": 6.2, "frequency_mhz": 3410.0, "temperature_c": 61.0,
    }  # fmt: skip


def card(at: float, **changes: Any) -> dict[str, Any]:
    """A card's reading."""
    return {
        "utilisation_gpu": 0.93 + 0.04 * math.sin(at), "memory_used_bytes": 34_400_000_000,
        "memory_total_bytes": 85_900_000_000, "power_w": 412.0 + 9 * math.sin(at), "temperature_c": 63,
        "clock_sm_mhz": 1755, "slowed_by": (), "other_pids": (), **changes,
    }  # fmt: skip


LINES: Sequence[LineView] = (
    LineView(number=1, at="14:05:00", level="info", text="26 tables of 16 columns, 540 000 rows"),
    LineView(number=2, at="14:05:31", level="warning", text="no C++ compiler: the fused update runs in torch",
             run_id="r0aaaaaaaaaa"),
    LineView(number=3, at="14:06:02", level="info", text="evaluated 100 000 rows", run_id="r1aaaaaaaaaa"),
)  # fmt: skip


def snapshot(*cells: CellView, **changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "experiment_id": EXPERIMENT, "command": "run", "database": "/nowhere/results.db", "state": "running",
        "started_at": "2026-11-03T14:05:00Z", "elapsed_s": 90.0, "eta_s": 84.0, "current_run": "r2aaaaaaaaaa",
        "cells": cells, "lines": tuple(LINES), "telemetry": {"host": host(90.0)},
    }  # fmt: skip
    return Snapshot(**{**facts, **changes})


def cell(*runs: RunView, **changes: Any) -> CellView:
    facts: dict[str, Any] = {
        "id": "c0", "index": 0, "label": "", "workload": "dlrm", "mode": "train", "device": "cpu",
        "device_kind": "hardware", "repeats": 5, "profile": "demo", "runs": runs,
    }  # fmt: skip
    return CellView(**{**facts, **changes})


def steady(at_s: int = 18, *, device: str = "cpu", **changes: Any) -> Snapshot:
    """Five repeats, the third of them measured for `at_s` seconds."""
    runs = (finished(0), finished(1, contended=True), current(2, at_s), pending(3), pending(4))
    at = 70.0 + at_s
    readings: dict[str, Any] = {"host": host(at)}
    if device != "cpu":
        readings[device] = card(at)
    facts: dict[str, Any] = {"elapsed_s": at, "telemetry": readings, "eta_s": 102.0 - at_s}
    return snapshot(cell(*runs, device=device), **{**facts, **changes})


def over(**changes: Any) -> Snapshot:
    """The same at its end."""
    runs = tuple(finished(repeat) for repeat in range(5))
    facts: dict[str, Any] = {"state": "done", "exit_code": 0, "current_run": None, "eta_s": None, "elapsed_s": 182.0}
    return snapshot(cell(*runs), **{**facts, **changes})


def sweep(policies: Sequence[str] = ("lru", "lfu", "s3-fifo", "belady"), **changes: Any) -> Snapshot:
    """Cache policies, two repeats each; the last policy is going on."""
    cells = []
    for index, name in enumerate(policies):
        runs = []
        for repeat in range(2):
            last = index == len(policies) - 1
            status = "ok" if not last else ("running" if repeat == 0 else "pending")
            metrics = () if last else (metric("hit_ratio", 0.6125 + 0.021 * index, better="higher", role="primary"),)
            runs.append(
                RunView(
                    id=f"s{index}{repeat}aaaaaaaaa", cell_id=f"c{index}", repeat=repeat, status=status,
                    phase="measure" if status == "running" else None,
                    started_at=None if status == "pending" else f"2026-11-03T14:{index}{repeat}:00Z",
                    elapsed_s=None if status == "pending" else 12.0,
                    progress_done=41e6 if status == "running" else None,
                    progress_total=96e6 if status == "running" else None,
                    progress_unit="requests" if status == "running" else "",
                    throughput=None if status == "pending" else 4.1e6 - 3e5 * index, metrics=metrics,
                )
            )  # fmt: skip
        cells.append(
            cell(*runs, id=f"c{index}", index=index, label=f"policy={name}", workload="cachesim", mode="simulate",
                 profile=None, repeats=2)
        )  # fmt: skip
    last = f"s{len(policies) - 1}0aaaaaaaaa"
    facts: dict[str, Any] = {"command": "sweep", "current_run": last, "eta_s": 21.0}
    return snapshot(*cells, **{**facts, **changes})


class Recording:
    """A source that plays pictures, the last one again and again unless it is over; keeps the commands it was given."""

    live = True

    def __init__(self, *pictures: Snapshot, refuses: str | None = None, lost: BenchError | None = None) -> None:
        self.experiment_id = pictures[0].experiment_id
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.asked = 0
        self.closed = False
        self._pictures = list(pictures)
        self._refuses, self._lost = refuses, lost

    def next_snapshot(self, timeout_s: float) -> Snapshot | None:
        import time

        self.asked += 1
        if self.closed:
            return None
        if self._pictures:
            return self._pictures.pop(0)
        if self._lost is not None:
            raise self._lost
        time.sleep(min(timeout_s, 0.02))
        return None

    def play(self, *pictures: Snapshot) -> None:
        """The next pictures."""
        self._pictures += pictures

    def send(self, command: str, **fields: Any) -> str:
        self.sent.append((command, fields))
        if self._refuses is not None:
            raise UsageError(self._refuses)
        return f"{command} is done"

    def close(self) -> None:
        self.closed = True


def changed(picture: Snapshot, **changes: Any) -> Snapshot:
    return replace(picture, **changes)


def is_source(recording: Recording) -> Source:
    """The seam is kept: mypy checks it."""
    return recording
