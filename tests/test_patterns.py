from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DataError
from harness.patterns import anchored, files_named, matches, split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("day_10.npz", "day_2.npz", "a,b.npz", ".hidden.npz", "deep/day_1.npz"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def _names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_matches_come_in_the_order_a_person_counts(folder: Path) -> None:
    assert _names(files_named(folder / "day_*.npz")) == ["day_2.npz", "day_10.npz"]
    assert _names(files_named(f"{folder}/**/day_1*.npz")) == ["day_10.npz", "day_1.npz"]


def test_names_keep_their_order_and_a_file_with_a_comma_is_one(folder: Path) -> None:
    assert _names(files_named(f"{folder}/day_10.npz,{folder}/day_2.npz")) == ["day_10.npz", "day_2.npz"]
    assert split(folder / "a,b.npz") == [str(folder / "a,b.npz")]
    assert split("a,,b ") == ["a", "b"]
    assert split(",") == [","]


def test_a_folder_is_its_visible_files(folder: Path) -> None:
    assert _names(files_named(folder)) == ["a,b.npz", "day_2.npz", "day_10.npz"]
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"the folder .*empty holds no file"):
        files_named(empty)


def test_relative_names_are_meant_from_a_folder_each(folder: Path) -> None:
    assert anchored("x.npz,/y.npz", folder) == Path(f"{folder}/x.npz,/y.npz")
    assert anchored("a,b.npz", folder) == folder / "a,b.npz"
    assert anchored("~/x.npz", folder) == Path("~/x.npz").expanduser()


def test_no_match_names_folder_and_nearest(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"data: no file matches '.*day_\?.npy' in .*, which holds .*day_2.npz"
    ) as error:
        matches(folder / "day_?.npy", what="data")
    assert error.value.hint == "did you mean 'day_2.npz'?"
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        matches(folder / "nowhere" / "*.npz")


def test_a_plain_name_is_left_to_who_opens_it(tmp_path: Path) -> None:
    assert files_named(tmp_path / "missing.npz") == [tmp_path / "missing.npz"]
