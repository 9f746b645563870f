"""Compilation where it can be kept, and where it cannot."""

from __future__ import annotations

from workloads.cachesim.policies import jit


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same():
    made = {}
    exec("def double(number): return 2 * number", made)  # has no file that a cache could belong to
    double = jit.compiled(made["double"])
    assert double(4) == 8
    assert double.signatures
