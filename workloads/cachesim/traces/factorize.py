"""Dense row numbers for arbitrary ids, one growing hash table for each embedding table, in order of first appearance.

Open addressing with linear probing; hash and row number share a slot, so that a lookup touches one cache line, which is
fetched some hundred ids ahead. Memory grows with the distinct ids, never with the requests. Strings are told apart by
all their bytes, not by a hash alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import DataError
from workloads.cachesim.policies.instructions import prefetch

Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

SMALLEST_SLOTS = 1 << 8
FULL = 0.6  # share of slots in use at which the table grows
MOST_ROWS = (1 << 31) - 1  # a row number is an int32
TOGETHER = 256  # ids hashed, and their slots fetched, before the first of them is looked up


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Strings [n] inside a block of bytes."""

    blob: npt.NDArray[np.uint8]
    starts: Integers  # [n]
    ends: Integers  # [n]

    def __len__(self) -> int:
        return int(self.starts.size)

    def __getitem__(self, places: slice | npt.NDArray[np.intp]) -> Texts:
        return Texts(self.blob, self.starts[places], self.ends[places])

    def text(self, index: int) -> str:
        return self.blob[self.starts[index] : self.ends[index]].tobytes().decode("utf-8", "surrogateescape")


class IntegerFactorizer:
    """Rows for signed 64-bit numbers."""

    textual = False

    def __init__(self) -> None:
        self.count = 0
        self._slots = _empty_slots(SMALLEST_SLOTS)
        self._keys = np.empty(SMALLEST_SLOTS, np.int64)

    def add(self, ids: Integers) -> Rows:
        """The row of each id [n]; a new id gets the next number."""
        rows = np.empty(ids.size, np.int32)
        done = 0
        while True:
            limit = min(int(self._slots.size // 2 * FULL), self._keys.size)
            done, self.count = _add_integers(ids, rows, done, self._slots, self._keys, self.count, limit)
            if done == ids.size:
                return rows
            self._grow()

    def keys(self) -> Integers:
        """[count] the id of each row."""
        return self._keys[: self.count]

    def _grow(self) -> None:
        size = _next_size(self._slots.size // 2)
        self._keys.resize(int(size * FULL) + 1, refcheck=False)
        self._slots = _empty_slots(size)
        _place(_mixed(self._keys[: self.count]), self._slots)


class TextFactorizer:
    """Rows for strings."""

    textual = True

    def __init__(self) -> None:
        self.count = 0
        self._slots = _empty_slots(SMALLEST_SLOTS)
        self._hashes = np.empty(SMALLEST_SLOTS, np.int64)
        self._blob = np.empty(1 << 12, np.uint8)
        self._offsets = np.zeros(SMALLEST_SLOTS + 1, np.int64)

    def add(self, texts: Texts) -> Rows:
        """The row of each string [n]; a new one gets the next number."""
        rows = np.empty(len(texts), np.int32)
        done = 0
        while True:
            limit = min(int(self._slots.size // 2 * FULL), self._hashes.size)
            done, self.count = _add_texts(
                texts.blob, texts.starts, texts.ends, rows, done,
                self._slots, self._hashes, self._blob, self._offsets, self.count, limit,
            )  # fmt: skip
            if done == rows.size:
                return rows
            longest = int(texts.ends[done] - texts.starts[done])
            if self._offsets[self.count] + longest > self._blob.size:
                self._blob.resize(max(2 * self._blob.size, int(self._offsets[self.count]) + longest), refcheck=False)
            if self.count >= limit:
                self._grow()

    def texts(self) -> tuple[npt.NDArray[np.uint8], Integers]:
        """The strings of all rows one after another, and where each begins [count + 1]."""
        offsets = self._offsets[: self.count + 1]
        return self._blob[: offsets[-1]], offsets

    def _grow(self) -> None:
        size = _next_size(self._slots.size // 2)
        self._hashes.resize(int(size * FULL) + 1, refcheck=False)
        self._offsets.resize(int(size * FULL) + 2, refcheck=False)
        self._slots = _empty_slots(size)
        _place(self._hashes[: self.count], self._slots)


def integer_hashes(ids: Integers) -> Integers:
    """A 64-bit hash of each id, the same in every trace."""
    return _mixed(ids)


def text_hashes(texts: Texts) -> Integers:
    """A 64-bit hash of each string, the same in every trace."""
    return _text_hashes(texts.blob, texts.starts, texts.ends)


def _empty_slots(size: int) -> Integers:
    slots = np.empty(2 * size, np.int64)
    slots[1::2] = -1
    return slots


def _next_size(size: int) -> int:
    if int(size * FULL) >= MOST_ROWS:
        raise DataError(f"more than {MOST_ROWS:,} distinct ids in one table", hint="sample the trace by id first")
    return size * (4 if size < 1 << 20 else 2)


@njit(cache=True, nogil=True)
def _mix(key: int) -> int:
    """The finaliser of SplitMix64: every bit of the key moves every bit of the hash."""
    word = np.uint64(key) + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(word ^ (word >> np.uint64(31)))  # type: ignore[return-value]


@njit(cache=True, nogil=True)
def _mixed(ids: Integers) -> Integers:
    hashes = np.empty(ids.size, np.int64)
    for i in range(ids.size):
        hashes[i] = _mix(ids[i])
    return hashes


@njit(cache=True, nogil=True)
def _hash_text(blob: npt.NDArray[np.uint8], start: int, end: int) -> int:
    """FNV-1a over the bytes, finished by `_mix`."""
    word = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        word = (word ^ np.uint64(blob[i])) * np.uint64(0x100000001B3)
    return _mix(np.int64(word))  # type: ignore[arg-type]


@njit(cache=True, nogil=True)
def _text_hashes(blob: npt.NDArray[np.uint8], starts: Integers, ends: Integers) -> Integers:
    hashes = np.empty(starts.size, np.int64)
    for i in range(starts.size):
        hashes[i] = _hash_text(blob, starts[i], ends[i])
    return hashes


@njit(cache=True, nogil=True)
def _place(hashes: Integers, slots: Integers) -> None:
    """Enters rows 0, 1, … with these hashes into empty slots. A slot holds the hash and the row."""
    mask = slots.size // 2 - 1
    for start in range(0, hashes.size, TOGETHER):
        stop = min(start + TOGETHER, hashes.size)
        for row in range(start, stop):
            prefetch(slots, 2 * (hashes[row] & mask))
        for row in range(start, stop):
            place = hashes[row] & mask
            while slots[2 * place + 1] >= 0:
                place = (place + 1) & mask
            slots[2 * place] = hashes[row]
            slots[2 * place + 1] = row


@njit(cache=True, nogil=True)
def _add_integers(
    ids: Integers, rows: Rows, done: int, slots: Integers, keys: Integers, count: int, limit: int
) -> tuple[int, int]:
    """Goes on from `done` until the ids end or a new one finds `limit` rows; the hash is a bijection of the id."""
    mask = slots.size // 2 - 1
    hashes = np.empty(TOGETHER, np.int64)
    for start in range(done, ids.size, TOGETHER):
        together = min(TOGETHER, ids.size - start)
        for k in range(together):
            hashes[k] = _mix(ids[start + k])
        for k in range(together):
            prefetch(slots, 2 * (hashes[k] & mask))
        for k in range(together):
            value = hashes[k]
            place = value & mask
            while True:
                row = slots[2 * place + 1]
                if row < 0:
                    if count >= limit:
                        return start + k, count
                    slots[2 * place] = value
                    slots[2 * place + 1] = count
                    keys[count] = ids[start + k]
                    rows[start + k] = count
                    count += 1
                    break
                if slots[2 * place] == value:
                    rows[start + k] = row
                    break
                place = (place + 1) & mask
    return ids.size, count


@njit(cache=True, nogil=True)
def _add_texts(
    source: npt.NDArray[np.uint8],
    starts: Integers,
    ends: Integers,
    rows: Rows,
    start: int,
    slots: Integers,
    hashes: Integers,
    blob: npt.NDArray[np.uint8],
    offsets: Integers,
    count: int,
    limit: int,
) -> tuple[int, int]:
    """As `_add_integers`; also stops where the blob of known strings has no room."""
    mask = slots.size // 2 - 1
    for i in range(start, starts.size):
        value = _hash_text(source, starts[i], ends[i])
        length = ends[i] - starts[i]
        place = value & mask
        while True:
            row = slots[2 * place + 1]
            if row < 0:
                used = offsets[count]
                if count >= limit or used + length > blob.size:
                    return i, count
                slots[2 * place] = value
                slots[2 * place + 1] = count
                hashes[count] = value
                blob[used : used + length] = source[starts[i] : ends[i]]
                offsets[count + 1] = used + length
                rows[i] = count
                count += 1
                break
            if slots[2 * place] == value and offsets[row + 1] - offsets[row] == length:
                same = True
                for k in range(length):
                    if blob[offsets[row] + k] != source[starts[i] + k]:
                        same = False
                        break
                if same:
                    rows[i] = row
                    break
            place = (place + 1) & mask
    return starts.size, count
