"""The policies by name, as text: nothing is compiled, and numba is not imported, until one is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.api import UsageError
from harness.errors import did_you_mean

PACKAGE = "workloads.cachesim.policies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy as a command line needs it.

    `engine` is "module:Class" in this package, or something called with an `engine.Setup` that gives an `Engine`.
    `row_bytes`, `line_bytes` and `request_bytes`: its state for each row of the tables, each line of the cache and
    each request of the trace. `may_refuse`: a miss may be left uninserted, so its bound is `belady-bypass`, not
    `belady`. `hashed`: renumbering the rows changes its counts. `counts_moves`: it counts insertions and evictions.
    """

    name: str
    summary: str
    engine: str | Callable[..., Any]
    row_bytes: float = 0.0
    line_bytes: float = 0.0
    request_bytes: float = 0.0
    looks_ahead: bool = False
    may_refuse: bool = False
    trained: bool = False
    seeded: bool = False
    hashed: bool = False
    counts_moves: bool = True
    in_all: bool = True


POLICIES: tuple[Policy, ...] = (
    Policy(name="lru", summary="least recently used", engine="lru:Lru", row_bytes=4, line_bytes=32),
    Policy(name="fifo", summary="first in, first out", engine="fifo:Fifo", row_bytes=4),
    Policy(name="clock", summary="FIFO with a second chance, one bit", engine="clock:Clock", row_bytes=1, line_bytes=4),
    Policy(
        name="lfu", summary="least frequently used since insertion, FIFO among equals", engine="lfu:Lfu", row_bytes=12
    ),
    Policy(name="sieve", summary="SIEVE (NSDI 2024)", engine="sieve:Sieve", row_bytes=1, line_bytes=8),
    Policy(
        name="s3-fifo",
        summary="small, main and ghost FIFO (SOSP 2023)",
        engine="s3fifo:S3Fifo",
        row_bytes=5,
        line_bytes=8,
    ),
    Policy(name="2q", summary="2Q, full version (VLDB 1994)", engine="two_q:TwoQ", row_bytes=9),
    Policy(name="slru", summary="segmented LRU, 80 % protected", engine="slru:Slru", row_bytes=9),
    Policy(name="arc", summary="adaptive replacement (FAST 2003)", engine="arc:Arc", row_bytes=9),
    Policy(name="lirs", summary="low inter-reference recency (SIGMETRICS 2002)", engine="lirs:Lirs", row_bytes=17),
    Policy(
        name="w-tinylfu",
        summary="LRU window and frequency admission (TOS 2017)",
        engine="wtinylfu:WTinyLfu",
        row_bytes=9,
        line_bytes=32,
        hashed=True,
    ),
    Policy(
        name="fbgemm-lfu",
        summary="counts that persist, colder rows refused, as in FBGEMM",
        engine="fbgemm_lfu:FbgemmLfu",
        row_bytes=22,  # while the levels grow, old and new links are both there
        may_refuse=True,
    ),
    Policy(
        name="belady",
        summary="OPT: the farthest next use leaves; always admits",
        engine="belady:Belady",
        row_bytes=4,
        request_bytes=4.125,
        looks_ahead=True,
    ),
    Policy(
        name="belady-bypass",
        summary="OPT that may refuse a row used later than all residents",
        engine="belady:BeladyBypass",
        row_bytes=4,
        request_bytes=4.125,
        looks_ahead=True,
        may_refuse=True,
        in_all=False,
    ),
    Policy(
        name="random",
        summary="a resident row drawn from the seed",
        engine="random_victim:RandomVictim",
        row_bytes=1,
        line_bytes=4,
        seeded=True,
    ),
    Policy(
        name="static",
        summary="the hottest rows of a leading part of the trace, pinned",
        engine="static_top:StaticTop",
        row_bytes=13,
        may_refuse=True,
        trained=True,
    ),
)
OTHER_NAMES = {"opt": "belady", "min": "belady", "tinylfu": "w-tinylfu", "rand": "random", "secondchance": "clock"}
FIXED_BYTES = 1 << 20  # of any policy's state, whatever the sizes


def names() -> tuple[str, ...]:
    return tuple(policy.name for policy in POLICIES)


def policy(name: str, extra: tuple[Policy, ...] = ()) -> Policy:
    """The policy of that name (case, hyphens and underscores do not matter), shipped or among `extra`.

    UsageError for an unknown name, with the nearest one.
    """
    known = {_plain(found.name): found for found in (*POLICIES, *extra)}
    plain = _plain(name)
    plain = _plain(OTHER_NAMES.get(plain, plain)) if plain not in known else plain
    if plain not in known:
        raise UsageError(f"unknown policy {name!r}", hint=did_you_mean(name, (found.name for found in known.values())))
    return known[plain]


def select(text: str, extra: tuple[Policy, ...] = ()) -> tuple[Policy, ...]:
    """The policies of a comma-separated list, each once, in its order.

    `all` stands for every shipped policy but the variants of another (`belady-bypass`), and all of `extra`.
    """
    chosen: dict[str, Policy] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word.lower() == "all":
            found = tuple(known for known in (*POLICIES, *extra) if known.in_all)
        else:
            found = (policy(word, extra),)
        chosen.update((known.name, known) for known in found)
    if not chosen:
        raise UsageError("no policy is named", hint="known: all, " + ", ".join(names()))
    return tuple(chosen.values())


def state_bytes(chosen: Policy, n_rows: int, capacity: int, requests: int) -> int:
    """An upper bound on the memory a simulation allocates beside the trace and the mask, up to 2^31 - 1 requests."""
    lines = min(capacity, n_rows)
    state = chosen.row_bytes * n_rows + chosen.line_bytes * lines + chosen.request_bytes * requests
    return int(state) + FIXED_BYTES


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
