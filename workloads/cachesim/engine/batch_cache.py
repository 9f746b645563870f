"""A cache as embedding kernels have it: a batch is de-duplicated, looked up as a whole, and only then filled.

The order of a batch is that of FBGEMM's table-batched embeddings: each distinct row of the batch is looked up once and
what is resident is marked as in use; then the missed rows are inserted, in order of their first request. Lines of
batches in flight are pinned: a victim is never one of them, and a row that finds no victim is read past the cache (a
conflict miss). A lookup hits if its row was resident when its batch began, so a row that a batch asks for five times
is one miss and five lookups without a hit.

    R rows, N requests, B batches, T tables, G groups (sets, or whole caches)

| policy       | victim                                                                                     |
|--------------|--------------------------------------------------------------------------------------------|
| `lru`        | the row whose last batch, and in it the first request, is longest ago                      |
| `fifo`       | the row inserted first                                                                     |
| `lfu`        | the fewest requests since insertion; among equals the one that has had so few the longest  |
| `fbgemm-lfu` | the fewest requests ever; a miss with fewer than that is refused, and is a conflict        |
| `belady`     | the row whose next batch is farthest away                                                  |

`look_ahead` = k says that the next k batches are known, as they are in training and in batched inference (ScratchPipe,
the prefetch pipeline of FBGEMM): rows that those batches need leave last, the one needed latest first.

Residents of a group are a list in order of use for plain LRU, whose oldest row is pinned only if all are, and a heap
by (rank, clock) for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core import event

from harness.api import UsageError
from workloads.cachesim.engine.heap import CLOCK, PLACE, RANK, restore, rise, take_least
from workloads.cachesim.engine.layout import Layout
from workloads.cachesim.policies.engine import NO_MASK, Bytes, Integers
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.rows import checked_rows

POLICIES: Mapping[str, int] = {"lru": 0, "fifo": 1, "lfu": 2, "fbgemm-lfu": 3, "belady": 4}
_LRU, _FIFO, _LFU, _FBGEMM_LFU, _BELADY = POLICIES.values()

# Columns of the totals.
REQUESTED, UNIQUE, UNIQUE_MISSES, CONFLICT_UNIQUE, CONFLICTS, INSERTIONS, EVICTIONS, WRITE_BACKS, FLUSHED = range(9)
COLUMNS = 9

# Columns of the rows; all that is known of a row lies in half a cache line. PLACE is where it stands in its heap: 0 in
# a list, -1 when not resident, -2 when set aside because it is pinned.
_BATCH, _TIMES, _HIT, _GROUP, _TABLE, _NEWER, _OLDER = 0, 1, 2, 4, 5, 6, 7
_ROW_COLUMNS = 8
_PROTECTED = 1 << 48  # ranks from here belong to rows of known batches ahead
_NOT_YET = -(1 << 30)
BYTES_A_ROW = 4 * _ROW_COLUMNS + 16 + 8 + 1  # state beside the trace
BYTES_A_LINE = 4


class State(NamedTuple):
    """What the cache remembers. `rows[R + g]` is the knot that closes the list of group g to a ring."""

    rows: npt.NDArray[
        np.int32
    ]  # [R + G, 8]: last batch, requests in it, last batch that hit, place, group, table, list
    keys: npt.NDArray[np.int64]  # [R, 2] rank and clock, for heaps
    frequency: npt.NDArray[np.int64]  # [R]
    dirty: npt.NDArray[np.uint8]  # [R] changed since it was fetched or written back
    lines: npt.NDArray[np.int32]  # [lines] the heaps
    size: npt.NDArray[np.int32]  # [G] rows in each heap
    used: npt.NDArray[np.int32]  # [G] rows resident: those of the heap, and those set aside
    tick: npt.NDArray[np.int64]  # [1]


class Rules(NamedTuple):
    """`in_flight`: batches, the current one counted, whose lines are pinned. `flush_every`: in batches, 0 for never."""

    policy: int
    in_flight: int
    look_ahead: int
    training: bool
    flush_every: int


class Scratch(NamedTuple):
    """Room for the distinct rows of a batch, where each was first asked for, and pinned rows set aside."""

    distinct: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]
    aside: npt.NDArray[np.int32]


class BatchCache:
    """One simulation. `totals` [T, COLUMNS] and `calls` count what was replayed since they were last set to zero.

    `batch_starts` [B + 1] cuts the requests `ids` [N]; with one request a batch this is a set-associative cache that is
    looked up request by request. `next_batch` [N] is `next_batches(...)`, needed by `belady` and for looking ahead.
    """

    def __init__(
        self,
        ids: Integers,
        batch_starts: Integers,
        table_of_row: Integers,
        layout: Layout,
        policy: str,
        *,
        in_flight: int = 1,
        look_ahead: int = 0,
        training: bool = False,
        flush_every: int = 0,
        next_batch: Integers | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise UsageError(
                f"policy {policy!r} cannot be simulated by batches with pinned lines or in sets",
                hint="those that can: " + ", ".join(POLICIES),
            )
        if needs_next_batch(policy, look_ahead) and next_batch is None:
            raise ValueError("looking ahead needs next_batch")
        rows, groups = layout.group_of_row.size, layout.groups
        listed = is_listed(policy, look_ahead)
        self._ids = checked_rows(ids, rows)
        self._starts = np.require(batch_starts, np.int64, ("C", "A", "W"))
        self._next = np.zeros(0, np.int32) if next_batch is None else np.require(next_batch, np.int32, ("C", "A", "W"))
        self._base = layout.base
        self._rules = Rules(POLICIES[policy], in_flight, look_ahead, training, flush_every)
        self._state = State(
            rows=_rows(layout, table_of_row),
            keys=np.zeros((0 if listed else rows, 2), np.int64),
            frequency=np.zeros(rows if policy in ("lfu", "fbgemm-lfu") else 0, np.int64),
            dirty=np.zeros(rows if training else 0, np.uint8),
            lines=np.zeros(0 if listed else layout.lines, np.int32),
            size=np.zeros(groups, np.int32),
            used=np.zeros(groups, np.int32),
            tick=np.zeros(1, np.int64),
        )
        longest = min(int(np.diff(self._starts).max(initial=0)), rows)
        self._scratch = Scratch(
            np.zeros(longest, np.int32),
            np.zeros(longest, np.int64),
            np.zeros(0 if listed else min(layout.lines, rows), np.int32),
        )
        self.totals = np.zeros((int(table_of_row.max(initial=0)) + 1, COLUMNS), np.int64)
        self.calls = 0
        self._batch = 0

    @property
    def resident(self) -> int:
        return int(self._state.used.sum())

    @property
    def dirty(self) -> int:
        """Resident rows that a write-back at the end would move."""
        return int(self._state.dirty.sum())

    def advance(self, stop: int, mask: Bytes = NO_MASK) -> int:
        """Replays the batches up to `stop`, exclusive; the number of requests in them.

        Sets `mask` [N of the whole trace] to 1 where a lookup hits, 0 where it does not, unless it is empty.
        """
        first = self._batch
        self.calls += _replay(
            self._ids,
            first,
            stop,
            self._starts,
            self._next,
            self._base,
            self._state,
            self._rules,
            self._scratch,
            self.totals,
            mask,
        )
        self._batch = stop
        return int(self._starts[stop] - self._starts[first])

    def reset_totals(self) -> None:
        """What was counted so far was warm-up."""
        self.totals[:] = 0
        self.calls = 0


def is_listed(policy: str, look_ahead: int) -> bool:
    """Whether residents are kept as lists."""
    return policy == "lru" and look_ahead == 0


def needs_next_batch(policy: str, look_ahead: int) -> bool:
    return policy == "belady" or look_ahead > 0


def next_batches(ids: Integers, batch_starts: Integers, n_rows: int) -> npt.NDArray[np.int32]:
    """[N] the next batch after its own in which the row of each request is asked for again, B where there is none."""
    found = np.empty(len(ids), np.int32)
    following = np.full(n_rows, batch_starts.size - 1, np.int32)
    _fill_next(checked_rows(ids, n_rows), np.require(batch_starts, np.int64, ("C", "A", "W")), following, found)
    return found


def state_bytes(rows: int, lines: int, requests: int, policy: str, look_ahead: int) -> int:
    """Memory of a simulation beside the trace and the mask."""
    return rows * BYTES_A_ROW + lines * 2 * BYTES_A_LINE + (4 * requests if needs_next_batch(policy, look_ahead) else 0)


def prepare() -> bool:
    """Compiles what a replay calls, or loads it; True where something had to be compiled."""
    ids = np.array([0, 1, 0, 2, 1, 0], np.int32)
    starts = np.array([0, 2, 4, 6], np.int64)
    layout = Layout(np.zeros(3, np.int32), np.array([0, 2], np.int64), (2,))
    with event.install_recorder("numba:compile") as compilations:
        known = next_batches(ids, starts, 3)
        cache = BatchCache(ids, starts, np.zeros(3, np.int32), layout, "lru", look_ahead=1, next_batch=known)
        cache.advance(3, np.zeros(6, np.uint8))
    return bool(compilations.buffer)


def _rows(layout: Layout, table_of_row: Integers) -> npt.NDArray[np.int32]:
    rows, groups = layout.group_of_row.size, layout.groups
    found = np.zeros((rows + groups, _ROW_COLUMNS), np.int32)
    found[:rows, _BATCH] = _NOT_YET
    found[:rows, _HIT] = -1
    found[:rows, PLACE] = -1
    found[:rows, _GROUP] = layout.group_of_row
    found[:rows, _TABLE] = table_of_row
    found[rows:, _NEWER] = found[rows:, _OLDER] = np.arange(rows, rows + groups)
    return found


@compiled
def _fill_next(ids: Any, starts: Integers, following: Integers, found: Integers) -> None:
    for batch in range(starts.size - 2, -1, -1):
        for i in range(starts[batch], starts[batch + 1]):
            found[i] = following[ids[i]]
        for i in range(starts[batch], starts[batch + 1]):
            following[ids[i]] = batch


@compiled
def _push(rows: Integers, knot: int, row: int) -> None:
    """Makes a row that is in no list the newest of its group's."""
    newest = rows[knot, _OLDER]
    rows[row, _NEWER] = knot
    rows[row, _OLDER] = newest
    rows[newest, _NEWER] = row
    rows[knot, _OLDER] = row


