"""Tables that do not fit are refused before anything is allocated."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from workloads.dlrm import memory
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.sizes import model_sizes


def test_tables_are_refused_with_sizes_and_a_way_out():
    sizes = model_sizes(DLRMConfig(), [1_000_000, 10])
    memory.check_tables_fit(sizes, "sgd", 400 << 20)
    with pytest.raises(UsageError) as refused:
        memory.check_tables_fit(sizes, "adagrad", 300 << 20)
    assert refused.value.message == (
        "the embedding tables need 0.13 GB (1,000,010 rows of 16 floats, twice for adagrad) "
        "and the rest of the run 0.27 GB, but 0.31 GB of memory are free"
    )
    assert "number 1, has 1,000,000 rows" in (refused.value.hint or "")
