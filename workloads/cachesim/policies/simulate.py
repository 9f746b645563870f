"""Runs a policy over a trace: warm-up, pieces, progress, and exact counts.

simulate("sieve", ids, n_rows=1_000_000, capacity=10_000).hits
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba.core import event

from harness.api import UsageError
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.engine import (
    EVICTIONS,
    HITS,
    INSERTIONS,
    NO_MASK,
    Bytes,
    Engine,
    Integers,
    PolicyResult,
    Setup,
)
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.registry import Policy
from workloads.cachesim.policies.rows import MOST_ROWS, PIECE, checked_rows

TRAIN_SHARE = 0.1  # of the trace, where a trained policy is given neither a length nor a warm-up


class Replay:
    """One cache that is fed a trace in order, piece by piece; `feed` returns the counts of its piece alone.

    Policies that look ahead need the `next_use` of the whole trace, and are fed exactly that trace.
    """

    def __init__(
        self,
        policy: str | Policy,
        n_rows: int,
        capacity: int,
        *,
        requests: int,
        train: int = 0,
        seed: int = 0,
        next_use: Integers | None = None,
    ) -> None:
        self.policy = registry.policy(policy) if isinstance(policy, str) else policy
        if not 0 < n_rows <= MOST_ROWS:
            raise UsageError(f"{n_rows} rows are not between 1 and {MOST_ROWS}")
        if capacity < 1:
            raise UsageError(f"capacity = {capacity} rows is below the smallest cache, one row")
        self._n_rows = n_rows
        self._fed = 0
        if next_use is not None:
            next_use = np.require(next_use, requirements=("C", "A", "W"))
        setup = Setup(n_rows=n_rows, capacity=capacity, requests=requests, train=train, seed=seed, next_use=next_use)
        self._engine = engine_of(self.policy)(setup)

    def feed(
        self, ids: Integers, mask: Bytes | None = None, progress: Callable[[int], None] | None = None
    ) -> PolicyResult:
        """Replays `ids`. Writes the hits into `mask` (uint8, as long as `ids`); reports the requests done so far."""
        if mask is not None and (mask.dtype.itemsize != 1 or mask.shape != ids.shape or not mask.flags.writeable):
            raise UsageError(
                f"the hit mask is {mask.dtype} of shape {mask.shape}, expected writable uint8 of shape {ids.shape}"
            )
        bytes_mask = None if mask is None else mask.view(np.uint8)
        before = self._engine.counts.copy()
        for start in range(0, len(ids), PIECE):
            rows = checked_rows(ids[start : start + PIECE], self._n_rows, self._fed)
            self._engine.feed(rows, NO_MASK if bytes_mask is None else bytes_mask[start : start + len(rows)])
            self._fed += len(rows)
            if progress is not None:
                progress(self._fed)
        moved = self._engine.counts - before
        return PolicyResult(
            requests=len(ids),
            hits=int(moved[HITS]),
            insertions=int(moved[INSERTIONS]) if self.policy.counts_moves else None,
            evictions=int(moved[EVICTIONS]) if self.policy.counts_moves else None,
        )


def simulate(
    policy: str | Policy,
    ids: Integers,
    n_rows: int,
    capacity: int,
    *,
    warmup: int = 0,
    mask: Bytes | None = None,
    train: int | None = None,
    seed: int = 0,
    next_use: Integers | None = None,
    progress: Callable[[int], None] | None = None,
) -> PolicyResult:
    """Counts over `ids[warmup:]` of a cache of `capacity` rows that starts empty at `ids[0]`.

    `ids` [N] are dense row ids, 0 .. n_rows - 1, of any integer type; 32 bits are the fastest. `mask` (uint8 [N]) is
    filled with 1 for a hit and 0 for a miss, warm-up included. `train`: how many leading requests a trained policy
    looks at; the warm-up where there is one, else a tenth of the trace. `next_use`: `next_uses(ids, n_rows)` where it
    is known already; several sizes can share it.

    Raises UsageError for a capacity, warm-up or mask that does not fit, DataError for an id that is not a row.
    """
    chosen = registry.policy(policy) if isinstance(policy, str) else policy
    requests = len(ids)
    if not 0 <= warmup < max(requests, 1):
        raise UsageError(f"warmup = {warmup} requests must be at least 0 and below the trace's {requests}")
    if train is not None and not 0 <= train <= requests:
        raise UsageError(f"train = {train} requests must be between 0 and the trace's {requests}")
    if mask is not None and mask.shape != ids.shape:
        raise UsageError(f"the hit mask has shape {mask.shape}, expected {ids.shape}")
    if chosen.looks_ahead and next_use is None:
        next_use = next_uses(ids, n_rows)
    replay = Replay(
        chosen,
        n_rows,
        capacity,
        requests=requests,
        train=default_train(requests, warmup) if train is None else train,
        seed=seed,
        next_use=next_use if chosen.looks_ahead else None,
    )
    if warmup:
        replay.feed(ids[:warmup], None if mask is None else mask[:warmup], progress)
    return replay.feed(ids[warmup:], None if mask is None else mask[warmup:], progress)


def default_train(requests: int, warmup: int) -> int:
    """The leading requests a trained policy looks at when nothing is said."""
    return warmup or int(np.ceil(TRAIN_SHARE * requests))


def prepare(policy: str | Policy) -> bool:
    """Compiles the policy's functions or loads them from numba's cache, so that no measurement pays for it.

    True where something had to be compiled: the first use on this machine, or after an update.
    """
    hot = np.tile(np.arange(2, dtype=np.int32), 40_000)  # enough to fill a log, and counts above every list
    cold = np.tile(np.arange(9, dtype=np.int32), 3)
    ids = np.concatenate([cold, hot, cold])
    with event.install_recorder("numba:compile") as compilations:
        for capacity in (1, 2):
            simulate(policy, ids, n_rows=9, capacity=capacity)
    return bool(compilations.buffer)


def engine_of(policy: Policy) -> Callable[[Setup], Engine]:
    """What makes the policy's engine; imports its module."""
    if not isinstance(policy.engine, str):
        return policy.engine
    module_name, _, attribute = policy.engine.partition(":")
    module: Any = importlib.import_module(f"{registry.PACKAGE}.{module_name}")
    return cast(Callable[[Setup], Engine], getattr(module, attribute))
