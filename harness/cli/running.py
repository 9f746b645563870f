"""Which experiments are alive on this machine now."""

from __future__ import annotations


def alive() -> frozenset[str]:
    """Ids of experiments whose own process holds its lock."""
    from harness.execution.launch import running

    return frozenset(running())
