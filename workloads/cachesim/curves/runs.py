"""The curve of any policy by a run for each size; OPT's at chosen sizes by bisection as well.

The runs release the GIL, so threads share the one trace and, for OPT, the one array of next uses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from harness.api import UsageError
from workloads.cachesim.curves.curve import Curve
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.policies.simulate import simulate

Integers = npt.NDArray[np.int64]


def run_curve(
    policy: str | Policy,
    ids: npt.NDArray[np.int32],
    unique: int,
    sizes: Integers,
    *,
    table: str | None = None,
    warmup: int = 0,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Curve:
    """Exact hits at each of `sizes` [K] (rows, at least 1; sorted here), over `ids[warmup:]`.

    `jobs` runs at a time; `progress(done, all)` counts runs, and is called by one thread at a time.
    """
    chosen = registry.policy(policy) if isinstance(policy, str) else policy
    sizes = np.unique(np.asarray(sizes, np.int64))
    if sizes.size == 0 or sizes[0] < 1:
        raise UsageError(f"the {chosen.name} curve needs sizes of at least 1 row, not {sizes.tolist()[:8]}")
    if jobs < 1:
        raise UsageError(f"jobs = {jobs} is below 1")
    next_use = next_uses(ids, unique) if chosen.looks_ahead else None
    done, counting = 0, threading.Lock()

    def run(capacity: int) -> int:
        nonlocal done
        result = simulate(chosen, ids, unique, capacity, warmup=warmup, seed=seed, next_use=next_use)
        with counting:
            done += 1
            if progress is not None:
                progress(done, sizes.size)
        return result.hits

    if jobs == 1:
        hits = [run(capacity) for capacity in sizes.tolist()]
    else:
        with ThreadPoolExecutor(jobs) as pool:
            # the large sizes take longest, so they start first
            hits = list(pool.map(run, sizes.tolist()[::-1]))[::-1]
    return Curve(chosen.name, table, len(ids) - warmup, unique, sizes, np.array(hits, np.int64))
