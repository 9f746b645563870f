"""The seven-file Amazon layout of the DIEN paper's scripts: one positive and one negative for each user's last item.

`local_train_splitByUser` and `local_test_splitByUser` hold lines of label, user, item, category, past items and past
categories; tabs between them, byte 0x02 inside the past. `cat_voc.pkl`, `mid_voc.pkl`, `uid_voc.pkl` give names their
ids. `item-info` and `reviews-info` are what the two files were made of; their presence is checked, nothing is read of
them.

Names that a vocabulary lacks get id 0, as in the original. For items and categories that is the default entry; the
user vocabulary has none, so its unknown users share the row of the user with id 0 (counted and said).

Read line by line into flat arrays on disk, kept by the files' fingerprints: the text is never held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.api import DataError
from workloads.common.cache import ArrayWriter, CacheEntry, Facts, cached
from workloads.common.fingerprint import fingerprint_file
from workloads.din.samples import Samples, Sequences
from workloads.din.vocabulary import read_vocabulary

SEPARATOR = "\x02"
TRAIN, TEST = "local_train_splitByUser", "local_test_splitByUser"
VOCABULARIES = ("uid_voc.pkl", "mid_voc.pkl", "cat_voc.pkl")
FILES = (TRAIN, TEST, *VOCABULARIES, "item-info", "reviews-info")
READ_FILES = FILES[:5]
FIELDS = ("label", "user", "item", "category", "past items", "past categories")
READER_VERSION = 1  # raised when the arrays change
_BLOCK_LINES = 1 << 14
_WRONG_MARKS = (",", " ", ";", "|", "^", "\\", "\x01")  # item names hold none of them; category names may
_COLUMNS = ("users", "items", "categories", "lengths", "groups")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class AmazonFiles:
    """Both parts as arrays mapped from the cache."""

    train: Samples
    test: Samples
    table_rows: tuple[int, int, int]  # user, item, category
    fingerprint: str
    unknown: Mapping[str, int]  # "test users": how many lines named one that its vocabulary lacks


def is_amazon_folder(path: Path) -> bool:
    return path.is_dir() and (path / TRAIN).is_file()


def read_amazon(folder: Path, *, cache_root: Path, progress: Progress | None = None) -> AmazonFiles:
    """The samples of a folder, from the cache when they are there. DataError names file, line and what was expected."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}", hint="the seven files are " + ", ".join(FILES))
    prints = [str(fingerprint_file(folder / name, memory=cache_root / "files.json")) for name in READ_FILES]
    digest = hashlib.sha256(" ".join([str(READER_VERSION), *prints]).encode()).hexdigest()

    def build(target: Path) -> Facts:
        return _parse(folder, target, progress)

    needed = 2 * sum((folder / name).stat().st_size for name in (TRAIN, TEST))
    entry = cached(cache_root / "din", f"amazon-{digest[:24]}", build, needed_bytes=needed)
    rows = entry.facts["table_rows"]
    return AmazonFiles(
        train=_samples(entry, "train"),
        test=_samples(entry, "test"),
        table_rows=(rows[0], rows[1], rows[2]),
        fingerprint=digest,
        unknown=entry.facts["unknown"],
    )


def _samples(entry: CacheEntry, part: str) -> Samples:
    users, items, categories, lengths, groups = (entry.array(f"{part}-{column}") for column in _COLUMNS)
    return Samples(
        sequences=Sequences(entry.array(f"{part}-past-items"), entry.array(f"{part}-past-categories")),
        users=users,
        items=items,
        categories=categories,
        starts=entry.array(f"{part}-starts"),
        lengths=lengths,
        labels=entry.array(f"{part}-labels"),
        groups=groups,
    )


def _parse(folder: Path, target: Path, progress: Progress | None) -> Facts:
    vocabularies = tuple(read_vocabulary(folder / name) for name in VOCABULARIES)
    unknown: dict[str, int] = {}
    total = sum((folder / name).stat().st_size for name in (TRAIN, TEST))
    done = 0
    for part, name in (("train", TRAIN), ("test", TEST)):
        path = folder / name
        with _PartWriter(target, part) as writer:
            done = _parse_part(path, vocabularies, writer, unknown, part, done, total, progress)
        if not writer.lines:
            raise DataError(f"{path} is empty", hint="expected two lines for each user")
    rows = [max(vocabulary.values()) + 1 for vocabulary in vocabularies]
    return {"table_rows": rows, "unknown": unknown}


