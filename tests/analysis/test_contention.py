"""The contention verdict from hand-made numbers."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.contention import (
    CPU_PRESSURE_SHARE,
    FOREIGN_SHARE_OF_ALLOWED_CORES,
    FOREIGN_SHARE_OF_USED_CORES,
    MEMORY_PRESSURE_SHARE,
    SHORTEST_JUDGED_S,
    STEAL_SHARE_OF_USED_CORES,
    THROTTLED_SHARE_OF_USED_CORES,
    ContentionReading,
    judge,
    judge_card,
    surplus_threads,
)


def reading(*, foreign_cores: float | None = 0.0, cores: int = 2, wall_s: float = 10.0, **more) -> ContentionReading:
    share = None if foreign_cores is None else foreign_cores / cores
    quiet = {"steal_share": 0.0, "throttled_s": 0.0, "nr_throttled": 0, "memory_pressure_some_avg": 0.0}
    return ContentionReading(
        wall_s=wall_s, cores=cores, foreign_cores=foreign_cores, foreign_cpu_share=share, **(quiet | more)
    )


def test_a_quiet_machine_is_not_contended_and_gives_no_reason():
    assert judge(reading(), 2) == (False, None)


@pytest.mark.parametrize(("factor", "contended"), [(0.98, False), (1.02, True)])
def test_each_threshold_is_where_its_constant_says(factor, contended):
    wall_s, used = 10.0, 2
    for made in (
        reading(foreign_cores=FOREIGN_SHARE_OF_USED_CORES * used * factor),
        reading(steal_share=STEAL_SHARE_OF_USED_CORES * factor),
        reading(throttled_s=THROTTLED_SHARE_OF_USED_CORES * wall_s * used * factor),
        reading(memory_pressure_some_avg=MEMORY_PRESSURE_SHARE * factor),
        reading(foreign_cores=None, pressure_some_avg=CPU_PRESSURE_SHARE * factor),
    ):
        assert judge(made, used)[0] is contended, made


def test_strangers_on_free_cores_are_allowed_until_they_share_the_memory_with_many():
    few = reading(foreign_cores=1.5, cores=16)
    assert judge(few, 8) == (False, None)
    assert judge(few, 16)[0] is True  # the same strangers where the run needs every core
    many = reading(foreign_cores=16 * FOREIGN_SHARE_OF_ALLOWED_CORES + 0.1, cores=16)
    contended, reason = judge(many, 4)
    assert contended is True
    assert reason is not None and "caches and memory" in reason


def test_the_sentence_names_the_cores_and_the_share():
    assert judge(reading(foreign_cores=0.83), 2)[1] == (
        "other processes used 0.83 of the 2 cores while this run needed 2"
    )


def test_every_cause_is_told():
    made = reading(foreign_cores=1.0, steal_share=0.1, throttled_s=3.0, nr_throttled=7, memory_pressure_some_avg=0.5)
    _, reason = judge(made, 2)
    assert reason is not None
    assert [reason.count(word) for word in ("other processes", "hypervisor", "in 7 periods", "for memory")] == [1] * 4


def test_steal_counts_against_the_cores_in_use_not_against_idle_ones():
    made = reading(cores=64, steal_share=0.01)
    assert judge(made, 64)[0] is False
    assert judge(made, 4) == (True, "the hypervisor took 16.0% of the cores' time for other machines")


def test_what_cannot_be_read_is_not_called_quiet():
    contended, reason = judge(reading(foreign_cores=None), 2)
    assert contended is None
    assert reason is not None and "cannot be read" in reason
    assert judge(None)[0] is None
    # what can be read still counts
    assert judge(reading(foreign_cores=None, steal_share=0.5), 2)[0] is True
    # and the waiting for cores stands in for the strangers that cannot be seen
    assert judge(reading(foreign_cores=None, pressure_some_avg=0.01), 2) == (False, None)


def test_waiting_for_cores_is_not_judged_where_strangers_are_known_to_be_absent():
    assert judge(reading(pressure_some_avg=0.9), 2) == (False, None)  # the run's own surplus threads


def test_a_segment_shorter_than_the_ticks_can_resolve_is_not_judged():
    contended, reason = judge(reading(foreign_cores=2.0, wall_s=SHORTEST_JUDGED_S * 0.9), 2)
    assert contended is None
    assert reason is not None and "0.45 s" in reason


def test_load_average_is_never_a_reason():
    assert judge(reading(load1=50.0), 2) == (False, None)


def test_more_processor_time_than_threads_is_told_as_threads_not_as_contention():
    made = reading(worker_cpu_per_wall=2.0)
    assert judge(made, 1)[0] is False
    assert surplus_threads(made, 1) == (
        "the worker used 2.0 cores though 1 thread was asked for: a library runs threads of its own"
    )
    assert surplus_threads(made, 2) is None
    assert surplus_threads(reading(worker_cpu_per_wall=None), 1) is None


@given(
    foreign=st.floats(0, 64),
    more=st.floats(0, 8),
    cores=st.integers(1, 64),
    used=st.integers(1, 128),
)
def test_more_strangers_never_turn_a_contended_run_quiet(foreign, more, cores, used):
    if judge(reading(foreign_cores=foreign, cores=cores), used)[0]:
        assert judge(reading(foreign_cores=foreign + more, cores=cores), used)[0] is True


def test_a_stranger_on_the_card_in_any_sample_makes_the_run_contended():
    assert judge_card([(), None, ()]) == (False, None)
    assert judge_card([(), (70, 8), (8,)]) == (True, "other processes were on the card: 8, 70")
    assert judge_card([(1, 2, 3, 4, 5)])[1] == "other processes were on the card: 1, 2, 3 and 2 more"


def test_a_card_that_lists_no_processes_is_not_called_quiet():
    assert judge_card([]) == judge_card([None]) == (None, "other processes on the card cannot be listed here")


def test_a_reading_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        reading().wall_s = 1.0  # type: ignore[misc]
