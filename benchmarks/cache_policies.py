"""Cache policies: requests per CPU second on one core, beside libCacheSim where its Python binding is installed.

The trace is 10 M requests with independent references, Zipf(1.0) over a million rows, generated here from seed 42 and
checked by its sha256. Every policy and size runs once a round, ours and then the peer's, so load and drift touch both
alike; a ratio is the median over rounds of the ratio within a round. Ours includes checking the ids and, for OPT,
finding the next uses, from an array in memory; compilation is paid before. The peer reads a memory-mapped file that
already has the next uses, at the hashpower that is best for it.

    python benchmarks/cache_policies.py --rounds 3
    python benchmarks/cache_policies.py --peer-python .venv-peers/bin/python      an environment that has libcachesim

libCacheSim is GPL-3.0: it is run as a program of its own, never imported here.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numba
import numpy as np

from workloads.cachesim.policies import registry
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import prepare, simulate

ROWS = 1_000_000
REQUESTS = 10_000_000
SHA256 = "0b263aee9a1f280d6dc2250517708799d1564a4d9dbdbe9fb290573a723703c5"  # of REQUESTS ids as int64
PEER = {
    "lru": "LRU",
    "fifo": "FIFO",
    "clock": "Clock",
    "lfu": "LFU",
    "sieve": "Sieve",
    "s3-fifo": "S3FIFO",
    "2q": "TwoQ",
    "slru": "SLRU",
    "arc": "ARC",
    "lirs": "LIRS",
    "w-tinylfu": "WTinyLFU",
    "belady": "Belady",
    "random": "Random",
}
PEER_PROGRAM = """
import sys, time
import libcachesim as peer
print("ready", getattr(peer, "__version__", "unknown"), flush=True)
for line in sys.stdin:
    name, capacity, hashpower, requests = line.split()
    reader = peer.TraceReader(sys.argv[1], peer.TraceType.ORACLE_GENERAL_TRACE,
                              peer.ReaderInitParam(ignore_obj_size=True))
    cache = getattr(peer, name)(int(capacity), hashpower=int(hashpower))
    start = time.process_time()
    miss_ratio, _ = cache.process_trace(reader)
    print(time.process_time() - start, round(int(requests) * (1 - miss_ratio)), flush=True)
"""


class Peer:
    """libCacheSim in a process of its own, asked by lines on a pipe."""

    def __init__(self, python: str, trace: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-c", PEER_PROGRAM, str(trace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = self._read()[1]

    def run(self, name: str, capacity: int, hashpower: int, requests: int) -> tuple[float, int]:
        """CPU seconds and hits."""
        assert self._process.stdin is not None
        print(name, capacity, hashpower, requests, file=self._process.stdin, flush=True)
        cpu_s, hits = self._read()
        return float(cpu_s), int(hits)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> list[str]:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if not words:
            raise SystemExit("the peer's process ended early: is libcachesim installed for --peer-python?")
        return words


def zipf_trace(requests: int) -> np.ndarray:
    """Ids of the golden Zipf trace, int32; the sha256 is checked at its full length."""
    random = np.random.Generator(np.random.PCG64(42))
    cumulated = np.cumsum(1.0 / np.arange(1, ROWS + 1, dtype=np.float64))
    ranks = np.searchsorted(cumulated / cumulated[-1], random.random(requests), side="right")
    ids = random.permutation(ROWS)[ranks].astype("<i8")
    if requests == REQUESTS and hashlib.sha256(ids.tobytes()).hexdigest() != SHA256:
        raise SystemExit("the generated trace has another sha256 than the golden one")
    return ids.astype(np.int32)


def write_oracle_general(ids: np.ndarray, following: np.ndarray, path: Path) -> None:
    """libCacheSim's oracleGeneral records: time, id, size, position of the next request (-1: none)."""
    record = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
    records = np.empty(len(ids), dtype=record)
    records["time"] = np.arange(len(ids)) // 1000
    records["id"] = ids
    records["size"] = 1
    records["next"] = np.where(following < len(ids), following, -1)
    records.tofile(path)


def measure(name: str, ids: np.ndarray, capacity: int) -> tuple[float, int]:
    start = time.process_time()
    hits = simulate(name, ids, ROWS, capacity).hits
    return time.process_time() - start, hits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", default="all")
    parser.add_argument("--capacity", default="10000,100000", help="rows, comma-separated")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", help="an interpreter that has libcachesim")
    parser.add_argument("--hashpower", type=int, default=20, help="of the peer; its default, 24, halves its speed")
    arguments = parser.parse_args()
    capacities = [int(word) for word in arguments.capacity.split(",")]
    policies = [policy.name for policy in registry.select(arguments.policies)]

    ids = zipf_trace(arguments.requests)
    for name in policies:
        prepare(name)
    with tempfile.TemporaryDirectory() as folder:
        peer = None
        if arguments.peer_python:
            trace = Path(folder) / "trace.oracleGeneral"
            write_oracle_general(ids, next_uses(ids, ROWS), trace)
            peer = Peer(arguments.peer_python, trace)
        print(
            f"\n{len(ids):,} requests, Zipf(1.0) over {ROWS:,} rows, one core, {platform.machine()}, "
            f"numba {numba.__version__}, {arguments.rounds} rounds"
            + (f", libcachesim {peer.version} at hashpower {arguments.hashpower}" if peer else "")
        )
        print("M requests per CPU second; hits marked = where both count the same\n")
        print("| policy | capacity | ours | peer | ratio | lowest to highest | hit ratio | hits |")
        print("|---|---|---|---|---|---|---|---|")
        for name in policies:
            for capacity in capacities:
                report(name, ids, capacity, arguments.rounds, peer, arguments.hashpower)
        if peer is not None:
            peer.close()


def report(name: str, ids: np.ndarray, capacity: int, rounds: int, peer: Peer | None, hashpower: int) -> None:
    ours, theirs, agreed = [], [], ""
    hits = 0
    for _ in range(rounds):
        cpu_s, hits = measure(name, ids, capacity)
        ours.append(cpu_s)
        if peer is not None and name in PEER:
            cpu_s, peer_hits = peer.run(PEER[name], capacity, hashpower, len(ids))
            theirs.append(cpu_s)
            agreed = "=" if peer_hits == hits else f"{(hits - peer_hits) / len(ids) * 100:+.2f} pp"
    rate = len(ids) / statistics.median(ours) / 1e6
    cells = ["", "", ""]
    if theirs:
        ratios = [slow / quick for slow, quick in zip(theirs, ours, strict=True)]
        cells = [
            f"{len(ids) / statistics.median(theirs) / 1e6:.1f}",
            f"{statistics.median(ratios):.1f}×",
            f"{min(ratios):.1f} to {max(ratios):.1f}",
        ]
    hit_ratio = f"{hits / len(ids):.4f}"
    print("| " + " | ".join([name, f"{capacity:,}", f"{rate:.1f}", *cells, hit_ratio, agreed]) + " |", flush=True)


if __name__ == "__main__":
    main()