@compiled
def _unlink(rows: Integers, row: int) -> None:
    newer, older = rows[row, _NEWER], rows[row, _OLDER]
    rows[newer, _OLDER] = older
    rows[older, _NEWER] = newer


@compiled
def _ranked(row: int, following: int, batch: int, batches: int, frequency: Integers, rules: Rules) -> int:
    """How dear a resident row is now; `following` is its next batch, `batches` for none or not known."""
    if rules.look_ahead > 0 and following < batches and following <= batch + rules.look_ahead:
        return _PROTECTED + batches - following
    if rules.policy == _BELADY:
        return batches - following
    if rules.policy == _LFU or rules.policy == _FBGEMM_LFU:
        return int(frequency[row])
    return 0


@compiled
def _protect(coming: int, ids: Any, starts: Integers, base: Integers, state: State) -> None:
    """A batch has become known: its resident rows are kept, unless a batch before it keeps them already."""
    batches = starts.size - 1
    for i in range(starts[coming], starts[coming + 1]):
        row = ids[i]
        place = state.rows[row, PLACE]
        if place >= 0 and state.keys[row, RANK] < _PROTECTED:
            state.keys[row, RANK] = _PROTECTED + batches - coming
            group = state.rows[row, _GROUP]
            restore(state.lines, base[group], state.size[group], place, state.rows, state.keys)


