from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.lanes import Cores, Lane, deal, lane_count
from harness.execution.plan import Plan, make_plan
from harness.registry import Registry
from harness.spec import RunSpec, Source, resolve
from tests.execution.conftest import PLUGIN

EIGHT = Cores(numbers=tuple(range(8)), at_once=8)


def spec_of(**values: Any) -> RunSpec:
    description = Registry([PLUGIN]).workload("fake")
    own = {"device": "fake", "mode": "scan", "repeats": 1, **values}
    return resolve(description, [Source(origin="test", values=own)], plugins=[PLUGIN])


def plan_of(cells: int = 20, **values: Any) -> Plan:
    return make_plan([spec_of(**values)] * cells, command="run", database=Path("results.db"))


def machine(folder: Path, siblings: dict[int, tuple[int, int]]) -> Path:
    """A tree of /sys in which each core has its (package, physical core)."""
    for core, (package, number) in siblings.items():
        topology = folder / f"sys/devices/system/cpu/cpu{core}/topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "core_id").write_text(f"{number}\n")
    return folder


@given(st.sets(st.integers(0, 300), min_size=1), st.data())
def test_every_core_is_dealt_once_and_parts_differ_by_one_at_most(cores: set[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(cores)))
    parts = deal(sorted(cores), count)
    assert sorted(chain(*parts)) == sorted(cores)
    assert len(parts) == count
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("values", "cores", "count", "why"),
    [
        ({"jobs": 1}, EIGHT, 1, None),
        ({"jobs": 8}, EIGHT, 8, None),
        ({"jobs": 9}, EIGHT, 8, "jobs = 9, but 8 cores may be used: 8 runs go on side by side"),
        ({"jobs": 4, "cpus": "0-1"}, EIGHT, 2, "jobs = 4, but 2 cores may be used: 2 runs go on side by side"),
        ({"jobs": 4}, Cores(numbers=tuple(range(64)), at_once=3), 3,
         "jobs = 4, but 3 cores may be used: 3 runs go on side by side"),
        ({"jobs": 4, "threads": 3}, EIGHT, 2,
         "jobs = 4, but 8 cores may be used and each worker has 3 threads: 2 runs go on side by side"),
        ({"jobs": 2}, Cores(numbers=(5,), at_once=1), 1,
         "jobs = 2, but 1 core may be used: runs go on one after the other, and are timed"),
        ({"jobs": 2, "threads": 16}, EIGHT, 1,
         "jobs = 2, but 8 cores may be used and each worker has 16 threads: runs go on one after the other, and are "
         "timed"),
    ],
)  # fmt: skip
def test_no_more_runs_go_side_by_side_than_have_cores(
    values: dict[str, Any], cores: Cores, count: int, why: str | None
) -> None:
    assert lane_count(plan_of(**values), cores) == (count, why)


def test_there_are_no_more_lanes_than_runs() -> None:
    assert lane_count(plan_of(3, jobs=8), EIGHT) == (3, None)


def test_each_worker_keeps_to_its_part_of_the_cores_and_has_a_thread_for_each() -> None:
    placed = [Lane(number=number, count=3, cores=EIGHT).place(spec_of(jobs=3)).settings for number in range(3)]
    assert [settings.cpus for settings in placed] == ["0,1,2", "3,4,5", "6,7"]
    assert [settings.threads for settings in placed] == [2, 2, 2]


def test_the_cores_and_threads_that_a_person_gave_are_kept_to() -> None:
    spec = spec_of(jobs=2, cpus="2-5", threads=1)
    placed = [Lane(number=number, count=2, cores=EIGHT).place(spec).settings for number in range(2)]
    assert [(settings.cpus, settings.threads) for settings in placed] == [("2,3", 1), ("4,5", 1)]


def test_a_quota_below_the_cores_limits_the_threads() -> None:
    lane = Lane(number=1, count=2, cores=Cores(numbers=tuple(range(8)), at_once=4))
    assert (lane.place(spec_of(jobs=2)).settings.cpus, lane.place(spec_of(jobs=2)).settings.threads) == ("4,5,6,7", 2)


def test_a_lane_alone_changes_nothing() -> None:
    spec = spec_of()
    assert Lane(cores=EIGHT).place(spec) is spec


def test_logical_cores_of_one_physical_core_stay_in_one_lane(tmp_path: Path) -> None:
    root = machine(tmp_path, {core: (0, core % 4) for core in range(8)})
    placed = [Lane(number=number, count=2, cores=EIGHT, root=root).place(spec_of(jobs=2)) for number in range(2)]
    assert [spec.settings.cpus for spec in placed] == ["0,1,4,5", "2,3,6,7"]


def test_packages_are_not_mixed_where_they_need_not_be(tmp_path: Path) -> None:
    root = machine(tmp_path, {core: (core % 2, core // 2) for core in range(8)})
    placed = [Lane(number=number, count=2, cores=EIGHT, root=root).place(spec_of(jobs=2)) for number in range(2)]
    assert [spec.settings.cpus for spec in placed] == ["0,2,4,6", "1,3,5,7"]
