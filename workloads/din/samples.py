"""Samples over sequences in flat arrays: whatever the source, a sample's past is a slice of one array.

All prefixes of a user's sequence share its items, a positive and a negative share their past, and nothing is padded
before a batch is made.

    n samples, N items of all sequences
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.api import DataError

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The items of all sequences, one behind the other."""

    items: Ids  # [N]
    categories: Ids  # [N]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Consecutive samples. The past of sample i is `sequences[starts[i] : starts[i] + lengths[i]]`, oldest first."""

    sequences: Sequences
    users: Ids  # [n]
    items: Ids  # [n] the targets
    categories: Ids  # [n]
    starts: npt.NDArray[np.int64]  # [n]
    lengths: Ids  # [n]
    labels: npt.NDArray[np.int8]  # [n]
    groups: Ids  # [n] whose sample it is; `users` cannot tell where unknown users share an id
    probabilities: npt.NDArray[np.float64] | None = None  # [n] true ones, of generated samples

    def __len__(self) -> int:
        return len(self.users)

    def rows(self, chosen: slice | npt.NDArray[np.intp]) -> Samples:
        """Some of these samples; a slice makes no copy."""
        return Samples(
            self.sequences,
            self.users[chosen],
            self.items[chosen],
            self.categories[chosen],
            self.starts[chosen],
            self.lengths[chosen],
            self.labels[chosen],
            self.groups[chosen],
            None if self.probabilities is None else self.probabilities[chosen],
        )

    def cut(self, longest: int) -> Samples:
        """The same samples with at most the last `longest` items of each past."""
        lengths = np.minimum(self.lengths, np.int32(longest))
        return replace(self, starts=self.starts + (self.lengths - lengths), lengths=lengths)

    def mean_length(self) -> float:
        return float(self.lengths.mean()) if len(self) else 0.0


def check_ids(samples: Samples, table_rows: tuple[int, int, int], source: str) -> None:
    """DataError naming the first id that is not a row of its table (user, item, category)."""
    users, items, categories = table_rows
    for name, ids, rows in (
        ("user", samples.users, users),
        ("item", samples.items, items),
        ("category", samples.categories, categories),
        ("past item", samples.sequences.items, items),
        ("past category", samples.sequences.categories, categories),
    ):
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= rows):
            wrong = int(np.flatnonzero((ids < 0) | (ids >= rows))[0])
            raise DataError(f"{source}: {name} {int(ids[wrong])} is not an id of its vocabulary, 0 to {rows - 1}")
