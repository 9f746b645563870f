"""Generators by name: what they refuse before they begin."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from workloads.cachesim.generators import registry


def test_a_trace_that_would_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(registry, "available_bytes", lambda: 1_000_000)
    with pytest.raises(UsageError) as error:
        registry.generate("zipf", requests=10**10)
    assert str(error.value) == (
        "a generated trace of 10,000,000,000 requests needs about 320.00 GB, 0.00 GB of memory are free"
    )
