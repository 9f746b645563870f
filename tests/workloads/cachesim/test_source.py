"""The trace of a run: which files it comes from, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from workloads.cachesim import source
from workloads.cachesim.config import CacheSimConfig


def _load(data: Path, tmp_path: Path):
    config = CacheSimConfig()
    trace = source.load(config, data, 0, tmp_path / "cache", None)
    return trace, source.identify(trace, config, data, 0).fingerprint


@pytest.fixture
def days(tmp_path: Path) -> Path:
    folder = tmp_path / "days"
    folder.mkdir()
    for number, text in ((1, "7\n8\n"), (2, "8\n9\n"), (10, "7\n7\n")):
        (folder / f"day_{number}.ids").write_text(text)
    return folder


def test_files_of_a_pattern_a_list_and_a_folder_are_one_trace_in_their_order(days: Path, tmp_path: Path) -> None:
    whole, name = _load(days / "day_*.ids", tmp_path)
    assert whole.source_ids().tolist() == [7, 8, 8, 9, 7, 7]
    assert _load(days, tmp_path)[1] == name
    assert _load(Path(f"{days}/day_1.ids,{days}/day_2.ids,{days}/day_10.ids"), tmp_path)[1] == name
    turned, other = _load(Path(f"{days}/day_10.ids,{days}/day_1.ids"), tmp_path)
    assert turned.source_ids().tolist() == [7, 7, 7, 8]
    assert other != name


def test_the_identity_covers_every_file(days: Path, tmp_path: Path) -> None:
    _, before = _load(days / "*.ids", tmp_path)
    (days / "day_10.ids").write_text("7\n8\n")
    assert _load(days / "*.ids", tmp_path)[1] != before


def test_a_pattern_without_a_file_is_told(days: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file matches '.*day_\*\.npz' in .*days, which holds day_1\.ids"):
        _load(days / "day_*.npz", tmp_path)


def test_rows_of_other_names_are_another_trace(tmp_path: Path) -> None:
    found = []
    for name, text in (
        ("a.txt", "a\nb\na\nc\n"),
        ("b.txt", "x\ny\nx\nz\n"),
        ("c.txt", "x\ny\nx\nz\n"),
        ("d.txt", "1\n2\n1\n3\n"),
    ):
        (tmp_path / name).write_text(text)
        found.append(_load(tmp_path / name, tmp_path)[1])
    assert found[1] == found[2] and len(set(found)) == 3


def test_a_schema_that_is_not_there_is_told(days: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the schema .*none\.csv does not exist"):
        source.load(CacheSimConfig(schema=tmp_path / "none.csv"), days / "day_1.ids", 0, tmp_path / "cache", None)


def test_a_schema_is_looked_for_before_a_trace_is_generated(tmp_path: Path) -> None:
    (tmp_path / "sizes.csv").write_text("name\n")
    with pytest.raises(DataError, match="does not exist") as error:
        source.load(CacheSimConfig(schema=tmp_path / "sizs.csv", requests=10**15), None, 0, tmp_path / "cache", None)
    assert error.value.hint == "did you mean 'sizes.csv'?"


def test_equal_files_are_each_called_by_their_own_name(tmp_path: Path) -> None:
    config = CacheSimConfig()
    for name in ("A/one.txt", "B/two.txt"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text("7\n8\n7\n")
        trace = source.load(config, path, 0, tmp_path / "cache", None)
        assert trace.source == source.identify(trace, config, path, 0).description == str(path)
    assert len(list((tmp_path / "cache").glob("trace-*.lock"))) == 1  # the second came from the cache
