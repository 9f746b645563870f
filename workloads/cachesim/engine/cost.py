"""Two memories, and what a simulated cache would cost in time: the fast one holds the lines, the slow one all rows.

A deliberately small model, from definitions: the fast memory delivers every lookup, the slow one the rows that were
fetched and takes those written back. A transfer takes the longer of its bytes over the bandwidth and its rows' latency
over the accesses that may be outstanding at once (Little's law); each call waits for one latency more. With `overlap`
the next batch is fetched while this one is worked on, so the longer of the two memories counts; else their sum.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`bandwidth` in bytes/s, `latency_s` of one access, `outstanding` accesses at once."""

    bandwidth: float
    latency_s: float = 0.0
    outstanding: int = 1

    def seconds(self, moved_bytes: float, accesses: float) -> float:
        return max(moved_bytes / self.bandwidth, accesses * self.latency_s / self.outstanding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a simulation moved. `calls` are batches that were looked up; None where lookups came one by one."""

    lookups: int
    lookup_bytes: int
    fetched_rows: int
    fetched_bytes: int
    written_rows: int
    written_bytes: int
    calls: int | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of each memory, of both together, and of a model whose rows all come from the slow memory."""

    fast_s: float
    slow_s: float
    total_s: float
    without_cache_s: float

    @property
    def speedup(self) -> float | None:
        return self.without_cache_s / self.total_s if self.total_s > 0 else None


def estimate(traffic: Traffic, fast: Memory, slow: Memory, *, overlap: bool, training: bool) -> Estimate:
    """Time for lookups alone. Without a cache every lookup reads its row slowly, and in training writes it back."""
    calls = traffic.calls or 0
    waits = calls * slow.latency_s if traffic.fetched_rows else 0.0
    fast_s = fast.seconds(traffic.lookup_bytes, traffic.lookups) + calls * fast.latency_s
    slow_s = waits + slow.seconds(
        traffic.fetched_bytes + traffic.written_bytes, traffic.fetched_rows + traffic.written_rows
    )
    twice = 2 if training else 1
    without = calls * slow.latency_s + slow.seconds(twice * traffic.lookup_bytes, twice * traffic.lookups)
    return Estimate(fast_s, slow_s, max(fast_s, slow_s) if overlap else fast_s + slow_s, without)