def _parse_part(
    path: Path,
    vocabularies: tuple[dict[str, int], ...],
    writer: _PartWriter,
    unknown: dict[str, int],
    part: str,
    done: int,
    total: int,
    progress: Progress | None,
) -> int:
    users, items, categories = vocabularies
    missed = {"users": 0, "items": 0, "categories": 0}

    def known(vocabulary: dict[str, int], name: str, what: str) -> int:
        number = vocabulary.get(name)
        if number is None:
            missed[what] += 1
            return 0
        return number

    previous: tuple[str, str] | None = None
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                label, user, item, category, past_items, past_categories = split_line(line, path, number)
                history = (past_items, past_categories)
                if history != previous:
                    writer.past(
                        [known(items, each, "items") for each in past_items.split(SEPARATOR)],
                        [known(categories, each, "categories") for each in past_categories.split(SEPARATOR)],
                    )
                    previous = history
                writer.add(
                    int(label),
                    user,
                    known(users, user, "users"),
                    known(items, item, "items"),
                    known(categories, category, "categories"),
                )
                done += len(line)
                if progress is not None and number % _BLOCK_LINES == 0:
                    progress(min(done, total), total)
    except UnicodeDecodeError as problem:
        raise DataError(f"{path} is not UTF-8 text: {problem.reason} at byte {problem.start}") from problem
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from problem
    unknown.update({f"{part} {what}": count for what, count in missed.items() if count})
    return done


def split_line(line: str, path: Path, number: int) -> tuple[str, str, str, str, str, str]:
    """The six fields of a line. DataError where one is missing, or where the past has two lengths."""
    fields = line.rstrip("\r\n").split("\t")
    place = f"{path}, line {number}"
    if len(fields) != len(FIELDS):
        raise DataError(
            f"{place} has {len(fields)} fields, expected {len(FIELDS)} with tabs between them: {', '.join(FIELDS)}"
        )
    label, user, item, category, past_items, past_categories = fields
    if label not in ("0", "1"):
        raise DataError(f"{place} has the label {label[:20]!r}, expected 0 or 1")
    if not past_items or not past_categories:
        raise DataError(f"{place} has no past", hint="users without a past have no line in this layout")
    items, categories = past_items.count(SEPARATOR) + 1, past_categories.count(SEPARATOR) + 1
    if items != categories or any(mark in past_items for mark in _WRONG_MARKS):
        raise DataError(
            f"{place} has a broken separator: its past is of {items} items, {_start_of(past_items)}, and {categories} "
            "categories",
            hint="one past item is separated from the next by the byte 0x02, which most editors do not show",
        )
    return label, user, item, category, past_items, past_categories


def _start_of(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:24] + "…")


class _PartWriter:
    """Appends the samples of one part to its arrays on disk, a block of lines at a time."""

    def __init__(self, folder: Path, part: str) -> None:
        self.lines = 0
        self._names: dict[str, int] = {}
        self._types: dict[str, np.dtype[np.integer]] = {
            **dict.fromkeys((*_COLUMNS, "past-items", "past-categories"), np.dtype(np.int32)),
            "starts": np.dtype(np.int64),
            "labels": np.dtype(np.int8),
        }
        self._arrays = {name: ArrayWriter(folder / f"{part}-{name}.npy", dtype) for name, dtype in self._types.items()}
        self._held: dict[str, list[int]] = {name: [] for name in self._arrays}
        self._start = self._end = 0

    def past(self, items: list[int], categories: list[int]) -> None:
        """The past of the lines that follow."""
        self._held["past-items"] += items
        self._held["past-categories"] += categories
        self._start, self._end = self._end, self._end + len(items)

    def add(self, label: int, name: str, user: int, item: int, category: int) -> None:
        held = self._held
        held["labels"].append(label)
        held["users"].append(user)
        held["groups"].append(self._names.setdefault(name, len(self._names)))
        held["items"].append(item)
        held["categories"].append(category)
        held["starts"].append(self._start)
        held["lengths"].append(self._end - self._start)
        self.lines += 1
        if self.lines % _BLOCK_LINES == 0:
            self._flush()

    def __enter__(self) -> _PartWriter:
        return self

    def __exit__(self, *problem: object) -> None:
        self._flush()
        for array in self._arrays.values():
            array.close()

    def _flush(self) -> None:
        for name, array in self._arrays.items():
            array.append(np.array(self._held[name], self._types[name]))
            self._held[name] = []
