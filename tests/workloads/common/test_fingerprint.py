from __future__ import annotations

import hashlib
import json
import os

import pytest

from harness.errors import DataError
from workloads.common.fingerprint import SAMPLE_BYTES, fingerprint_file


def aged(path, seconds: int = 100):
    """Moves the time of change into the past, as that of a file at rest."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))
    return path


def test_a_small_file_is_known_by_its_whole_sha256(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 100_000)
    found = fingerprint_file(path)
    assert (found.kind, found.value, found.bytes) == (
        "sha256",
        hashlib.sha256(b"abc" * 100_000).hexdigest(),
        300_000,
    )
    assert str(found) == f"sha256:{found.value}"


def test_an_unchanged_file_is_hashed_once(tmp_path):
    path, memory = tmp_path / "a", tmp_path / "deep" / "memory.json"
    path.write_bytes(b"abc")
    aged(path)
    reads: list[int] = []
    first = fingerprint_file(path, memory=memory, progress=lambda done, total: reads.append(done))
    assert reads == [3]
    assert fingerprint_file(path, memory=memory, progress=lambda done, total: reads.append(done)) == first
    assert reads == [3]


@pytest.mark.parametrize("change", ["time", "size"])
def test_a_changed_file_is_hashed_again(tmp_path, change):
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"abc")
    aged(path)
    first = fingerprint_file(path, memory=memory)
    before = path.stat()
    path.write_bytes(b"abd" if change == "time" else b"abcd")
    if change == "size":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint_file(path, memory=memory).value != first.value


def test_a_file_changed_just_now_is_not_remembered(tmp_path):
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"abc")
    fingerprint_file(path, memory=memory)
    assert not memory.exists()


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"files": {"x": 3}}', '{"files": []}'])
def test_a_damaged_memory_is_made_again(tmp_path, content):
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"abc")
    aged(path)
    memory.write_text(content)
    value = fingerprint_file(path, memory=memory).value
    assert [entry["value"] for entry in json.loads(memory.read_text())["files"].values()] == [value]


def test_a_huge_file_is_sampled_and_says_so(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(200 * SAMPLE_BYTES)
    one = fingerprint_file(path, full_limit_bytes=1000)
    assert one.kind == "sampled"
    assert fingerprint_file(path).kind == "sha256"
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    other = fingerprint_file(path, full_limit_bytes=1000)
    assert (other.value != one.value, other.bytes) == (True, one.bytes)


def test_a_file_that_grows_under_the_hash_is_refused(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")

    def grow(done: int, total: int) -> None:
        if done == 3:
            with path.open("ab") as file:
                file.write(b"d")

    with pytest.raises(DataError, match="changed while it was read"):
        fingerprint_file(path, progress=grow)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        fingerprint_file(tmp_path / "none")
