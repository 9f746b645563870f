from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.keys import classify_environment, differences

from .build import THROUGHPUT, environment, side

VALUES = [(THROUGHPUT, [1.0, 2.0])]


def found(a, b, **options):
    return differences((a.experiment, a.cell), (b.experiment, b.cell), **options)


def keys(items):
    return [item.key for item in items]


def test_two_like_cells_differ_in_nothing():
    result = found(side("A", VALUES), side("B", VALUES))
    assert (result.identity, result.subject, result.nuisance) == ((), (), ())


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"workload": "din"}, "workload"),
        ({"workload_version": 2}, "workload_version"),
        ({"mode": "eval"}, "mode"),
        ({"timing_scope": "end_to_end"}, "timing_scope"),
        ({"protocol": {"epochs": 2.0, "warmup": "auto", "samples": None}}, "protocol.epochs"),
        ({"data": {"fingerprint": "beef", "kind": "generated", "rows": 100_000}}, "data.fingerprint"),
        ({"data": {"fingerprint": "f00d", "kind": "generated", "rows": 5}}, "data.rows"),
    ],
)
def test_identity_keys_must_match(change, key):
    result = found(side("A", VALUES), side("B", VALUES, **change))
    assert keys(result.identity) == [key]
    assert keys(result.refused) == [key]


def test_a_protocol_value_that_is_none_equals_one_that_is_absent():
    without = side("B", VALUES, protocol={"epochs": 1.0, "warmup": "auto"})
    assert found(side("A", VALUES), without).identity == ()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"params": {"batch_size": 256, "learning_rate": 0.1}}, "batch_size"),
        ({"git_commit": "def5678"}, "git_commit"),
        ({"harness_version": "0.2"}, "harness_version"),
        ({"engine": {"engine_resolved": "eager", "precision": "bf16"}}, "engine.precision"),
        ({"environment": environment(packages={"torch": "2.14.0"})}, "environment.packages.torch"),
        ({"environment": environment(python={"version": "3.12.1"})}, "environment.python.version"),
        ({"settings": {"threads": 4}}, "threads"),
    ],
)
def test_the_subject_may_differ(change, key):
    result = found(side("A", VALUES), side("B", VALUES, **change))
    assert keys(result.subject) == [key]
    assert result.refused == ()


def test_a_parameter_that_is_data_or_protocol_is_identity_and_a_free_one_is_only_reported():
    a = side("A", VALUES, params={"rows": 10, "progress": True, "batch_size": 1})
    b = side("B", VALUES, params={"rows": 20, "progress": False, "batch_size": 2})
    result = found(a, b, param_classes={"rows": "identity", "progress": "free"})
    assert keys(result.identity) == ["rows"]
    assert keys(result.subject) == ["batch_size"]
    assert keys(result.nuisance) == ["progress"]
    assert keys(result.refused) == ["rows"]


@pytest.mark.parametrize(
    "change",
    [
        {"power": {"governor": "powersave"}},
        {"os": {"kernel": "6.13"}},
        {"container": {"cpu_quota_cores": 1.5}},
        {"memory": {"total_gib": 32}},
        {"novelty": {"nobody_has_classed": 1}},
    ],
)
def test_a_nuisance_on_the_same_device_is_refused(change):
    result = found(side("A", VALUES), side("B", VALUES, environment=environment(**change)))
    assert [item.kind for item in result.refused] == ["nuisance"]


def test_the_same_nuisance_is_only_reported_where_the_device_is_another():
    result = found(
        side("A", VALUES), side("B", VALUES, environment=environment(os={"kernel": "6.13"}), device="cuda:0")
    )
    assert keys(result.nuisance) == ["environment.os.kernel"]
    assert not result.same_device
    assert result.refused == ()


def test_another_processor_is_the_subject_of_a_cpu_run_and_a_nuisance_beside_the_same_card():
    on_cpu = found(side("A", VALUES), side("B", VALUES, environment=environment(cpu={"model": "EPYC 9654"})))
    assert keys(on_cpu.subject) == ["environment.cpu.model"]
    assert on_cpu.refused == ()
    card = {"name": "H200"}
    a = side("A", VALUES, device="cuda", environment=environment(device=card))
    b = side("B", VALUES, device="cuda:1", environment=environment(device=card, cpu={"model": "EPYC 9654"}))
    on_card = found(a, b)
    assert on_card.same_device
    assert keys(on_card.refused) == ["environment.cpu.model"]


def test_another_card_of_the_same_family_is_another_device():
    a = side("A", VALUES, device="cuda", environment=environment(device={"name": "H200"}))
    other = environment(device={"name": "A100"}, os={"kernel": "6.13"})
    result = found(a, side("B", VALUES, device="cuda", environment=other))
    assert not result.same_device
    assert keys(result.subject) == ["environment.device.name"]
    assert result.refused == ()


def test_what_says_nothing_about_speed_is_no_difference():
    assert classify_environment("python.executable", "cpu") is None
    b = side("B", VALUES, environment=environment(python={"executable": "/opt/python"}))
    assert found(side("A", VALUES), b).nuisance == ()


def test_load_is_reported_by_its_median_and_never_refused():
    def busy(name, *loads):
        one = side(name, VALUES)
        runs = tuple(replace(run, contention={"load1": load}) for run, load in zip(one.cell.runs, loads, strict=True))
        return replace(one, cell=replace(one.cell, runs=runs))

    (item,) = found(busy("A", 0.2, 0.3), busy("B", 3.0, 3.1)).nuisance
    assert (item.key, item.a, item.b, item.refused) == ("load.load1", 0.0, 3.0, False)
    assert found(busy("A", 0.2, 0.3), busy("B", 0.25, 0.31)).nuisance == ()


def test_a_face_that_differs_is_reported_and_never_refused():
    one = side("B", VALUES)
    runs = tuple(replace(run, face="dashboard") for run in one.cell.runs)
    result = found(side("A", VALUES), replace(one, cell=replace(one.cell, runs=runs)))
    assert keys(result.nuisance) == ["face"]
    assert result.refused == ()


def test_data_without_a_fingerprint_is_told_apart_by_its_seed():
    unknown = {"kind": "generated"}
    a, b = side("A", VALUES, data=unknown), side("B", VALUES, data=unknown, data_seed=1)
    assert keys(found(a, b).refused) == ["data_seed"]
    assert found(side("A", VALUES), side("B", VALUES, data_seed=1)).refused == ()


def test_what_the_engine_says_of_a_result_is_no_question():
    a = side("A", VALUES)
    told = {**a.cell.engine, "settings_to_paste": ["cache_algorithm=LRU"], "warnings": ["short"]}
    assert found(a, side("B", VALUES, engine=told)).subject == ()
