"""Hit counts that other implementations agree on, to the bit, and the others within the spread of their variants."""

from __future__ import annotations

import pytest

from tests.workloads.cachesim.policies.traces import golden, trace
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import simulate

EXACT = {
    "LRU": "lru",
    "FIFO": "fifo",
    "LFU": "lfu",
    "Sieve": "sieve",
    "Clock": "clock",
    "Belady": "belady",
    "ARC": "arc",
    "TwoQ": "2q",
}
TOLERANCE = {"S3FIFO": ("s3-fifo", 0.01), "LIRS": ("lirs", 0.004), "SLRU": ("slru", 0.03)}  # of all requests
TRACES = ("dlrm_reuse_medium_500K", "scarab-recs", "zipf1.0_10m_seed42")


@pytest.mark.parametrize("name", TRACES)
def test_portable_policies_have_the_golden_hits(name):
    wanted = {
        (size, theirs): hits
        for size, columns in golden()[name]["sizes"].items()
        for theirs, hits in columns["hits_libcachesim_0.3.5"].items()
        if theirs in EXACT
    }
    ids, n_rows = trace(name)
    following = next_uses(ids, n_rows)
    found = {
        (size, theirs): simulate(EXACT[theirs], ids, n_rows, int(size), next_use=following).hits
        for size, theirs in wanted
    }
    assert found == wanted


@pytest.mark.parametrize("name", TRACES[:2])
def test_policies_with_variants_are_near_another_implementation(name):
    ids, n_rows = trace(name)
    for size, columns in golden()[name]["sizes"].items():
        for theirs, (ours, tolerance) in TOLERANCE.items():
            wanted = columns["hits_libcachesim_0.3.5"][theirs]
            assert abs(simulate(ours, ids, n_rows, int(size)).hits - wanted) <= tolerance * len(ids), (ours, size)


@pytest.mark.parametrize("size", ["1000", "10000", "50000", "100000"])
def test_w_tinylfu_is_near_another_implementation_on_scarab(size):
    ids, n_rows = trace("scarab-recs")
    wanted = golden()["scarab-recs"]["sizes"][size]["hits_libcachesim_0.3.5"]["WTinyLFU"]
    assert abs(simulate("w-tinylfu", ids, n_rows, int(size)).hits - wanted) <= 0.015 * len(ids)