@compiled
def _replay(
    ids: Any,
    begin: int,
    stop: int,
    starts: Integers,
    following: Integers,
    base: Integers,
    state: State,
    rules: Rules,
    scratch: Scratch,
    totals: Integers,
    mask: Bytes,
) -> int:
    rows, keys, lines, size = state.rows, state.keys, state.lines, state.size
    distinct, first = scratch.distinct, scratch.first
    batches = starts.size - 1
    final = ids.size - 1
    knots = rows.shape[0] - size.size
    ahead = following.size > 0
    listed = rules.policy == _LRU and rules.look_ahead == 0
    counts_ever = rules.policy == _FBGEMM_LFU
    counts_stay = rules.policy == _LFU
    tick = state.tick[0]
    calls = 0
    for batch in range(begin, stop):
        if rules.look_ahead > 0 and batch + rules.look_ahead < batches:
            _protect(batch + rules.look_ahead, ids, starts, base, state)
        unique = 0
        for i in range(starts[batch], starts[batch + 1]):
            prefetch(rows, ids[min(i + AHEAD, final)])
            row = ids[i]
            if rows[row, _BATCH] != batch:
                rows[row, _BATCH] = batch
                rows[row, _TIMES] = 1
                distinct[unique] = row
                first[unique] = i
                unique += 1
            else:
                rows[row, _TIMES] += 1
        calls += unique > 0
        missed = 0
        for k in range(unique):
            row = distinct[k]
            times = rows[row, _TIMES]
            table = rows[row, _TABLE]
            totals[table, REQUESTED] += times
            totals[table, UNIQUE] += 1
            if counts_ever:
                state.frequency[row] += times
            if rows[row, PLACE] < 0:
                totals[table, UNIQUE_MISSES] += 1
                distinct[missed] = row  # never ahead of k
                first[missed] = first[k]
                missed += 1
                continue
            rows[row, _HIT] = batch
            if rules.training:
                state.dirty[row] = 1
            group = rows[row, _GROUP]
            if listed:
                _unlink(rows, row)
                _push(rows, knots + group, row)
                continue
            if counts_stay:
                state.frequency[row] += times
            next_ = following[first[k]] if ahead else batches
            rank = _ranked(row, next_, batch, batches, state.frequency, rules)
            if rules.policy == _FIFO:
                if rank == keys[row, RANK]:
                    continue
            else:
                tick += 1
                keys[row, CLOCK] = tick
            keys[row, RANK] = rank
            restore(lines, base[group], size[group], rows[row, PLACE], rows, keys)
        pinned = 0
        for k in range(missed):
            row = distinct[k]
            table = rows[row, _TABLE]
            group = rows[row, _GROUP]
            start = base[group]
            if counts_stay:
                state.frequency[row] = rows[row, _TIMES]
            rank = 0
            if not listed:
                next_ = following[first[k]] if ahead else batches
                rank = _ranked(row, next_, batch, batches, state.frequency, rules)
            admit = True
            if state.used[group] < base[group + 1] - start:
                state.used[group] += 1
            else:
                victim = -1
                if listed:
                    oldest = rows[knots + group, _NEWER]
                    admit = oldest < knots and rows[oldest, _BATCH] <= batch - rules.in_flight
                    if admit:
                        victim = oldest
                        _unlink(rows, victim)
                else:
                    while size[group] > 0 and rows[lines[start], _BATCH] > batch - rules.in_flight:
                        held = take_least(lines, start, size[group], rows, keys)
                        size[group] -= 1
                        rows[held, PLACE] = -2
                        scratch.aside[pinned] = held
                        pinned += 1
                    admit = size[group] > 0 and (not counts_ever or keys[lines[start], RANK] <= rank)
                    if admit:
                        victim = take_least(lines, start, size[group], rows, keys)
                        size[group] -= 1
                if admit:
                    rows[victim, PLACE] = -1
                    totals[rows[victim, _TABLE], EVICTIONS] += 1
                    if rules.training:
                        totals[rows[victim, _TABLE], WRITE_BACKS] += state.dirty[victim]
                        state.dirty[victim] = 0
            if not admit:
                totals[table, CONFLICT_UNIQUE] += 1
                totals[table, CONFLICTS] += rows[row, _TIMES]
                continue
            totals[table, INSERTIONS] += 1
            if rules.training:
                state.dirty[row] = 1
            if listed:
                rows[row, PLACE] = 0
                _push(rows, knots + group, row)
                continue
            tick += 1
            keys[row, CLOCK] = tick
            keys[row, RANK] = rank
            lines[start + size[group]] = row
            size[group] += 1
            rise(lines, start, size[group] - 1, rows, keys)
        for k in range(pinned):
            held = scratch.aside[k]
            group = rows[held, _GROUP]
            lines[base[group] + size[group]] = held
            size[group] += 1
            rise(lines, base[group], size[group] - 1, rows, keys)
        if mask.size > 0:
            for i in range(starts[batch], starts[batch + 1]):
                mask[i] = rows[ids[i], _HIT] == batch
        if rules.training and rules.flush_every > 0 and (batch + 1) % rules.flush_every == 0:
            for row in range(knots):
                totals[rows[row, _TABLE], FLUSHED] += state.dirty[row]
                state.dirty[row] = 0
    state.tick[0] = tick
    return calls
