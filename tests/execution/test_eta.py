from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.eta import Estimator, Going, Progress


def progress(done: float, total: float | None, seconds: float, told_s: float | None = None) -> Progress:
    return Progress(begun=100.0, first_done=0.0, done=done, total=total, at=100.0 + seconds, told_s=told_s)


@given(st.floats(1, 1e6), st.floats(0.01, 0.99), st.floats(1.0, 1e5))
def test_at_a_steady_rate_the_rest_takes_its_share(total: float, part: float, seconds: float) -> None:
    left = progress(total * part, total, seconds).left_s(100.0 + seconds)
    assert left == pytest.approx(seconds * (1 - part) / part, rel=1e-6)


@pytest.mark.parametrize(
    "unknown", [progress(0, 10, 5.0), progress(5, None, 5.0), progress(5, 10, 0.2)], ids=["none", "no total", "short"]
)
def test_nothing_is_told_before_a_rate_is_known(unknown: Progress) -> None:
    assert unknown.left_s(200.0) is None


def test_time_passes_between_two_reports_and_never_below_zero() -> None:
    assert progress(5, 10, 5.0).left_s(107.0) == pytest.approx(3.0)
    assert progress(5, 10, 5.0).left_s(200.0) == 0.0


def test_the_workers_own_estimate_comes_first() -> None:
    assert progress(5, 10, 5.0, told_s=60.0).left_s(115.0) == pytest.approx(50.0)


def test_a_first_repeat_says_nothing_before_it_measures() -> None:
    estimator = Estimator()
    assert estimator.run_left_s("a", None, 1.0, 0.0, None) is None
    assert estimator.run_left_s("a", "setup", 1.0, 1.0, 4.0) is None
    assert estimator.run_left_s("a", "measure", 1.0, 1.0, None) is None
    assert estimator.run_left_s("a", "measure", 1.0, 1.0, 7.0) == 7.0


def test_a_later_repeat_knows_the_phases_to_come() -> None:
    estimator = Estimator()
    estimator.finished("a", 20.0, {"setup": 4.0, "warmup": 2.0, "measure": 10.0, "evaluate": 3.0})
    assert estimator.run_left_s("a", None, 1.0, 0.0, None) == pytest.approx(19.0)
    assert estimator.run_left_s("a", "setup", 1.0, 1.0, None) == pytest.approx(3.0 + 2.0 + 10.0 + 3.0)
    assert estimator.run_left_s("a", "measure", 9.0, 2.0, 6.0) == pytest.approx(6.0 + 3.0)
    assert estimator.run_left_s("a", "setup", 99.0, 99.0, None) == pytest.approx(15.0)


def test_an_experiment_adds_one_typical_run_for_each_that_waits() -> None:
    estimator = Estimator()
    assert estimator.experiment_left_s([Going("a", 5.0, None)], ["a"]) is None
    assert estimator.experiment_left_s([Going("a", 5.0, 5.0)], ["a", "a"]) == pytest.approx(5.0 + 20.0)
    estimator.finished("a", 8.0, {})
    assert estimator.experiment_left_s([Going("a", 2.0, 6.0)], ["a"]) == pytest.approx(14.0)
    assert estimator.experiment_left_s([], []) == 0.0


def test_cells_nobody_has_seen_are_guessed_only_once_half_of_them_are_known() -> None:
    estimator = Estimator()
    estimator.finished("a", 10.0, {})
    assert estimator.experiment_left_s([], ["b", "c"]) is None
    assert estimator.experiment_left_s([], ["b"]) == pytest.approx(10.0)
    assert estimator.experiment_left_s([Going("b", 4.0, None)], []) == pytest.approx(6.0)
    assert estimator.experiment_left_s([Going("b", 4.0, None)], ["c"]) is None


def test_runs_side_by_side_begin_as_lanes_become_free() -> None:
    estimator = Estimator()
    for cell, wall_s in (("a", 10.0), ("b", 4.0), ("c", 1.0)):
        estimator.finished(cell, wall_s, {})
    going = [Going("a", 1.0, 9.0), Going("b", 1.0, 3.0)]
    assert estimator.experiment_left_s(going, [], lanes=2) == pytest.approx(9.0)
    assert estimator.experiment_left_s(going, ["b", "c", "a"], lanes=2) == pytest.approx(8.0 + 10.0)
    assert estimator.experiment_left_s(going, ["b", "c", "a"]) == pytest.approx(9 + 3 + 4 + 1 + 10)
