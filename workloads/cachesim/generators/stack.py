"""Lookups driven by LRU stack distances: each one takes the row at a drawn depth of the LRU stack, or a new row.

Such a trace has the bursts of the one its distances come from, and by construction (nearly) its exact LRU curve, which
no generator of independent references has. The depth is found by descending a bitset of slots with sums on three
levels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from harness.api import UsageError
from harness.errors import did_you_mean
from workloads.cachesim.generators.spec import (
    GENERATOR_VERSION,
    PIECE_REQUESTS,
    GeneratorSpec,
    Integers,
    Progress,
    threshold,
    trace_in_order,
)
from workloads.cachesim.locality import FIRST, distance_counts, log2_histogram
from workloads.cachesim.policies.instructions import set_bits
from workloads.cachesim.traces.trace import Trace
from workloads.common.counter import stream
from workloads.common.sampling import cell_table

NEW = 0  # a drawn depth that asks for a new row
BLOCK_SLOTS = 1 << 18  # 64 groups of 64 words of 64 slots


@dataclass(frozen=True, slots=True)
class StackProfile:
    """Requests by stack distance in powers of two (bin b: (2^(b - 1), 2^b]), and how many were first ones."""

    first: int
    by_distance: tuple[int, ...]
    source: str

    def __post_init__(self) -> None:
        if self.first < 1 or min(self.by_distance, default=0) < 0:
            raise UsageError("a stack profile needs at least one first request, and no negative count")


def profile_of(trace: Trace) -> StackProfile:
    """The profile of a trace, to generate longer or shorter ones like it."""
    counts = distance_counts(trace.ids, trace.unique)
    first, counts[FIRST] = int(counts[FIRST]), 0
    return StackProfile(first, tuple(np.trim_zeros(log2_histogram(counts), "b").tolist()), trace.source)


# Measured with `profile_of`.
PROFILES = {
    "dlrm": StackProfile(
        first=102_524,
        by_distance=(
            *(2_052, 1_222, 2_136, 4_119, 7_623, 12_824, 20_028, 28_106, 38_194),
            *(54_468, 70_420, 42_958, 5_114, 4_505, 6_855, 11_221, 12_624, 2_958),
        ),
        source="429,951 lookups of one table of Meta's dlrm_datasets",
    ),
    "recommendations": StackProfile(
        first=258_368,
        by_distance=(
            *(6_494, 2_472, 7_337, 17_112, 24_714, 28_423, 45_863, 45_441, 48_833, 50_768),
            *(60_335, 69_006, 80_495, 90_489, 102_279, 113_604, 105_130, 66_314, 21_707),
        ),
        source="1,245,184 product recommendations (the Scarab trace of Caffeine's simulator)",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec(GeneratorSpec):
    """`profile` is one of `PROFILES`, or one of your own."""

    profile: str | StackProfile = "dlrm"

    def __post_init__(self) -> None:
        GeneratorSpec.__post_init__(self)
        if isinstance(self.profile, str) and self.profile not in PROFILES:
            raise UsageError(f"unknown stack profile {self.profile!r}", hint=did_you_mean(self.profile, PROFILES))
        if self.tables != 1:
            raise UsageError("stack distances are drawn for one table; tables must be 1")

    def distinct_rows(self) -> int:
        """The profile's share of first requests, and those deeper than the stack while it fills."""
        requests, profile = self.samples * self.pooling, self.known_profile
        share = profile.first / (profile.first + sum(profile.by_distance))
        return min(requests, math.ceil(requests * share) + (1 << len(profile.by_distance) >> 1))

    def working_bytes(self) -> int:
        """The slots of the stack: at most four for each row, before and after they are doubled."""
        return 8 * (BLOCK_SLOTS + 6 * self.distinct_rows())

    @property
    def known_profile(self) -> StackProfile:
        return PROFILES[self.profile] if isinstance(self.profile, str) else self.profile


def generate_stack(spec: StackSpec, progress: Progress | None = None) -> Trace:
    """A depth beyond the rows seen so far takes a new row, so a short trace has more of them than its profile."""
    return trace_in_order(spec, _pieces(spec.known_profile, spec.samples * spec.pooling, spec.seed), progress)


