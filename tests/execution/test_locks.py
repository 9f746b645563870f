from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.execution.locks import FileLock, is_held


def test_a_lock_has_one_holder_who_is_named(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.acquire("experiment a")
    assert one.acquire("again: it is ours")
    assert not other.acquire("experiment b")
    assert other.holder() == "experiment a"
    one.release()
    assert other.acquire("experiment b")
    assert one.holder() == "experiment b"
    other.release()


def test_a_lock_can_be_looked_at_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert is_held(path) is None
    lock = FileLock(path)
    lock.acquire("me")
    assert is_held(path) is True
    lock.release()
    assert is_held(path) is False


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import os, signal, sys; from pathlib import Path; from harness.execution.locks import FileLock;"
        "lock = FileLock(Path(sys.argv[1])); lock.acquire('dead'); print(flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], stdout=subprocess.DEVNULL, check=False)
    assert is_held(path) is False
    assert FileLock(path).holder() == "dead"


def test_children_do_not_inherit_a_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.acquire("parent")
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        assert is_held(lock.path) is False
        child.kill()


def test_a_removed_file_is_not_taken_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    leaving, coming = FileLock(path), FileLock(path)
    leaving.acquire("leaving")
    leaving.release(remove=True)
    assert not path.exists()
    assert coming.acquire("coming")
    assert is_held(path) is True
    coming.release()


def test_the_machines_lock_is_open_to_every_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        lock = FileLock(tmp_path / "lock", mode=0o666)
        lock.acquire("me")
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o666
    lock.release()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(UsageError, match="cannot be opened"):
        FileLock(tmp_path / "lock").acquire("me")
    assert (tmp_path / "target").read_text() == "precious"
