from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError, RunFailed, UsageError
from workloads.common import cache
from workloads.common.cache import MANIFEST, ArrayWriter, cached


def build_squares(folder: Path) -> dict[str, object]:
    with ArrayWriter(folder / "squares.npy", np.int64, (2,)) as writer:
        for start in range(0, 100, 30):
            block = np.arange(start, min(start + 30, 100))
            writer.append(np.stack([block, block**2], axis=1))
    return {"rows": 100}


def never(folder: Path) -> dict[str, object]:
    raise AssertionError("built again")


def test_an_entry_is_built_once_and_found_again(tmp_path):
    first = cached(tmp_path / "new", "key", build_squares)
    again = cached(tmp_path / "new", "key", never)
    assert (first.built, again.built) == (True, False)
    assert first.facts == again.facts == {"rows": 100}
    squares = again.array("squares")
    assert isinstance(squares, np.memmap)
    assert squares[:, 1].tolist() == [number**2 for number in range(100)]
    assert cached(tmp_path / "new", "other", build_squares).built


def test_an_array_is_read_only_and_readable_by_numpy_alone(tmp_path):
    entry = cached(tmp_path, "key", build_squares)
    assert np.load(entry.folder / "squares.npy").shape == (100, 2)
    with pytest.raises(ValueError, match="read-only"):
        entry.array("squares")[0, 0] = 1


def test_an_array_may_have_no_rows(tmp_path):
    def build(folder: Path) -> dict[str, object]:
        with ArrayWriter(folder / "none.npy", np.uint32, (3,)):
            pass
        return {}

    assert cached(tmp_path, "key", build).array("none").shape == (0, 3)


def flip_a_byte(folder: Path) -> None:
    path = folder / "squares.npy"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a flipped byte": flip_a_byte,
    "a lost array": lambda folder: (folder / "squares.npy").unlink(),
    "a short array": lambda folder: os.truncate(folder / "squares.npy", 300),
    "a lost manifest": lambda folder: (folder / MANIFEST).unlink(),
    "a cut manifest": lambda folder: (folder / MANIFEST).write_text('{"format": 1, "fil'),
    "another format": lambda folder: (folder / MANIFEST).write_text('{"format": 0, "files": {}, "facts": {}}'),
    "a manifest of nothing": lambda folder: (folder / MANIFEST).write_text("[]"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_built_again(tmp_path, name):
    DAMAGE[name](cached(tmp_path, "key", build_squares).folder)
    again = cached(tmp_path, "key", build_squares)
    assert again.built
    assert again.array("squares")[7].tolist() == [7, 49]
    assert not cached(tmp_path, "key", never).built
    assert not list(tmp_path.glob("*.tmp-*"))


def test_a_large_entry_is_checked_by_size_only(tmp_path, monkeypatch):
    folder = cached(tmp_path, "key", build_squares).folder
    flip_a_byte(folder)
    monkeypatch.setattr(cache, "CHECKED_BYTES", 100)
    assert not cached(tmp_path, "key", never).built


def test_a_builder_that_fails_leaves_nothing_behind(tmp_path):
    def fail(folder: Path) -> dict[str, object]:
        (folder / "half.npy").write_bytes(b"half")
        raise DataError("line 3 is wrong")

    with pytest.raises(DataError, match="line 3 is wrong"):
        cached(tmp_path, "key", fail)
    assert [each.name for each in tmp_path.iterdir()] == ["key.lock"]


def test_mapped_arrays_outlive_a_rebuild(tmp_path):
    entry = cached(tmp_path, "key", build_squares)
    squares = entry.array("squares")
    (entry.folder / MANIFEST).unlink()
    cached(tmp_path, "key", build_squares)
    assert squares[99].tolist() == [99, 9801]


def test_too_little_space_is_told_before_building(tmp_path):
    with pytest.raises(RunFailed, match=r"needs about 1,000,000,000,000 MB, but .* MB are free"):
        cached(tmp_path, "key", never, needed_bytes=10**18)


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path):
    def fill(folder: Path) -> dict[str, object]:
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFailed, match="no space left"):
        cached(tmp_path, "key", fill)
    assert not list(tmp_path.glob("key.tmp-*"))


def test_a_root_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used"):
        cached(tmp_path / "file", "key", never)


def slow_build(folder: Path) -> dict[str, object]:
    time.sleep(0.3)
    return build_squares(folder)


def build_in_process(root: Path, results) -> None:
    entry = cached(root, "key", slow_build)
    results.put((entry.built, entry.array("squares")[9].tolist()))


def test_of_two_processes_at_once_one_builds_and_both_read(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=build_in_process, args=(tmp_path, results)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(built for built, _ in found) == [False, True]
    assert [row for _, row in found] == [[9, 81], [9, 81]]


def hang_in_build(root: Path) -> None:
    def build(folder: Path) -> dict[str, object]:
        (folder / "half.npy").write_bytes(b"half")
        (root / "started").touch()
        time.sleep(600)
        return {}

    cached(root, "key", build)


def test_what_a_killed_builder_left_is_cleared_away(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=hang_in_build, args=(tmp_path,))
    process.start()
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(tmp_path.glob("key.tmp-*"))
    assert cached(tmp_path, "key", build_squares).built
    assert not list(tmp_path.glob("key.tmp-*"))


def test_who_waits_for_another_to_build_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_POLL_S", 0.01)
    signs = []
    with (tmp_path / "key.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def waiting():
            signs.append(len(signs))
            if len(signs) == 3:
                fcntl.flock(file, fcntl.LOCK_UN)

        entry = cached(tmp_path, "key", lambda folder: {"rows": 1}, waiting=waiting)
    assert (signs, entry.facts, entry.built) == ([0, 1, 2], {"rows": 1}, True)
    cached(tmp_path, "key", lambda folder: {"rows": 2}, waiting=waiting)
    assert len(signs) == 3