def _pieces(profile: StackProfile, requests: int, seed: int) -> Iterator[Integers]:
    depths = stream(seed, GENERATOR_VERSION, "stack depths")
    kinds = stream(seed, GENERATOR_VERSION, "stack first requests")
    reuses = sum(profile.by_distance)
    new = threshold(profile.first / (profile.first + reuses))
    law = None
    if reuses:
        low = [1 if bin_ == 0 else (1 << (bin_ - 1)) + 1 for bin_ in range(len(profile.by_distance))]
        width = [max(1, (1 << bin_) >> 1) for bin_ in range(len(profile.by_distance))]
        law = cell_table(low, width, profile.by_distance)
    stack = _Stack()
    for start in range(0, requests, PIECE_REQUESTS):
        stop = min(start + PIECE_REQUESTS, requests)
        words = depths.words(start, stop)
        depth = np.zeros(words.size, np.int64) if law is None else law.values(words, law.cells(words))
        depth[kinds.words(start, stop) <= new] = NEW
        yield stack.draw(depth)


class _Stack:
    """The LRU stack: slots in order of last use, the latest at the top."""

    def __init__(self) -> None:
        self._rows = 0
        self._top = 0
        self._owner = np.full(BLOCK_SLOTS, -1, np.int64)
        self._sums = _sums(BLOCK_SLOTS)

    def draw(self, depths: Integers) -> Integers:
        """The rows at these depths, each moved to the top; new ones are numbered on."""
        drawn = np.empty(depths.size, np.int64)
        done = 0
        while True:
            done, self._top, self._rows = _draw(depths, drawn, done, self._owner, *self._sums, self._top, self._rows)
            if done == depths.size:
                return drawn
            owned = self._owner[self._owner >= 0]
            slots = self._owner.size if 2 * owned.size <= self._owner.size else 2 * self._owner.size
            self._owner = np.full(slots, -1, np.int64)
            self._owner[: owned.size] = owned
            self._sums = _sums(slots)
            self._top = owned.size
            _fill(owned.size, *self._sums)


def _sums(slots: int) -> tuple[npt.NDArray[np.uint64], Integers, Integers]:
    return np.zeros(slots >> 6, np.uint64), np.zeros(slots >> 12, np.int64), np.zeros(slots >> 18, np.int64)


@njit(cache=True, nogil=True)
def _fill(owned: int, words: npt.NDArray[np.uint64], groups: Integers, blocks: Integers) -> None:
    for slot in range(owned):
        words[slot >> 6] |= np.uint64(1) << np.uint64(slot & 63)
        groups[slot >> 12] += 1
        blocks[slot >> 18] += 1


@njit(cache=True, nogil=True)
def _draw(
    depths: Integers,
    drawn: Integers,
    start: int,
    owner: Integers,
    words: npt.NDArray[np.uint64],
    groups: Integers,
    blocks: Integers,
    top: int,
    rows: int,
) -> tuple[int, int, int]:
    """Goes on from `start` until the depths end or the slots do; position, first free slot and rows so far."""
    one = np.uint64(1)
    for i in range(start, depths.size):
        if top == owner.size:
            return i, top, rows
        depth = depths[i]
        if depth == 0 or depth > rows:
            row = rows
            rows += 1
        else:
            block = (top - 1) >> 18 if top > 0 else 0
            while blocks[block] < depth:
                depth -= blocks[block]
                block -= 1
            group = min((block << 6) + 63, groups.size - 1)
            while groups[group] < depth:
                depth -= groups[group]
                group -= 1
            word = (group << 6) + 63
            held = np.int64(set_bits(words[word]))
            while held < depth:
                depth -= held
                word -= 1
                held = np.int64(set_bits(words[word]))
            bits = words[word]
            bit = 63
            while True:
                if (bits >> np.uint64(bit)) & one:
                    depth -= 1
                    if depth == 0:
                        break
                bit -= 1
            slot = (word << 6) + bit
            row = owner[slot]
            owner[slot] = -1
            words[word] ^= one << np.uint64(bit)
            groups[group] -= 1
            blocks[block] -= 1
        drawn[i] = row
        owner[top] = row
        words[top >> 6] |= one << np.uint64(top & 63)
        groups[top >> 12] += 1
        blocks[top >> 18] += 1
        top += 1
    return depths.size, top, rows
