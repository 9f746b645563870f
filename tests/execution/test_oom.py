from __future__ import annotations

from pathlib import Path

import pytest

from harness.execution.oom import oom_kills


def put(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_control_groups_own_count_comes_first(tmp_path: Path) -> None:
    put(
        tmp_path,
        proc__self__cgroup="0::/user.slice/a\n",
        proc__vmstat="oom_kill 9\n",
        sys__fs__cgroup__userDOTslice__a__memoryDOTevents="low 0\noom 2\noom_kill 3\noom_group_kill 0\n",
    )
    assert oom_kills(tmp_path) == 3


def test_version_one_keeps_it_elsewhere(tmp_path: Path) -> None:
    put(
        tmp_path,
        proc__self__cgroup="4:memory:/job\n1:cpu:/\n",
        sys__fs__cgroup__memory__job__memoryDOToom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    )
    assert oom_kills(tmp_path) == 5


@pytest.mark.parametrize(("vmstat", "count"), [("pgfault 1\noom_kill 7\n", 7), ("pgfault 1\n", None)])
def test_else_the_machines_count_or_none(tmp_path: Path, vmstat: str, count: int | None) -> None:
    put(tmp_path, proc__self__cgroup="0::/\n", proc__vmstat=vmstat)
    assert oom_kills(tmp_path) == count
    assert oom_kills(tmp_path / "nothing") is None
