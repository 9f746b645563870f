from __future__ import annotations

import numpy as np
import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.curves.support import dense
from tests.workloads.cachesim.policies.traces import drifting
from workloads.cachesim.curves.curve import size_grid
from workloads.cachesim.curves.opt import opt_hits
from workloads.cachesim.curves.runs import run_curve
from workloads.cachesim.policies.simulate import simulate

IDS, UNIQUE = dense(drifting(4000, 500, 5).tolist())


@pytest.mark.parametrize("policy", ["fifo", "sieve", "arc", "belady", "random"])
def test_a_curve_by_runs_has_the_hits_of_each_run_whatever_the_jobs(policy):
    sizes = size_grid(UNIQUE, 9)
    curve = run_curve(policy, IDS, UNIQUE, sizes, warmup=400, seed=3)
    side_by_side = run_curve(policy, IDS, UNIQUE, sizes[::-1], warmup=400, seed=3, jobs=2)
    assert curve.policy == policy and curve.requests == 3600
    assert curve.hits.tolist() == side_by_side.hits.tolist()
    assert curve.hits.tolist() == [simulate(policy, IDS, UNIQUE, int(s), warmup=400, seed=3).hits for s in sizes]


def test_belady_by_runs_equals_opt_by_bisection():
    sizes = size_grid(UNIQUE, 20)
    assert run_curve("opt", IDS, UNIQUE, sizes).hits.tolist() == opt_hits(IDS, UNIQUE, sizes).tolist()


def test_progress_counts_runs():
    reports = []
    run_curve("lru", IDS, UNIQUE, np.array([1, 5]), progress=lambda done, all_: reports.append((done, all_)))
    assert reports == [(1, 2), (2, 2)]


def test_sizes_below_one_row_and_no_jobs_are_refused():
    with pytest.raises(UsageError, match="the lru curve needs sizes of at least 1 row"):
        run_curve("lru", IDS, UNIQUE, np.array([0, 5]))
    with pytest.raises(UsageError, match="jobs = 0"):
        run_curve("lru", IDS, UNIQUE, np.array([5]), jobs=0)
