"""Which experiments are alive on this machine now."""

from __future__ import annotations

from collections.abc import Mapping

from harness.execution.launch import RunningExperiment, running


def alive() -> Mapping[str, RunningExperiment]:
    """By id: experiments whose own process holds its lock, whatever database they write to."""
    return {one.id: one for one in running()}
