"""OPT: evicts the row whose next use is farthest away. No policy that must admit can have more hits.

Belady, "A study of replacement algorithms for a virtual-storage computer" (IBM Systems Journal, 1966). Two variants:
`Belady` always admits, as a demand cache does: the incoming row is no candidate. `BeladyBypass` may also refuse: a row
used again later than every resident row, or never, is not inserted; it bounds the policies that may refuse.
Among rows never used again the choice changes no count.

The state is a set of trace positions: the next use of each resident row. The request at position i hits if and only
if i is in the set, the victim is the highest member, and rows never used again are only counted, so nothing is kept
for each row. A member that was hit stays in the set: it lies behind all that are asked for, so it is never the highest
while a row must leave.
"""

from __future__ import annotations

from harness.api import BenchError
from workloads.cachesim.policies import bits, engine
from workloads.cachesim.policies.engine import EVICTIONS, HITS, INSERTIONS, Bytes, Integers, RowIds, Setup
from workloads.cachesim.policies.instructions import AHEAD, prefetch
from workloads.cachesim.policies.jit import compiled


class Belady:
    """Follows the whole trace from its start by `setup.next_use`; what it is fed tells only how far to go."""

    bypass = False

    def __init__(self, setup: Setup) -> None:
        if setup.next_use is None or len(setup.next_use) != setup.requests:
            raise BenchError(f"OPT needs the next use of all {setup.requests} requests")
        self.counts = engine.new_counts()
        self._lines = setup.lines
        self._next_use = setup.next_use
        self._uses = bits.empty_set(setup.requests)
        self._start = 0
        self._alive = 0  # resident rows that will be used again
        self._dead = 0  # resident rows that will not

    def feed(self, ids: RowIds, mask: Bytes) -> None:
        stop = self._start + len(ids)
        if stop > len(self._next_use):
            raise BenchError(f"OPT was fed {stop} requests, but knows the next use of {len(self._next_use)}")
        hits, insertions, self._alive, self._dead = _feed(
            self._next_use,
            self._start,
            stop,
            mask,
            self._uses,
            self._alive,
            self._dead,
            self._lines,
            self.bypass,
        )
        self._start = stop
        self.counts[HITS] += hits
        self.counts[INSERTIONS] += insertions
        self.counts[EVICTIONS] = self.counts[INSERTIONS] - self._alive - self._dead


class BeladyBypass(Belady):
    bypass = True


@compiled
def _feed(
    next_use: Integers,
    start: int,
    stop: int,
    mask: Bytes,
    uses: bits.BitSet,
    alive: int,
    dead: int,
    lines: int,
    bypass: bool,
) -> tuple[int, int, int, int]:
    record = mask.size > 0
    requests = next_use.size
    hits = insertions = 0
    for i in range(start, stop):
        prefetch(uses.level_0, next_use[min(i + AHEAD, requests - 1)] >> 6)
        following = next_use[i]
        hit = bits.contains(uses, i)
        admit = True
        if hit:
            hits += 1
            alive -= 1
        elif alive + dead == lines:
            if dead > 0:
                admit = not bypass or following < requests
                dead -= admit
            else:
                farthest = bits.highest(uses)
                admit = not bypass or following < farthest
                if admit:
                    bits.remove(uses, farthest)
                    alive -= 1
            insertions += admit
        else:
            admit = not bypass or following < requests
            insertions += admit
        if admit:
            if following < requests:
                bits.insert(uses, following)
                alive += 1
            else:
                dead += 1
        if record:
            mask[i - start] = hit
    return hits, insertions, alive, dead
