"""The cost model, by hand."""

from __future__ import annotations

import pytest

from workloads.cachesim.engine.cost import Memory, Traffic, estimate

FAST = Memory(bandwidth=1000.0)
SLOW = Memory(bandwidth=10.0, latency_s=0.5, outstanding=4)


def traffic(fetched=10, written=0, calls=None):
    return Traffic(
        lookups=100, lookup_bytes=400, fetched_rows=fetched, fetched_bytes=4 * fetched, written_rows=written,
        written_bytes=4 * written, calls=calls,
    )  # fmt: skip


def test_a_memory_takes_the_longer_of_bytes_and_latency():
    assert SLOW.seconds(100.0, 1) == 10.0
    assert SLOW.seconds(10.0, 80) == 10.0


def test_memories_add_up_unless_they_overlap():
    apart = estimate(traffic(), FAST, SLOW, overlap=False, training=False)
    assert (apart.fast_s, apart.slow_s, apart.total_s) == (0.4, 4.0, pytest.approx(4.4))
    assert estimate(traffic(), FAST, SLOW, overlap=True, training=False).total_s == 4.0


def test_the_model_without_a_cache_reads_every_row_slowly_and_writes_it_in_training():
    assert estimate(traffic(), FAST, SLOW, overlap=False, training=False).without_cache_s == 40.0
    found = estimate(traffic(written=10), FAST, SLOW, overlap=True, training=True)
    assert found.without_cache_s == 80.0
    assert found.slow_s == 8.0
    assert found.speedup == 10.0


def test_each_call_waits_for_one_latency():
    assert estimate(traffic(calls=3), FAST, SLOW, overlap=False, training=False).slow_s == 5.5
    assert estimate(traffic(fetched=0, calls=3), FAST, SLOW, overlap=False, training=False).slow_s == 0.0
