"""What all commands refuse alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.commands.support import carry_out
from tests.workloads.cachesim.curves.support import trace_of
from workloads.cachesim.commands.shared import check_memory, check_writable
from workloads.cachesim.traces.trace import Keys, Trace
from workloads.cachesim.traces.writers import write_npz


@pytest.mark.parametrize(("name", "more"), [("curve", {}), ("split", {"budget": "5"}), ("label", {})])
def test_a_trace_without_requests_is_refused(tmp_path: Path, name, more):
    schema = trace_of([(0, 1)], tables=1).schema
    empty = Trace(np.zeros(0, np.int32), np.zeros(2, np.int64), schema, Keys(np.zeros(0, np.int64), (False,)))
    write_npz(empty, tmp_path / "empty.npz")
    with pytest.raises(UsageError, match=r"empty\.npz holds no request, so no cache can be simulated on it"):
        carry_out(tmp_path, name, trace=[str(tmp_path / "empty.npz")], **more)


@pytest.mark.parametrize(("name", "more"), [("curve", {}), ("split", {"budget": "5"}), ("label", {})])
def test_a_trace_must_be_named(tmp_path: Path, name, more):
    with pytest.raises(UsageError, match="no trace was named"):
        carry_out(tmp_path, name, **more)


def test_a_folder_that_can_be_made_can_be_written(tmp_path: Path):
    check_writable(tmp_path / "not" / "there")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="nothing can be written into"):
        check_writable(tmp_path / "file" / "below")


def test_memory_is_compared_with_what_is_free():
    check_memory(1, "this", "less")
    with pytest.raises(UsageError, match=r"this needs about 1000000000\.0 GB beside its trace") as error:
        check_memory(10**18, "this", "less")
    assert error.value.hint == "less"
