"""What OPT's labels cost: the reference Zipf trace labelled whole and in shards, beside the search of the original.

RecMG's `optgen.py` looks through the whole cache at each miss, in Python. Here that search is done anew, over the first
requests of the same trace, at a smaller cache; its time grows with the cache, so the ratio told is a lower bound.

    python benchmarks/cache_labels.py --rounds 5
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from workloads.cachesim.generators.zipf import reference_zipf
from workloads.cachesim.labels.make import opt_labels, prepare, shard_labels
from workloads.cachesim.policies.next_use import next_uses

SHARE = 0.1  # of the distinct rows, as in optgen.py 0.1
SHARD = 1_000_000
SEARCHED = 20_000  # requests of the search
SEARCHED_LINES = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    trace = reference_zipf()
    lines = round(SHARE * trace.unique)
    print(f"{trace.requests:,} requests, {trace.unique:,} rows, cache of {lines:,}; compiled now: {prepare()}")
    whole = _fastest(rounds, lambda: opt_labels(trace.ids, trace.unique, lines))
    bounds = [(start, start + SHARD) for start in range(0, trace.requests, SHARD)]
    shards = _fastest(
        rounds, lambda: shard_labels(trace.ids, trace.unique, bounds, lambda rows: round(SHARE * rows.size))
    )
    search = _fastest(1, lambda: _search(trace.ids[:SEARCHED], trace.unique)) / SEARCHED
    print(f"whole trace       {whole:.3f} s of CPU")
    print(f"shards of {SHARD:,}  {shards:.3f} s of CPU, one at a time")
    print(f"search            {1e6 * search:.1f} µs a request at {SEARCHED_LINES:,} lines")
    print(f"ratio             {search * trace.requests / whole * lines / SEARCHED_LINES:,.0f} at {lines:,} lines, "
          f"{search * trace.requests / whole:,.0f} if the cache cost nothing more")  # fmt: skip


def _search(ids: npt.NDArray[np.int32], unique: int) -> int:
    """Hits of OPT by the search through the cache."""
    following = next_uses(ids, unique).tolist()
    cache: dict[int, int] = {}
    hits = 0
    for place, row in enumerate(ids.tolist()):
        if row in cache:
            hits += 1
        elif len(cache) == SEARCHED_LINES:
            del cache[max(cache, key=cache.__getitem__)]
        cache[row] = following[place]
    return hits


def _fastest(rounds: int, work: Callable[[], object]) -> float:
    """The least CPU seconds of this process's threads over some rounds."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
