"""What is free is the machine's memory or the container's, whichever is less."""

from __future__ import annotations

import psutil
import pytest

from harness.errors import UsageError
from workloads.dlrm import memory
from workloads.dlrm.config import DLRMConfig
from workloads.dlrm.sizes import model_sizes


def test_a_container_limits_what_is_free_and_gives_back_its_file_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    machine = psutil.virtual_memory().available
    assert memory.available_bytes() == pytest.approx(machine, rel=0.5)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    assert memory.available_bytes() == 300_000
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 90000\nactive_file 10000\n")
    assert memory.available_bytes() == 400_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available_bytes() > 1_000_000


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
