"""What is free is the machine's memory or the container's, whichever is less."""

from __future__ import annotations

import psutil
import pytest

from workloads.common import memory


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
