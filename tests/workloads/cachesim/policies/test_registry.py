"""Names, their spellings, and that reading the list costs no compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.api import UsageError
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.simulate import engine_of


def test_all_is_every_policy_but_the_variant_of_another():
    assert [policy.name for policy in registry.select("all")] == [
        "lru",
        "fifo",
        "clock",
        "lfu",
        "sieve",
        "s3-fifo",
        "2q",
        "slru",
        "arc",
        "lirs",
        "w-tinylfu",
        "fbgemm-lfu",
        "belady",
        "random",
        "static",
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [("LRU", "lru"), ("S3FIFO", "s3-fifo"), ("WTinyLFU", "w-tinylfu"), ("fbgemm_lfu", "fbgemm-lfu"), ("OPT", "belady")],
)
def test_spelling_does_not_matter(written, name):
    assert registry.policy(written).name == name


def test_a_list_keeps_its_order_and_names_each_once():
    assert [policy.name for policy in registry.select("sieve, lru,SIEVE,belady-bypass")] == [
        "sieve",
        "lru",
        "belady-bypass",
    ]


def test_an_unknown_policy_names_the_nearest():
    with pytest.raises(UsageError, match="unknown policy 'siev'") as caught:
        registry.select("lru,siev")
    assert caught.value.hint == "did you mean 'sieve'?"
    with pytest.raises(UsageError, match="no policy is named"):
        registry.select(" , ")


def test_every_engine_is_where_the_registry_says():
    for policy in registry.POLICIES:
        assert callable(engine_of(policy))


def test_the_registry_loads_no_compiler():
    script = (
        "import sys, workloads.cachesim.policies.registry; "
        "sys.exit(any(name in sys.modules for name in ('numba', 'numpy', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).resolve().parents[4]).returncode == 0
