from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.telemetry.environment import host_environment, merge_worker
from harness.telemetry.fingerprint import classify, environment_hash, flatten

SAMPLE = {
    "cpu": {"model": "A", "flags": ["avx2", "fma"], "allowed_count": 2, "used_count": 2},
    "memory": {"total_gib": 24},
    "packages": {"torch": "2.13.0", "torch-npu": None},
    "variables": {"OMP_NUM_THREADS": "2", "CUDA_HOME": "/opt/cuda"},
    "compile_cache": {"state": "cold"},
}


def changed(key: str, value: object) -> dict:
    table = copy.deepcopy(SAMPLE)
    *folders, leaf = key.split(".")
    place = table
    for folder in folders:
        place = place.setdefault(folder, {})
    place[leaf] = value
    return table


def test_nested_tables_become_dotted_keys_and_lists_become_one_value():
    assert flatten(SAMPLE)["cpu.flags"] == "avx2,fma"
    assert flatten(SAMPLE)["packages.torch-npu"] is None
    assert list(flatten(SAMPLE)) == sorted(flatten(SAMPLE))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("packages.torch", "subject"),
        ("packages.nvidia-ml-py", "ignore"),
        ("device.driver", "subject"),
        ("device.uuid", "ignore"),
        ("variables.OMP_NUM_THREADS", "subject"),
        ("variables.TORCHINDUCTOR_CACHE_DIR", "ignore"),
        ("cpu.used_count", "subject"),
        ("cpu.model", "nuisance"),
        ("power.governor", "nuisance"),
        ("os.kernel", "nuisance"),
        ("memory.total_gib", "nuisance"),
        ("compile_cache.state", "ignore"),
        ("something.new", "nuisance"),
    ],
)
def test_each_key_has_the_class_that_comparison_relies_on(key, kind):
    assert classify(key) == kind


@pytest.mark.parametrize(
    ("key", "value", "same"),
    [
        ("packages.nvidia-ml-py", "13", True),
        ("compile_cache.state", "warm", True),
        ("packages.numba", None, True),  # not known then, not installed now
        ("memory.total_gib", 48, False),
        ("packages.torch", "2.14.0", False),
        ("packages.torch-npu", "2.1", False),
        ("cpu.flags", ["avx2"], False),
        ("variables.OMP_NUM_THREADS", "1", False),
    ],
)
def test_the_hash_covers_exactly_what_is_not_ignored(key, value, same):
    assert (environment_hash(changed(key, value)) == environment_hash(SAMPLE)) is same


def test_the_hash_is_sixteen_digits_that_no_release_may_change_unnoticed():
    assert environment_hash({"cpu": {"model": "A"}, "packages": {"torch": "2.13.0"}}) == "b4609bcdfb20313c"


def test_two_looks_at_this_machine_have_one_hash():
    assert environment_hash(host_environment()) == environment_hash(host_environment())


tables = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), tables, max_size=4))
def test_the_order_of_keys_does_not_change_the_hash(table):
    backwards = dict(reversed(list(table.items())))
    assert environment_hash(backwards) == environment_hash(table)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), tables, max_size=4))
def test_merging_a_worker_that_says_the_same_changes_nothing(table):
    assert merge_worker(table, table) == table
    assert merge_worker(table, {}) == table
