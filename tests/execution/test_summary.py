from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Work
from harness.execution.events import Event
from harness.execution.summary import RunTally, metric_of_event
from harness.metrics import SHARED_METRICS


def event(type: str, **body: Any) -> Event:
    return Event(type, 0, 0.0, 0.0, 0, 0, 0.0, body)


def ended(samples: int, seconds: float, steps: int = 1) -> Event:
    return event(
        "phase", name="measure", state="end", seconds=seconds, segment_samples=samples, segment_steps=steps,
        segment_seconds=seconds,
    )  # fmt: skip


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(1e-3, 1e6)), min_size=1, max_size=8))
def test_throughput_is_all_samples_over_the_longest_rank(ranks: list[tuple[int, float]]) -> None:
    tally = RunTally.of(len(ranks))
    for rank, (samples, seconds) in zip(tally.ranks, ranks, strict=True):
        rank.phase_ended(ended(samples, seconds))
    assert tally.throughput() == pytest.approx(sum(s for s, _ in ranks) / max(t for _, t in ranks))


def test_throughput_is_not_the_mean_of_window_rates() -> None:
    tally = RunTally.of(1)
    for samples, seconds in ((100, 1.0), (100, 4.0)):
        tally.ranks[0].window(event("window", phase="measure", index=0, window_samples=samples, seconds=seconds))
    assert tally.throughput_so_far() == 40.0
    assert tally.throughput() is None
    tally.ranks[0].phase_ended(ended(200, 5.0))
    assert tally.throughput() == 40.0


def test_warm_up_counts_for_no_rate() -> None:
    tally = RunTally.of(1)
    tally.ranks[0].window(event("window", phase="warmup", index=0, window_samples=10**6, seconds=1.0))
    assert tally.throughput_so_far() is None


def test_a_rank_without_an_end_leaves_no_throughput() -> None:
    tally = RunTally.of(2)
    tally.ranks[0].phase_ended(ended(10, 1.0))
    assert tally.throughput() is None
    assert {row.name for row in tally.metrics("r", SHARED_METRICS, alone=True, energy_j=5.0)} == set()


def test_nothing_measured_is_none_and_not_zero() -> None:
    tally = RunTally.of(1)
    tally.ranks[0].phase_ended(ended(0, 0.0))
    rows = {row.name: row.value for row in tally.metrics("r", SHARED_METRICS, alone=True, energy_j=3.0)}
    assert rows == {"throughput": None, "measure_s": 0.0, "energy_j_per_sample": None}


def test_beside_another_measurement_throughput_is_none() -> None:
    tally = RunTally.of(1)
    tally.ranks[0].phase_ended(ended(10, 2.0))
    rows = {row.name: row.value for row in tally.metrics("r", SHARED_METRICS, alone=False, energy_j=20.0)}
    assert rows == {"throughput": None, "measure_s": 2.0, "energy_j_per_sample": 2.0}


def test_phases_that_come_more_than_once_are_added_and_the_longest_rank_counts() -> None:
    tally = RunTally.of(2)
    for rank, seconds in ((0, 1.0), (0, 2.0), (1, 2.5)):
        tally.ranks[rank].phase_ended(event("phase", name="evaluate", state="end", seconds=seconds))
    (row,) = tally.metrics("r", SHARED_METRICS, alone=True, energy_j=None)
    assert (row.name, row.value, row.phase) == ("evaluate_s", 3.0, "evaluate")


def test_the_work_of_a_step_ignores_what_it_does_not_know() -> None:
    tally = RunTally.of(1)
    assert tally.work_per_step() is None
    tally.work = {"flops": 10, "row_bytes": 64, "phlogiston": 3, "disk_bytes": None}
    assert tally.work_per_step() == Work(flops=10.0, row_bytes=64.0)


def test_unknown_words_of_a_metric_become_cautious_ones() -> None:
    row = metric_of_event("r", event("metric", name="x", value=1.0, unit="", better="up", role="king", kind=3), {})
    assert (row.better, row.role, row.kind, row.phase) == ("none", "info", "ratio", "measure")
