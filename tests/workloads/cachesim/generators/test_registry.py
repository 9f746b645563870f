"""Generators by name: what they refuse before they begin."""

from __future__ import annotations

import tracemalloc

import pytest

from harness.errors import UsageError
from workloads.cachesim.generators import registry
from workloads.cachesim.generators.spec import memory_bytes


def test_a_trace_that_would_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(registry, "available_bytes", lambda: 1_000_000)
    with pytest.raises(UsageError) as error:
        registry.generate("zipf", requests=10**10)
    assert str(error.value) == (
        "a generated trace of 10,000,000,000 requests needs about 80.17 GB, 0.00 GB of memory are free"
    )
    assert error.value.hint is not None and "--requests" in error.value.hint


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("zipf", {}),
        ("zipf", {"rows": 100_000_000, "exponent": 0.0}),
        ("zipf", {"tables": 4}),
        ("zipf", {"tables": 4, "pooling": 5, "batch_size": 1}),
        ("reuse", {}),
        ("reuse", {"pooling": 4}),
        ("stack", {}),
        ("stack", {"profile": "recommendations"}),
        ("correlated", {"pooling": 2, "predictability": 0.1}),
        ("drift", {"window": 1000, "turnover": 1.0}),
    ],
)
def test_the_estimate_covers_what_is_taken_and_not_much_more(name, settings):
    registry.generate(name, requests=1000, **settings)  # compiles
    spec = registry.make_spec(name, requests=3_000_000, **settings)
    tracemalloc.start()
    try:
        registry.generate_from(spec)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken <= memory_bytes(spec) <= 3.2 * taken
