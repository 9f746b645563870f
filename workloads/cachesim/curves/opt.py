"""OPT's hits at every cache size at once, exactly, by bisection over the sizes.

Between two uses of a row lies an interval; a cache of C rows turns it into a hit if it keeps the row all along. OPT
accepts as many intervals as fit: taken by their ends, each is accepted if it still fits beside those accepted before.
What it accepts at a size it accepts at every larger one (OPT is a stack algorithm: Mattson et al. 1970), so each
interval has one smallest size, its OPT stack distance. It does not depend on later requests (Bilardi, Ekanadham,
Pattnaik, "Optimal On-Line Computation of Stack Distances for MIN and OPT", CF 2017, reach O(log R) a request on line).

Here the trace is known, and the inclusion is used off line. Replay OPT at a middle size. Intervals rejected there do
not matter to any smaller size; intervals accepted there are certain at any larger one, where they only take up room.
So the two halves are independent problems, each with its own intervals and with the room that is taken between their
ends. Every interval is in one problem of each round: N log R steps, with a bitset for the farthest end, as in `Belady`.

    N requests, R rows, I intervals; steps are the starts and ends of intervals in the order of time
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.policies import bits
from workloads.cachesim.policies.engine import Integers as AnyIntegers
from workloads.cachesim.policies.jit import compiled
from workloads.cachesim.policies.next_use import next_uses

Integers = npt.NDArray[np.int64]
Steps = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

FREE = np.int32(-(1 << 30))  # taken room where nothing is asked for: less than any cache
MOST_INTERVALS = (1 << 30) - 1  # two steps each, numbered in 32 bits
REQUEST_BYTES = 2 * (2 * 8 + 1) + 3 * 4  # two steps of 8 bytes in two copies and a flag; next use, its end, an id
ROUND_STEPS = 1 << 25  # between two reports of progress
MOST_PROBLEMS = 512  # that wait at a time: one for each time the sizes are halved


def opt_distance_counts(
    ids: AnyIntegers, unique: int, *, bypass: bool = False, progress: Progress | None = None
) -> Integers:
    """[R + 1] how many requests have each OPT stack distance; place 0 counts first requests, which never hit.

    The sum of places 1 to C is what `belady` (with `bypass`: `belady-bypass`) hits with C rows. `ids` [N] are dense,
    0 .. unique - 1. Memory: `state_bytes`; `progress(done, all)` counts intervals that are settled.
    """
    counts = np.zeros(unique + 1, np.int64)
    _settle(ids, unique, bypass, np.zeros(0, np.int64), counts, progress)
    counts[0] = len(ids) - counts.sum()
    return counts


def opt_hits(
    ids: AnyIntegers, unique: int, sizes: Integers, *, bypass: bool = False, progress: Progress | None = None
) -> Integers:
    """[K] OPT's hits at each of `sizes` [K] (rows, ascending, at least 1): log2 K rounds instead of K replays."""
    if sizes.size == 0 or sizes[0] < 1 or np.any(np.diff(sizes) <= 0):
        raise UsageError(f"sizes must be ascending and at least 1, not {sizes.tolist()[:8]}")
    grid = np.append(sizes, np.iinfo(np.int32).max)
    counts = np.zeros(grid.size, np.int64)
    _settle(ids, unique, bypass, grid, counts, progress)
    return np.cumsum(counts)[:-1]


def state_bytes(requests: int, unique: int) -> int:
    """An upper bound on the memory that the curve takes beside the trace, up to 2^31 - 1 requests."""
    return REQUEST_BYTES * requests + requests + 16 * unique + (1 << 20)  # the bitset and a mask: below a byte each


def _settle(
    ids: AnyIntegers, unique: int, bypass: bool, grid: Integers, counts: Integers, progress: Progress | None
) -> None:
    """Adds each interval to its place in `counts`: by distance, or by the first size of a `grid` not below it."""
    if not bypass and len(ids):
        repeats = np.concatenate(([False], ids[1:] == ids[:-1]))
        if repeats.any():  # they hit at any size, and change nothing
            counts[0 if grid.size else 1] += np.count_nonzero(repeats)
            ids = ids[~repeats]
    next_use = next_uses(ids, unique)
    intervals = int(np.count_nonzero(next_use < len(ids)))
    if intervals == 0:
        return
    if intervals > MOST_INTERVALS:
        raise UsageError(
            f"the trace has {intervals:,} reuses, the OPT curve is made for at most {MOST_INTERVALS:,}",
            hint="sample the trace by row, or ask for single sizes by policy runs",
        )
    partner, taken = np.empty((2, 2 * intervals), np.int32), np.empty((2, 2 * intervals), np.int32)
    highest = _first_steps(next_use, bypass, partner[0], taken[0])
    # A row that must be admitted takes a line of its own: C lines leave C - 1 to the rows that wait.
    own = 0 if bypass else 1
    rejected = np.zeros(2 * intervals, np.uint8)
    held, work = bits.empty_set(2 * intervals), np.zeros((MOST_PROBLEMS, 5), np.int64)
    work[0] = (0, 2 * intervals, 0, grid.size if grid.size else highest, 0)
    if grid.size:
        grid = np.maximum(grid - own, 0)
    waiting, settled = 1, 0
    while waiting:
        waiting, done = _bisect(partner, taken, rejected, held, work, waiting, grid, own, counts, ROUND_STEPS)
        settled += done
        if progress is not None:
            progress(settled, intervals)


