"""Small folders and files in the layouts of the real ones."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

USERS, ITEMS, CATEGORIES = 40, 30, 5
DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "amazon"


def category_of(item: int) -> int:
    return item % CATEGORIES + 1


def write_amazon(folder: Path, *, users: int = USERS, tests: int = 8, seed: int = 0) -> Path:
    """The seven files; the last `tests` users test, and are not in the vocabulary of users."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for user in range(users):
        length = int(generator.integers(1, 9))
        items = generator.integers(1, ITEMS + 1, length + 1).tolist()
        past = "\x02".join(f"i{item}" for item in items[:-1])
        categories = "\x02".join(f"c{category_of(item)}" for item in items[:-1])
        part = "train" if user < users - tests else "test"
        for label, item in ((0, int(generator.integers(1, ITEMS + 1))), (1, items[-1])):
            lines[part].append(f"{label}\tu{user}\ti{item}\tc{category_of(item)}\t{past}\t{categories}")
    for part, found in lines.items():
        (folder / f"local_{part}_splitByUser").write_text("\n".join(found) + "\n")
    vocabularies = {
        "uid": {f"u{user}": user for user in range(users - tests)},
        "mid": {"default_mid": 0, **{f"i{item}": item for item in range(1, ITEMS + 1)}},
        "cat": {"default_cat": 0, **{f"c{category}": category for category in range(1, CATEGORIES + 1)}},
    }
    for name, vocabulary in vocabularies.items():
        (folder / f"{name}_voc.pkl").write_bytes(pickle.dumps(vocabulary, protocol=2))
    (folder / "item-info").write_text("".join(f"i{i}\tc{category_of(i)}\n" for i in range(1, ITEMS + 1)))
    (folder / "reviews-info").write_text("u0\ti1\t5.0\t1\n")
    return folder


def write_sequences(folder: Path, *, users: int = USERS, seed: int = 0) -> Path:
    """Ordered sequences of three to twelve items, and their attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    path = folder / "Tiny.txt"
    lines = []
    for user in range(1, users + 1):
        items = generator.permutation(ITEMS)[: generator.integers(3, 13)] + 1
        lines.append(" ".join(map(str, [user, *items.tolist()])))
    path.write_text("\n".join(lines) + "\n")
    attributes = {str(item): [7, category_of(item) + 100] for item in range(1, ITEMS + 1)}
    path.with_name("Tiny_item2attributes.json").write_text(json.dumps(attributes))
    return path
