"""Any policy, request by request, in one cache for all tables or one for each.

A cache of its own for each table is a replay of that table's requests alone: they are gathered once, in order, and
their hits scattered back into the mask of the whole trace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workloads.cachesim.policies.engine import Bytes, Integers
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.policies.rows import PIECE
from workloads.cachesim.policies.simulate import Replay, default_train
from workloads.cachesim.traces.trace import Trace


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Requests that go to one cache. `rows` are numbered from 0; `positions` [n] is where they stand in the trace."""

    name: str
    rows: Integers
    n_rows: int
    positions: npt.NDArray[np.int64] | None  # None: all of them

    def before(self, request: int) -> int:
        """How many of the requests stand before `request` of the trace."""
        return request if self.positions is None else int(np.searchsorted(self.positions, request))


def whole_stream(trace: Trace, rows: Integers | None = None) -> Stream:
    """All requests; `rows` [N] are the trace's ids in another type, where those are at hand."""
    return Stream("all", trace.ids if rows is None else rows, trace.unique, None)


def table_streams(trace: Trace) -> list[Stream]:
    """One for each table that is looked up, in order of the tables. Takes 12 bytes a request."""
    tables = trace.table_of_row()[trace.ids]
    order = np.argsort(tables, kind="stable")
    ends = np.searchsorted(tables[order], np.arange(trace.tables + 1))
    found = []
    for number, name in enumerate(trace.schema.names):
        positions = order[ends[number] : ends[number + 1]]
        if positions.size:
            rows = trace.ids[positions] - np.int32(trace.row_base[number])
            found.append(Stream(name, rows, int(trace.table_unique()[number]), positions))
    return found


class RequestCache:
    """Replays the streams one after another, a piece at a time. What lies before `warmup` fills, and is not counted.

    `insertions` and `evictions` are lists by stream, None where the policy does not count them.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        capacities: Sequence[int],
        policy: Policy,
        *,
        warmup: int = 0,
        seed: int = 0,
        next_use: Callable[[int], Integers] | None = None,
        mask: Bytes,
    ) -> None:
        self._streams = streams
        self._capacities = capacities
        self._policy = policy
        self._warmup = warmup
        self._seed = seed
        self._next_use = next_use
        self._mask = mask
        self._stream = 0
        self._done = 0
        self._replay: Replay | None = None
        self.insertions: list[int | None] = [0] * len(streams)
        self.evictions: list[int | None] = [0] * len(streams)

    @property
    def finished(self) -> bool:
        return self._stream == len(self._streams)

    def step(self) -> int:
        """The next piece, at most `PIECE` requests; how many it had."""
        stream = self._streams[self._stream]
        requests = len(stream.rows)
        warm = stream.before(self._warmup)
        if self._replay is None:
            self._replay = Replay(
                self._policy,
                stream.n_rows,
                self._capacities[self._stream],
                requests=requests,
                train=default_train(requests, warm),
                seed=self._seed,
                next_use=self._next_use(self._stream) if self._next_use is not None else None,
            )
        start = self._done
        stop = min(start + PIECE, requests, warm if start < warm else requests)
        if stream.positions is None:
            result = self._replay.feed(stream.rows[start:stop], self._mask[start:stop])
        else:
            piece = np.zeros(stop - start, np.uint8)
            result = self._replay.feed(stream.rows[start:stop], piece)
            self._mask[stream.positions[start:stop]] = piece
        if start >= warm:
            for counts, moved in ((self.insertions, result.insertions), (self.evictions, result.evictions)):
                before = counts[self._stream]
                counts[self._stream] = None if moved is None or before is None else before + moved
        self._done = stop
        if stop == requests:
            self._replay, self._done = None, 0
            self._stream += 1
        return stop - start