@compiled
def _first_steps(next_use: AnyIntegers, bypass: bool, partner: Steps, taken: Steps) -> int:
    """Writes all steps; the largest number of intervals that are open at once.

    `partner[s]`: the step at the other end of the interval. `taken[s]`: room that others take from this step to the
    next, or FREE where that time puts no bound. OPT that may refuse must have room from one request to the next; one
    that must admit, at each request for the rows that wait, whether or not the request ends an interval.
    """
    requests = next_use.size
    pending = np.full(requests, -1, np.int32)  # the step that opened the interval which ends here
    step, opened, highest = 0, 0, 0
    for i in range(requests):
        if pending[i] >= 0:
            partner[step] = pending[i]
            partner[pending[i]] = step
            taken[step] = 0
            step += 1
            opened -= 1
        elif step > 0 and not bypass:
            taken[step - 1] = 0
        if next_use[i] < requests:
            pending[next_use[i]] = step
            taken[step] = 0 if bypass else FREE
            step += 1
            opened += 1
            highest = max(highest, opened)
    return highest


@compiled
def _bisect(
    partner: Steps,
    taken: Steps,
    rejected: Flags,
    held: bits.BitSet,
    work: Integers,
    waiting: int,
    grid: Integers,
    own: int,
    counts: Integers,
    most_steps: int,
) -> tuple[int, int]:
    """Solves waiting problems until `most_steps` are done; how many wait then, and the intervals settled.

    A problem is (first step, steps, low, high, copy): its intervals are all rejected at room `low` and all accepted at
    `high`. With a grid, low and high are places in it: rejected at grid[low - 1], accepted at grid[high - 1].
    """
    settled = 0
    while waiting > 0 and most_steps > 0:
        waiting -= 1
        first, steps, low, high, copy = work[waiting]
        if steps == 0:
            continue
        if high - low == 1:
            counts[high - 1 if grid.size else high + own] += steps // 2
            settled += steps // 2
            continue
        if steps == 2 and grid.size == 0:
            counts[max(taken[copy, first], low) + 1 + own] += 1
            settled += 1
            continue
        most_steps -= steps
        middle = _between(low, high) if grid.size == 0 else (low + high) // 2
        room = middle if grid.size == 0 else grid[middle - 1]
        stop = first + steps
        accepted = _replay(partner[copy, first:stop], taken[copy, first:stop], rejected[first:stop], held, room)
        highest = _divide(
            partner[copy, first:stop],
            taken[copy, first:stop],
            partner[1 - copy, first:stop],
            taken[1 - copy, first:stop],
            rejected[first:stop],
            accepted,
        )
        if grid.size == 0:
            high = min(high, max(highest, middle + 1))
        work[waiting] = (first + 2 * accepted, steps - 2 * accepted, middle, high, 1 - copy)
        work[waiting + 1] = (first, 2 * accepted, low, middle, 1 - copy)
        waiting += 2
    return waiting, settled


@compiled
def _between(low: int, high: int) -> int:
    """A size between two: by the ratio while they are far apart, since small distances are the most frequent."""
    if high > 4 * (low + 1):
        return max(low + 1, min(high - 1, int(np.sqrt((low + 1.0) * high))))
    return (low + high) // 2


@compiled
def _replay(partner: Steps, taken: Steps, rejected: Flags, held: bits.BitSet, room: int) -> int:
    """OPT at one size: marks both steps of the intervals rejected; how many are accepted.

    `held` is empty before and after.
    """
    rejected[:] = 0
    open_, accepted = 0, 0
    for step in range(partner.size):
        end = partner[step]
        if end > step:
            bits.insert(held, end)
            open_ += 1
        elif rejected[step] == 0:
            bits.remove(held, step)
            open_ -= 1
            accepted += 1
        while open_ > room - taken[step]:
            farthest = bits.highest(held)
            bits.remove(held, farthest)
            rejected[farthest] = 1
            rejected[partner[farthest]] = 1
            open_ -= 1
    return accepted


@compiled
def _divide(partner: Steps, taken: Steps, to_partner: Steps, to_taken: Steps, rejected: Flags, accepted: int) -> int:
    """Writes the steps of the accepted intervals first, then those of the rejected ones; the room all would take.

    Room taken between two steps of a part is the most that was taken anywhere between them; for the rejected part the
    accepted intervals take room too.
    """
    split = 2 * accepted
    left, right = 0, split
    open_accepted, open_rejected, highest = 0, 0, 0
    for step in range(partner.size):
        other = partner[step]
        starts = other > step
        if rejected[step] == 0:
            place, begin = left, 0
            left += 1
            to_taken[place] = taken[step]
            open_accepted += 1 if starts else -1
            if right > split:
                to_taken[right - 1] = max(to_taken[right - 1], taken[step] + open_accepted)
        else:
            place, begin = right, split
            right += 1
            to_taken[place] = taken[step] + open_accepted
            open_rejected += 1 if starts else -1
            if left > 0:
                to_taken[left - 1] = max(to_taken[left - 1], taken[step])
        highest = max(highest, taken[step] + open_accepted + open_rejected)
        if starts:
            partner[step] = place  # its end reads here where it went
        else:
            start = partner[other]
            to_partner[place] = start - begin
            to_partner[start] = place - begin
    return highest
