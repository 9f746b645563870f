"""The paper's protocol from ordered sequences: every prefix of a user's items predicts the next one.

For each user and each place i >= 1 there is a positive, the item at i, and a negative, an item that the user never
touched, drawn evenly; both have the items before i as their past. The last place tests, the others train
(zhougr1993/DeepInterestNetwork, build_dataset.py; it draws its negatives without a recorded seed, here they are a
function of the data seed and the place).

The file holds one user a line: a number of the user's own and the items in order of time, with spaces between them.
Beside it lies `NAME_item2attributes.json`, whose last attribute of an item is its leaf category.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.api import DataError
from workloads.common.cache import ArrayWriter, Facts, cached
from workloads.common.counter import below, stream
from workloads.common.fingerprint import fingerprint_file
from workloads.din.samples import Samples, Sequences

READER_VERSION = 1  # raised when the arrays change
NEGATIVES_VERSION = 1
ATTRIBUTES = "_item2attributes.json"
SHORTEST = 3  # items of a user: one of the past, one to train on, one to test on
_LARGEST_ID = (1 << 31) - 2
_BLOCK_USERS = 1 << 13
_ATTEMPTS = 64  # draws of one negative before it is given up; a user who touched half of all items needs 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class OrderedSequences:
    """All users' items in order of time. Ids count from 1; 0 is nobody's."""

    sequences: Sequences
    begins: npt.NDArray[np.int64]  # [users + 1] where each user's items begin
    categories: npt.NDArray[np.int32]  # [items + 1] of each item
    table_rows: tuple[int, int, int]  # user, item, category
    fingerprint: str


def read_sequences(path: Path, *, cache_root: Path, progress: Progress | None = None) -> OrderedSequences:
    """The sequences of a file, from the cache when they are there. DataError naming line and what was expected."""
    attributes = path.with_name(path.stem + ATTRIBUTES)
    if not path.is_file():
        raise DataError(f"{path} is not a file", hint="expected one user a line: user item item item …")
    if not attributes.is_file():
        raise DataError(f"{attributes} is missing", hint="it gives each item of the sequences its category")
    prints = [str(fingerprint_file(each, memory=cache_root / "files.json")) for each in (path, attributes)]
    digest = hashlib.sha256(" ".join([str(READER_VERSION), *prints]).encode()).hexdigest()

    def build(target: Path) -> Facts:
        return _parse(path, attributes, target, progress)

    entry = cached(
        cache_root / "din", f"sequences-{digest[:24]}", build, needed_bytes=path.stat().st_size * 4
    )  # two int32 for each item, of three characters or more
    rows = entry.facts["table_rows"]
    return OrderedSequences(
        sequences=Sequences(entry.array("items"), entry.array("item-categories")),
        begins=entry.array("begins"),
        categories=entry.array("categories"),
        table_rows=(rows[0], rows[1], rows[2]),
        fingerprint=digest,
    )


def samples_of(ordered: OrderedSequences, data_seed: int) -> tuple[Samples, Samples, npt.NDArray[np.int32]]:
    """The training samples, the test samples, and how far each training sample lies before its user's last place.

    A positive stands directly before its negative.
    """
    begins, items = ordered.begins, ordered.sequences.items
    counts = np.diff(begins)
    users = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    place = np.arange(len(items), dtype=np.int64) - begins[users]  # in its own sequence
    target = np.flatnonzero(place >= 1)  # into items
    owner = users[target]
    negatives = _negatives(ordered, target, owner, data_seed)
    left = (counts[owner] - 1 - place[target]).astype(np.int32)

    def make(chosen: npt.NDArray[np.intp]) -> Samples:
        positive = items[target[chosen]]
        both = np.stack([positive, negatives[chosen]], 1).reshape(-1)
        whose = owner[chosen]
        return Samples(
            sequences=ordered.sequences,
            users=np.repeat(whose + np.int32(1), 2),
            items=both,
            categories=ordered.categories[both],
            starts=np.repeat(begins[whose], 2),
            lengths=np.repeat(place[target[chosen]].astype(np.int32), 2),
            labels=np.tile(np.array([1, 0], np.int8), len(chosen)),
            groups=np.repeat(whose, 2),
        )

    train = np.flatnonzero(left > 0)
    return make(train), make(np.flatnonzero(left == 0)), np.repeat(left[train], 2)


def _negatives(
    ordered: OrderedSequences, target: npt.NDArray[np.intp], owner: npt.NDArray[np.int32], data_seed: int
) -> npt.NDArray[np.int32]:
    """One item for each target that its user never touched; draw k of target t is word t * ATTEMPTS + k."""
    item_rows = ordered.table_rows[1]
    counts = np.diff(ordered.begins)
    user_of_item = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    touched = np.unique(user_of_item * item_rows + ordered.sequences.items)
    words = stream(data_seed, NEGATIVES_VERSION, "din negatives")
    found = np.zeros(len(target), np.int32)
    open_rows = np.arange(len(target))
    for attempt in range(_ATTEMPTS):
        drawn = below(words.at(target[open_rows] * _ATTEMPTS + attempt), item_rows - 1) + 1
        key = owner[open_rows].astype(np.int64) * item_rows + drawn
        where = np.minimum(np.searchsorted(touched, key), len(touched) - 1)
        free = touched[where] != key
        found[open_rows[free]] = drawn[free]
        open_rows = open_rows[~free]
        if not len(open_rows):
            return found
    user = int(owner[open_rows[0]]) + 1
    raise DataError(f"user {user} touched nearly every item, so no negative was found in {_ATTEMPTS} draws")


def _parse(path: Path, attributes: Path, target: Path, progress: Progress | None) -> Facts:
    leaf = _leaf_categories(attributes)
    total, done = path.stat().st_size, 0
    begins, end, largest = [0], 0, 0
    seen: set[str] = set()
    with ArrayWriter(target / "items.npy", np.int32) as items:
        block: list[int] = []
        try:
            with path.open(encoding="ascii", newline="\n") as file:
                for number, line in enumerate(file, 1):
                    user, found = _sequence(line, path, number)
                    if user in seen:
                        raise DataError(f"{path}, line {number}: user {user} has a line already")
                    seen.add(user)
                    block += found
                    end += len(found)
                    begins.append(end)
                    largest = max(largest, *found)
                    done += len(line)
                    if number % _BLOCK_USERS == 0:
                        items.append(np.array(block, np.int32))
                        block = []
                        if progress is not None:
                            progress(done, total)
        except UnicodeDecodeError as problem:
            raise DataError(f"{path} is not plain text of numbers: byte {problem.start} of a block") from problem
        except OSError as problem:
            raise DataError(f"{path} cannot be read: {problem.strerror}") from problem
        items.append(np.array(block, np.int32))
    if end == 0:
        raise DataError(f"{path} is empty", hint="expected one user a line: user item item item …")
    categories = np.zeros(largest + 1, np.int32)
    ids: dict[int, int] = {}
    for item, category in leaf.items():
        if item <= largest:
            categories[item] = ids.setdefault(category, len(ids) + 1)
    all_items = np.load(target / "items.npy", mmap_mode="r")
    with ArrayWriter(target / "item-categories.npy", np.int32) as writer:
        for start in range(0, end, 1 << 20):
            part = all_items[start : start + (1 << 20)]
            writer.append(categories[part])
            without = part[categories[part] == 0]
            if len(without):
                raise DataError(f"{attributes} has no category for item {int(without[0])} of {path.name}")
    for name, values in (("begins", np.array(begins, np.int64)), ("categories", categories)):
        with ArrayWriter(target / f"{name}.npy", values.dtype) as writer:
            writer.append(values)
    return {"table_rows": [len(begins), largest + 1, len(ids) + 1]}


def _sequence(line: str, path: Path, number: int) -> tuple[str, list[int]]:
    words = line.split()
    place = f"{path}, line {number}"
    wrong = next((word for word in words if not word.isdecimal() or not 0 < int(word) <= _LARGEST_ID), None)
    if wrong is not None:
        raise DataError(f"{place}: {wrong[:20]!r} is no id, expected whole numbers from 1 with spaces between them")
    if len(words) < SHORTEST + 1:
        raise DataError(f"{place} has {max(0, len(words) - 1)} items, expected a user and at least {SHORTEST} items")
    return words[0], [int(word) for word in words[1:]]


def _leaf_categories(path: Path) -> dict[int, int]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from problem
    except ValueError as problem:
        raise DataError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise DataError(f"{path} is not a dictionary of items to attributes")
    leaf: dict[int, int] = {}
    for item, attributes in found.items():
        named = isinstance(attributes, list) and bool(attributes) and isinstance(attributes[-1], int)
        if not item.isdecimal() or not named:
            raise DataError(f"{path}: item {item[:20]!r} needs a number and a list of attributes, its category last")
        leaf[int(item)] = attributes[-1]
    return leaf
