from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.execution.plan import Plan, make_plan
from tests.execution.test_lanes import spec_of


def plan_of(*jobs: int, command: Any = "run") -> Plan:
    return make_plan([spec_of(jobs=number) for number in jobs], command=command, database=Path("results.db"))


def test_jobs_hold_for_the_whole_experiment() -> None:
    assert plan_of(3, 3).jobs == 3
    with pytest.raises(UsageError, match="its cells have 1 and 3"):
        plan_of(3, 1)


@pytest.mark.parametrize("command", ["ab", "calibrate"])
def test_what_compares_times_runs_one_after_the_other(command: str) -> None:
    assert plan_of(1, 1, command=command).jobs == 1
    with pytest.raises(UsageError, match=f"jobs = 2: bench {command} runs one after the other"):
        plan_of(2, 2, command=command)


def test_jobs_travel_with_the_plan() -> None:
    plan = plan_of(2, 2)
    assert Plan.from_json(plan.to_json()) == plan
