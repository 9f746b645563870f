"""Table rows for raw ids: per column, the ids that are frequent enough in the training part get a row of their own.

Row 0 is shared by rare and unseen ids, row 1 is the missing field, frequent ids follow from row 2 in descending order
of frequency, equal ones by ascending value. (TorchRec's preprocessing starts at 2 with rare ids sharing 1; here a
missing field is told apart from a rare id.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RARE = 0
MISSING_ID = 1
FIRST_FREQUENT = 2


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The frequent ids of one column; the id at place i has row i + 2."""

    hashes: npt.NDArray[np.uint32]  # [k]
    ascending: npt.NDArray[np.uint32]  # [k] the same, sorted
    rows: npt.NDArray[np.int32]  # [k] the row of each sorted id

    @classmethod
    def of(cls, hashes: npt.NDArray[np.uint32]) -> Vocabulary:
        order = np.argsort(hashes, kind="stable")
        return cls(hashes, hashes[order], (order + FIRST_FREQUENT).astype(np.int32))

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table: the frequent ids and the two shared ones."""
        return int(self.hashes.size) + FIRST_FREQUENT

    def encode(self, ids: npt.NDArray[np.uint32], missing: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """The table row of each id [n]."""
        encoded = np.full(ids.shape, RARE, np.int32)
        if self.ascending.size:
            place = np.searchsorted(self.ascending, ids)
            place[place == self.ascending.size] = 0
            known = self.ascending[place] == ids
            encoded[known] = self.rows[place[known]]
        encoded[missing] = MISSING_ID
        return encoded


def build_vocabulary(
    ids: npt.NDArray[np.uint32],
    missing: npt.NDArray[np.bool_],
    *,
    frequency_threshold: int,
    max_table_rows: int | None = None,
) -> Vocabulary:
    """The vocabulary of a column's training ids [n]: those seen at least `frequency_threshold` times.

    With `max_table_rows` only the most frequent ones that fit beside the two shared rows.
    """
    found, counts = np.unique(ids[~missing], return_counts=True)
    frequent = counts >= frequency_threshold
    found, counts = found[frequent], counts[frequent]
    order = np.argsort(-counts, kind="stable")  # `found` ascends, so equal counts stay in order of value
    if max_table_rows is not None:
        order = order[: max(max_table_rows - FIRST_FREQUENT, 0)]
    return Vocabulary.of(found[order])


def digest(vocabularies: Sequence[Vocabulary]) -> str:
    """SHA-256 over all columns: two data sets encoded alike have the same."""
    whole = hashlib.sha256()
    for vocabulary in vocabularies:
        whole.update(vocabulary.hashes.size.to_bytes(8, "little"))
        whole.update(vocabulary.hashes.astype("<u4").tobytes())
    return whole.hexdigest()
