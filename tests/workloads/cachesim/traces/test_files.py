from __future__ import annotations

import gzip
import itertools
import lzma

import pytest

from harness.errors import DataError
from tests.workloads.cachesim.support import refused
from workloads.cachesim.traces.files import ByteSource, estimate_unpacked_bytes, find_files

CONTENT = b"".join(b"%d\n" % (number * 7919) for number in range(50_000))


def zstd():
    return pytest.importorskip("zstandard", reason="zstandard is not installed")


def pack(kind: str, content: bytes) -> bytes:
    if kind == ".gz":
        return gzip.compress(content)
    if kind == ".xz":
        return lzma.compress(content)
    return zstd().ZstdCompressor().compress(content)  # type: ignore[no-any-return]


def read_all(path) -> bytes:
    with ByteSource(path) as source:
        parts = []
        while part := source.read(12_345):
            parts.append(part)
        return b"".join(parts)


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
def test_packed_files_read_as_their_content(tmp_path, kind):
    path = tmp_path / f"ids.txt{kind}"
    path.write_bytes(pack(kind, CONTENT) + pack(kind, b"more"))
    assert read_all(path) == CONTENT + b"more"
    assert estimate_unpacked_bytes(path) == len(CONTENT) + 4


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_packed_files_that_are_cut_short_are_refused(tmp_path, kind, kept):
    path = tmp_path / f"ids.txt{kind}"
    whole = pack(kind, CONTENT)
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match="cannot be unpacked beyond byte") as error:
        read_all(path)
    assert error.value.hint == "the file is cut short or damaged: copy or download it again"


def test_an_ending_that_lies_is_refused(tmp_path):
    path = tmp_path / "ids.txt.gz"
    path.write_bytes(CONTENT)
    with pytest.raises(DataError) as error:
        ByteSource(path)
    assert refused(error) == f"{path} ends in .gz, but its first bytes are not of that format"
    assert error.value.hint == "it may be unpacked already: rename it"
    path.write_bytes(pack(".xz", CONTENT))
    with pytest.raises(DataError) as error:
        ByteSource(path)
    assert error.value.hint == "it looks like a .xz file"
    path.write_bytes(b"\x1f")
    with pytest.raises(DataError) as error:
        ByteSource(path)
    assert refused(error) == f"{path} cannot be unpacked beyond byte 0 of its content: it ends inside its header"


def test_patterns_give_files_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        (tmp_path / f"day_{number}.txt").write_text("1\n")
    found = find_files([str(tmp_path / "day_*.txt")])
    assert [path.name for path in found] == ["day_1.txt", "day_2.txt", "day_10.txt"]


def test_missing_empty_and_folders_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "lookups.txt").write_text("1\n")
    (tmp_path / "empty.txt").write_text("")
    cases = {
        tmp_path / "lookup.txt": f"{tmp_path / 'lookup.txt'} does not exist",
        tmp_path / "empty.txt": f"{tmp_path / 'empty.txt'} is empty",
        tmp_path: f"{tmp_path} is a folder, expected a trace",
        tmp_path / "*.pt": (
            f"no file matches {str(tmp_path / '*.pt')!r} in {tmp_path}, which holds empty.txt, lookups.txt"
        ),
    }
    for path, message in cases.items():
        with pytest.raises(DataError) as error:
            find_files([path])
        assert refused(error) == message
    with pytest.raises(DataError) as error:
        find_files([tmp_path / "lookup.txt"])
    assert error.value.hint == "did you mean 'lookups.txt'?"
    with pytest.raises(DataError, match="no trace was named"):
        find_files([])


def test_progress_ends_with_the_size_on_disk(tmp_path):
    path = tmp_path / "ids.txt.gz"
    path.write_bytes(pack(".gz", CONTENT))
    seen: list[tuple[int, int]] = []
    with ByteSource(path, progress=lambda done, total: seen.append((done, total))) as source:
        while source.read(1 << 16):
            pass
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
    assert all(first[0] <= second[0] for first, second in itertools.pairwise(seen))
