"""Several files in one text: names parted by commas, each of them a file, a folder or a quoted pattern (`logs/*.npz`).

A name that lies on disk is that file, whatever characters it has. Matches of a pattern come in natural order (day_2
before day_10), files of a folder alike; hidden ones are left out.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from harness.errors import DataError, did_you_mean

_MOST_NAMED = 5  # files of a folder that a message lists


def split(text: str | Path) -> list[str]:
    """The names in a text, in their order; a text that is a file's name is one."""
    whole = str(text)
    if "," not in whole or Path(whole).expanduser().exists():
        return [whole]
    return [part for name in whole.split(",") if (part := name.strip())] or [whole]


def anchored(text: str | Path, folder: Path) -> Path:
    """The same names, absolute: relative ones are meant from `folder`, `~` is the home folder."""
    whole = Path(text).expanduser()
    if Path(folder, whole).exists():
        return Path(folder.absolute(), whole)
    names = [Path(name).expanduser() for name in split(text)]
    return Path(",".join(str(name if name.is_absolute() else Path(folder.absolute(), name)) for name in names))


def files_named(text: str | Path, *, what: str = "") -> list[Path]:
    """The files that a text names; a plain name stays even where nothing is there, for who opens it says that best.

    Raises DataError where a pattern or a folder has no file. `what` begins the sentence.
    """
    found: list[Path] = []
    for name in split(text):
        path = Path(name).expanduser()
        if path.is_dir():
            found += _of_folder(path, what)
        elif path.exists() or not glob.has_magic(name):
            found.append(path)
        else:
            found += matches(path, what=what)
    return found


def matches(pattern: str | Path, *, what: str = "") -> list[Path]:
    """The files that a pattern names, `**` any number of folders. DataError where there is none."""
    text = str(pattern)
    files = natural(Path(each) for each in glob.glob(text, recursive=True))  # noqa: PTH207  # absolute patterns too
    files = [path for path in files if path.is_file()]
    if files:
        return files
    folder = _folder_of(text)
    beside = (
        [path.name for path in natural(folder.iterdir()) if not path.name.startswith(".")] if folder.is_dir() else []
    )
    sentence = f"{what}: no file matches {text!r}" if what else f"no file matches {text!r}"
    if not folder.is_dir():
        raise DataError(f"{sentence}, there is no folder {folder}", hint="check the path; quote patterns for the shell")
    if not beside:
        raise DataError(
            f"{sentence}, the folder {folder} is empty", hint="check the path; quote patterns for the shell"
        )
    listed = ", ".join(beside[:_MOST_NAMED]) + (", …" if len(beside) > _MOST_NAMED else "")
    near = did_you_mean(Path(text).name, beside)
    raise DataError(f"{sentence} in {folder}, which holds {listed}", hint=near if near.startswith("did") else None)


def natural(paths: Iterable[Path]) -> list[Path]:
    """In the order a person counts: day_2 before day_10."""
    return sorted(paths, key=_counted)


def _of_folder(folder: Path, what: str) -> list[Path]:
    files = natural(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DataError(f"{what}: the folder {folder} holds no file" if what else f"the folder {folder} holds no file")
    return files


def _folder_of(pattern: str) -> Path:
    """The deepest folder before the first part with a wildcard."""
    parts = Path(pattern).parts
    plain = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return Path(*parts[:plain]) if plain else Path()


def _counted(path: Path) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", str(path)) if part]
