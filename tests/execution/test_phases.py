"""The measurement loop, run in this process against fake workloads and devices, its events read from a real channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.api import BaseWorkload, Context, Step
from harness.errors import RunFailed
from harness.execution import checkpoint
from harness.execution.phases import Measurement, WindowCutter, percentile
from tests.fakes.devices import LateDevice
from tests.fakes.measure import Bench, measured, metrics, phases


def test_the_phases_come_in_order_and_every_sample_is_counted_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=105, batch=10, epochs=2)
    events = bench.run()
    assert phases(events) == [
        "setup begin", "setup end", "measure begin", "measure end", "evaluate begin", "evaluate end",
    ]  # fmt: skip
    end = measured(events)
    assert end["segment_samples"] == 210
    assert end["segment_steps"] == 22  # the last step of an epoch has 5 samples
    assert sum(e["window_samples"] for e in events if e.type == "window") == 210
    assert bench.workload.epochs == [0, 1]
    assert metrics(events)["seen"] == 210
    assert events[-1].samples == 210 and events[-1].epoch == 2


def test_windows_add_up_to_the_measured_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=10**6, batch=10, step_s=0.002, seconds=0.3, window_s=0.05, epochs=100)
    events = bench.run()
    windows = [e for e in events if e.type == "window"]
    assert len(windows) >= 4
    assert sum(w["seconds"] for w in windows) == pytest.approx(measured(events)["segment_seconds"], rel=0.02)
    assert sum(w["window_samples"] for w in windows) == measured(events)["segment_samples"]
    assert 0.3 <= measured(events)["segment_seconds"] < 0.6


@pytest.mark.parametrize("key, value, samples", [("steps", 7, 70), ("samples", 45, 50), ("epochs", 0.5, 500)])
def test_stop_conditions_stop_at_the_first_step_that_reaches_them(
    tmp_path: Path, key: str, value: float, samples: int
) -> None:
    values = {"epochs": 5, key: value}
    events = Bench(tmp_path, "steady", rows=1000, batch=10, **values).run()
    assert measured(events)["segment_samples"] == samples


def test_warm_up_steps_teach_but_count_for_no_rate(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1, warmup="30").run()
    assert measured(events)["segment_samples"] == 700
    assert metrics(events)["seen"] == 1000
    assert "warmup end" in phases(events)


def test_automatic_warm_up_takes_at_most_a_fifth_of_a_planned_run(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1, warmup="auto").run()
    assert measured(events)["segment_samples"] == 800


def test_automatic_warm_up_ends_when_steady_or_at_its_cap(tmp_path: Path) -> None:
    events = Bench(
        tmp_path, "steady", rows=10**9, batch=10, step_s=0.001, seconds=0.1, epochs=1, warmup="auto", warmup_cap_s=0.5
    ).run()
    end = next(e for e in events if e.type == "phase" and e["name"] == "warmup" and e["state"] == "end")
    assert end["ended"] in ("steady", "cap")
    assert end["seconds"] < 2


def test_a_warm_up_that_leaves_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=100, batch=10, epochs=1, warmup="10")
    with pytest.raises(RunFailed, match="nothing was left to measure"):
        bench.run_and_close()


def test_evaluation_interrupts_the_measure_phase_every_n_samples(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1, evaluate_every=300).run()
    at = [e["x"][0] for e in events if e.type == "series" and e["name"] == "auc"]
    assert at == [300, 600, 900]


def test_an_evaluation_that_falls_on_the_end_is_made(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1, evaluate_every=500, target="seen>=1000").run()
    assert [e["x"][0] for e in events if e.type == "series" and e["name"] == "auc"] == [500, 1000]
    assert metrics(events)["time_to_target_s"] is not None


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 70, "warmup": "0", "epochs": 9},
        {"steps": 70, "warmup": "15", "epochs": 9},
        {"target": "seen>=700", "evaluate_every": 100, "epochs": 9},
        {"samples": 700},
    ],
)
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(tmp_path: Path, values: dict[str, Any]) -> None:
    pytest.importorskip("torch")
    whole = Bench(tmp_path / "whole", "steady", rows=1000, batch=10, checkpoint_every=300, **values).run()
    saved = next(event for event in whole if event.type == "checkpoint")
    state = checkpoint.load(Path(saved["path"]))
    rest = Bench(tmp_path / "rest", "steady", rows=1000, batch=10, **values).run(state)
    assert metrics(rest)["seen"] == metrics(whole)["seen"]
    for key in ("segment_steps", "segment_samples"):
        assert measured(rest)[key] == measured(whole)[key]
    if "target" in values:
        earlier = state["harness"]["measured_s"] + state["harness"]["warmup_s"]
        assert metrics(rest)["time_to_target_s"] > earlier


def test_a_stop_during_a_fixed_warm_up_is_heard_and_leaves_no_half_warm_checkpoint(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, "steady", rows=10**6, batch=10, step_s=0.001, warmup="100000", seconds=60, checkpoint_every=10**5
    )
    bench.channel.stop_requested = True
    events = bench.run()
    assert bench.workload.steps == 1
    assert not [event for event in events if event.type == "checkpoint"]
    assert "measure begin" not in phases(events)


def test_a_reached_target_stops_the_run_and_gives_its_time(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=9, evaluate_every=100, target="seen>=400").run()
    assert measured(events)["segment_samples"] == 400
    assert metrics(events)["time_to_target_s"] == pytest.approx(measured(events)["segment_seconds"])


def test_a_target_that_is_never_reached_has_no_time(tmp_path: Path) -> None:
    events = Bench(tmp_path, "steady", rows=100, batch=10, epochs=2, evaluate_every=100, target="seen>=900").run()
    assert metrics(events)["time_to_target_s"] is None


def test_a_target_on_something_never_measured_is_an_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=100, batch=10, epochs=3, evaluate_every=100, target="gauc>=0.5")
    with pytest.raises(RunFailed, match="gauc"):
        bench.run_and_close()


class Slow(BaseWorkload):
    """Epochs, evaluations and steps that each take a known time."""

    def setup(self, context: Context) -> None:
        self.count = 0

    def begin_epoch(self, epoch: int) -> None:
        import time

        time.sleep(0.05)

    def step(self) -> Step:
        self.count += 1
        return Step(1, epoch_end=self.count % 5 == 0)

    def evaluate(self, part: str) -> Any:
        import time

        time.sleep(0.05)
        return []

    def epoch_samples(self) -> int | None:
        return 5


@pytest.mark.parametrize(
    "scope, least, most", [("compute", 0.0, 0.05), ("compute+input", 0.14, 0.24), ("end_to_end", 0.19, 0.4)]
)
def test_the_timing_scope_decides_what_the_clock_covers(tmp_path: Path, scope: str, least: float, most: float) -> None:
    events = Bench(
        tmp_path, "steady", workload=Slow(), epochs=4, timing_scope=scope, evaluate_every=10, batch=1, rows=5
    ).run()
    assert least <= measured(events)["segment_seconds"] <= most


def test_stop_finishes_the_window_and_evaluates_nothing_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=10**9, batch=10, step_s=0.001, seconds=60, epochs=1, window_s=0.05)
    bench.channel.stop_requested = True
    events = bench.run()
    assert len([e for e in events if e.type == "window"]) == 1
    assert measured(events)["segment_samples"] > 0
    assert "evaluate begin" not in phases(events)


def test_a_pass_goes_once_through_its_work(tmp_path: Path) -> None:
    events = Bench(tmp_path, "many", size=25).run()
    assert measured(events)["segment_samples"] == 100
    assert metrics(events)["hit_ratio"] == 0.25
    assert "warmup begin" not in phases(events)


def test_a_driven_mode_reports_what_the_outside_clock_saw(tmp_path: Path) -> None:
    events = Bench(tmp_path, "driven", requests=100).run()
    assert measured(events)["segment_samples"] == 200
    assert metrics(events)["latency_p50_s"] == pytest.approx(0.050)
    assert metrics(events)["latency_p99_s"] == pytest.approx(0.099)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "steady", rows=100, batch=10, epochs=1)
    bench.workload.training_loss = lambda: float("nan")
    with pytest.raises(RunFailed, match="loss is nan"):
        bench.run_and_close()


def test_windows_of_an_asynchronous_device_are_cut_by_its_own_clock_without_waiting() -> None:
    device, sent = LateDevice(tick_s=0.5, lag=2), []
    cutter = WindowCutter(device, 1.0, lambda *window: sent.append(window))
    cutter.begin()
    for total, samples in ((1, 1), (3, 2), (7, 4), (15, 8), (31, 16)):
        cutter.cut(samples, total)
    assert device.synchronized == 0
    assert sent == [(3, 1.0, False, 3)]  # two pieces of half a second each; the rest is not ready
    device.synchronize()
    cutter.finish(last=True)
    assert sent == [(3, 1.0, False, 3), (12, 1.0, False, 15), (16, 0.5, True, 31)]


def test_a_resumed_run_counts_on_from_its_checkpoint(tmp_path: Path) -> None:
    state = {
        "workload": {"seen": 300, "position": 300},
        "harness": {
            "step": 30,
            "samples": 300,
            "epochs": 0,
            "epoch_begun": True,
            "measured_steps": 30,
            "measured_samples": 300,
            "measured_s": 1.5,
            "warmup_s": 0.5,
        },
    }
    bench = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1)
    events = bench.run(state)
    assert measured(events)["segment_samples"] == 1000
    assert bench.workload.epochs == []
    assert metrics(events)["seen"] == 1000


def test_a_checkpoint_of_the_planned_end_leaves_nothing_to_measure(tmp_path: Path) -> None:
    state = {
        "workload": {"seen": 1000, "position": 0},
        "harness": {
            "step": 100,
            "samples": 1000,
            "epochs": 1,
            "epoch_begun": False,
            "measured_steps": 100,
            "measured_samples": 1000,
            "measured_s": 1.0,
            "warmup_s": 0.0,
        },
    }
    bench = Bench(tmp_path, "steady", rows=1000, batch=10, epochs=1)
    with pytest.raises(RunFailed, match="nothing was left to measure"):
        bench.run_and_close(state)
    assert bench.workload.steps == 0


@pytest.mark.parametrize("values, share, expected", [([], 0.5, None), ([3.0], 0.99, 3.0), ([4, 1, 3, 2], 0.5, 2)])
def test_percentiles_are_values_that_occurred(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_steps_that_answer_requests_have_percentiles_of_their_time(tmp_path: Path) -> None:
    for latency in (False, True):
        bench = Bench(tmp_path, "steady", rows=100, batch=10, steps=7)
        bench.measurement = Measurement(bench.workload, bench.context, bench.channel, bench.spec, latency=latency)
        found = metrics(bench.run())
        names = {"latency_p50_s", "latency_p90_s", "latency_p99_s"}
        assert names & set(found) == (names if latency else set())
        if latency:
            assert 0.0 < found["latency_p50_s"] <= found["latency_p90_s"] <= found["latency_p99_s"]
