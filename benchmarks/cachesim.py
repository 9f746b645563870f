"""Speed of the cache simulation beside libCacheSim, on one core, in one run: the table in docs/log.md.

    python benchmarks/cachesim.py --peer-python .venv-peers/bin/python        an environment that has libcachesim
    python benchmarks/cachesim.py --only lru,curve --rounds 3                 some rows; without a peer only our rates

The trace is 10 M requests with independent references, Zipf(1.0) over a million rows, whose sha256 is checked; the rows
called "memory-bound" take 20 M of Zipf(0.8) over 20 million, of which some 7.7 million occur.

- A pair is one measurement of ours and one of the peer's, one after the other, in turn first and second. The ratio is
  the median of the pairs' ratios: load and drift of the machine touch both alike.
- Times are CPU seconds: ours of the one thread that works, the peer's of its process. "Two cores" compares wall time,
  which neighbours on the machine spoil, and says how many more CPU seconds the same work took on both at once: two free
  cores would do it in half of that.
- Ours begins with ids in an array: it checks them, makes the cache's state and, for OPT, finds the next uses. The
  peer's begins when its reader is open and its cache is made, and reads a mapped oracleGeneral file, which has the next
  uses. Rows "from file" begin with the path on both sides; ids there are sparse 64-bit numbers.
- The peer runs at the hashpower (the size of its hash table, 2^k) that is its fastest for that row, tried before.
- Hits must equal the golden ones, and the peer's where the policy is exact; else the run fails. Compilation is paid
  before.

libCacheSim is GPL-3.0: it is run as a program of its own, never imported here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numba
import numpy as np
import numpy.typing as npt

from workloads.cachesim.generators.zipf import REFERENCE_REQUESTS, REFERENCE_ROWS, REFERENCE_SHA256, reference_zipf_ids
from workloads.cachesim.locality import distance_counts
from workloads.cachesim.policies import registry
from workloads.cachesim.policies.next_use import next_uses
from workloads.cachesim.policies.simulate import prepare, simulate
from workloads.cachesim.traces.binary_formats import ORACLE_RECORD
from workloads.cachesim.traces.factorize import IntegerFactorizer, integer_hashes
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions

Ids = npt.NDArray[np.int32]

CAPACITIES = (10_000, 100_000)
MEMORY_REQUESTS, MEMORY_ROWS, MEMORY_EXPONENT = 20_000_000, 20_000_000, 0.8
MEMORY_CAPACITY = 770_000  # a tenth of the distinct rows
HASHPOWERS = (16, 18, 20)
MEMORY_HASHPOWERS = (22, 24)
PEER = {
    "lru": "LRU", "fifo": "FIFO", "sieve": "Sieve", "lfu": "LFU", "s3-fifo": "S3FIFO", "clock": "Clock", "arc": "ARC",
    "w-tinylfu": "WTinyLFU", "2q": "TwoQ", "slru": "SLRU", "lirs": "LIRS", "belady": "Belady", "random": "Random",
}  # fmt: skip
EXACT = {"lru", "fifo", "lfu", "sieve", "clock", "belady"}  # the policies that the peer defines alike
GOLDEN = {  # hits of the Zipf trace at CAPACITIES, confirmed by other simulators
    "lru": (5_852_657, 7_769_964), "fifo": (5_503_485, 7_474_456), "lfu": (6_573_337, 8_099_493),
    "sieve": (6_586_466, 8_099_493), "clock": (5_948_945, 7_837_429), "belady": (7_186_544, 8_667_534),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """Ratios to the peer: the least and the aim; an aim may be a rate in M requests/s as well."""

    least: float | None = None
    aim: float | None = None
    aim_rate: float | None = None

    def reached(self, ratio: float | None, rate: float) -> str:
        if self.least is None or ratio is None:
            return ""
        if ratio < self.least:
            return "no"
        aimed = ratio >= (self.aim or 0) and rate >= (self.aim_rate or 0)
        return "aim" if aimed and (self.aim or self.aim_rate) else "yes"

    def words(self) -> list[str]:
        aims = [f"{self.aim:g}×" if self.aim else "", f"{self.aim_rate:g} M/s" if self.aim_rate else ""]
        return [f"{self.least:g}×" if self.least else "", ", ".join(filter(None, aims))]


GOALS = {
    "lru": Goal(3, None, 80), "fifo": Goal(8, None, 300), "sieve": Goal(7, None, 200), "lfu": Goal(4, 6),
    "s3-fifo": Goal(4, 7), "belady": Goal(5, 10, 60), "clock": Goal(1.5, 3), "arc": Goal(1.5, 3), "2q": Goal(1.5, 3),
    "w-tinylfu": Goal(1.5, 3), "slru": Goal(1.5, 3), "lirs": Goal(1.5, 3),
}  # fmt: skip
CURVE, MEMORY, FROM_FILE, CORES = Goal(1, 3), Goal(2, 4), Goal(1.5, 3), Goal(1.8)
NO_GOAL = Goal()


@dataclass(frozen=True, slots=True)
class Task:
    """What the peer replays."""

    policy: str
    capacity: int
    trace: Path
    from_file: bool = False
    hashpowers: Sequence[int] = HASHPOWERS


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `ours` returns the hits; `same`: the peer's must equal them."""

    name: str
    at: str
    requests: int
    ours: Callable[[], int]
    task: Task | None
    goal: Goal
    golden: int | None = None
    same: bool = True


class Peer:
    """libCacheSim in a process of its own, asked by lines on a pipe."""

    PROGRAM = """
import sys, time
import libcachesim as peer
print("ready", getattr(peer, "__version__", "unknown"), flush=True)
for line in sys.stdin:
    name, capacity, hashpower, from_file, trace = line.rstrip("\\n").split(" ", 4)
    start = time.process_time()
    kind, parameters = peer.TraceType.ORACLE_GENERAL_TRACE, peer.ReaderInitParam(ignore_obj_size=True)
    reader = peer.TraceReader(trace, kind, parameters)
    cache = getattr(peer, name)(int(capacity), hashpower=int(hashpower))
    if from_file == "0":
        start = time.process_time()
    miss_ratio, _ = cache.process_trace(reader)
    print(time.process_time() - start, 1 - miss_ratio, flush=True)
"""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", self.PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.version = self._read()[1]
        self._best: dict[Task, int] = {}

    def run(self, task: Task, hashpower: int) -> tuple[float, float]:
        """CPU seconds and hit ratio."""
        assert self._process.stdin is not None
        words = (PEER[task.policy], task.capacity, hashpower, int(task.from_file), task.trace)
        print(*words, file=self._process.stdin, flush=True)
        cpu_s, hit_ratio = self._read()
        return float(cpu_s), float(hit_ratio)

    def best_hashpower(self, task: Task) -> int:
        if task not in self._best:
            self._best[task] = min(task.hashpowers, key=lambda hashpower: self.run(task, hashpower)[0])
        return self._best[task]

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


def write_oracle_general(ids: npt.NDArray[np.int64], following: npt.NDArray[np.integer], path: Path) -> Path:
    records = np.empty(len(ids), dtype=ORACLE_RECORD)
    records["time"] = np.arange(len(ids)) // 1000
    records["id"] = ids
    records["size"] = 1
    records["next"] = np.where(following < len(ids), following, -1)
    records.tofile(path)
    return path


def zipf_rows(chosen: set[str], arguments: argparse.Namespace, folder: Path) -> list[Row]:
    """Policies, the curve, reading from file, two cores."""
    requests, rows = arguments.requests, arguments.rows
    reference = (requests, rows) == (REFERENCE_REQUESTS, REFERENCE_ROWS)
    wide = reference_zipf_ids(requests, rows)
    if reference and hashlib.sha256(wide.astype("<i8").tobytes()).hexdigest() != REFERENCE_SHA256:
        raise SystemExit("the generated trace has another sha256 than the reference one")
    ids = wide.astype(np.int32)
    following = next_uses(ids, rows)
    trace = write_oracle_general(wide, following, folder / "trace.oracleGeneral")
    golden = GOLDEN if reference else {}
    found = []

    def replay(policy: str, capacity: int) -> Callable[[], int]:
        return lambda: simulate(policy, ids, rows, capacity).hits

    def curve(capacity: int) -> Callable[[], int]:
        return lambda: int(distance_counts(ids, rows)[1 : capacity + 1].sum())

    for policy in registry.names():
        goal = GOALS.get(policy, NO_GOAL)
        for place, capacity in enumerate(CAPACITIES if policy in chosen else ()):
            task = Task(policy, capacity, trace) if policy in PEER else None
            hits = golden[policy][place] if policy in golden else None
            ours = replay(policy, capacity)
            found.append(Row(policy, f"{capacity:,}", requests, ours, task, goal, hits, policy in EXACT))
    for place, capacity in enumerate(CAPACITIES if "curve" in chosen else ()):
        name, hits = "exact LRU curve, every size; peer: LRU, one size", golden["lru"][place] if golden else None
        task = Task("lru", capacity, trace)
        found.append(Row(name, f"{capacity:,}", requests, curve(capacity), task, CURVE, hits))
    if "file" in chosen:
        sparse = integer_hashes(wide) >> 1
        np.save(folder / "sparse.npy", sparse)
        records = write_oracle_general(sparse, following, folder / "sparse.oracleGeneral")
        for kind, path in (("oracleGeneral", records), ("npy", folder / "sparse.npy")):
            for place, capacity in enumerate(CAPACITIES):
                name, hits = f"from file to LRU's answer, ours {kind}", golden["lru"][place] if golden else None
                task = Task("lru", capacity, records, from_file=True)
                ours = from_file(path, kind, capacity)
                found.append(Row(name, f"{capacity:,}", requests, ours, task, FROM_FILE, hits))
    return found


def from_file(path: Path, kind: str, capacity: int) -> Callable[[], int]:
    def answer() -> int:
        trace = read_trace([path], ReadOptions(format=kind))
        return simulate("lru", trace.ids, trace.unique, capacity).hits

    return answer


def memory_rows(folder: Path) -> list[Row]:
    """20 M requests whose state is larger than the caches of the processor."""
    factorizer = IntegerFactorizer()
    ids = factorizer.add(reference_zipf_ids(MEMORY_REQUESTS, MEMORY_ROWS, MEMORY_EXPONENT))
    unique = factorizer.count
    trace = write_oracle_general(ids.astype(np.int64), next_uses(ids, unique), folder / "memory.oracleGeneral")

    def replay(policy: str) -> Callable[[], int]:
        return lambda: simulate(policy, ids, unique, MEMORY_CAPACITY).hits

    found = []
    for policy in ("lru", "sieve", "belady"):
        task = Task(policy, MEMORY_CAPACITY, trace, hashpowers=MEMORY_HASHPOWERS)
        name = f"{policy}, memory-bound ({unique / 1e6:.1f} M rows)"
        found.append(Row(name, f"{MEMORY_CAPACITY:,}", len(ids), replay(policy), task, MEMORY))
    task = Task("lru", MEMORY_CAPACITY, trace, hashpowers=MEMORY_HASHPOWERS)
    curve = Row(
        "exact LRU curve, memory-bound; peer: LRU, one size",
        f"{MEMORY_CAPACITY:,}",
        len(ids),
        lambda: int(distance_counts(ids, unique)[1 : MEMORY_CAPACITY + 1].sum()),
        task,
        CURVE,
    )
    return [*found, curve]


def measure(row: Row, peer: Peer | None, rounds: int) -> tuple[str, bool]:
    """The line of the table, and whether the hits are right."""
    ours: list[float] = []
    theirs: list[float] = []
    hits = row.ours()
    hit_ratio = None
    best = peer.best_hashpower(row.task) if peer is not None and row.task is not None else None
    for turn in range(rounds):
        for who in ("ours", "peer") if turn % 2 == 0 else ("peer", "ours"):
            if who == "ours":
                start = time.thread_time()
                again = row.ours()
                ours.append(time.thread_time() - start)
                assert again == hits
            elif peer is not None and row.task is not None and best is not None:
                cpu_s, hit_ratio = peer.run(row.task, best)
                theirs.append(cpu_s)
    rate = row.requests / statistics.median(ours) / 1e6
    ratio, spread, peer_rate = None, "", ""
    if theirs:
        ratios = [slow / quick for slow, quick in zip(theirs, ours, strict=True)]
        ratio = statistics.median(ratios)
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        peer_rate = f"{row.requests / statistics.median(theirs) / 1e6:.1f} (2^{best})"
    right, words = check(row, hits, hit_ratio)
    cells = [row.name, row.at, f"{rate:.0f}", peer_rate, "" if ratio is None else f"{ratio:.1f}×", spread]
    return "| " + " | ".join([*cells, *row.goal.words(), row.goal.reached(ratio, rate), words]) + " |", right


def check(row: Row, hits: int, hit_ratio: float | None) -> tuple[bool, str]:
    """Whether the hits are those known, and what the table says of them."""
    words = []
    if row.golden is not None:
        words.append("golden" if hits == row.golden else f"WRONG, golden {row.golden:,}")
    if hit_ratio is not None:
        theirs = round(hit_ratio * row.requests)
        if theirs == hits:
            words.append("= peer")
        elif row.same:
            words.append(f"WRONG, peer {theirs:,}")
        else:
            words.append(f"{(hits - theirs) / row.requests * 100:+.2f} pp of the peer's")
    return not any(word.startswith("WRONG") for word in words), f"{hits:,} " + ", ".join(words)


def two_cores(rows: Sequence[Row], rounds: int) -> str:
    """Many cells by one thread and by two in pairs; a thread takes the next cell when it is done."""

    def replay(row: Row) -> float:
        start = time.thread_time()
        row.ours()
        return time.thread_time() - start

    wall_s: dict[int, list[float]] = {1: [], 2: []}
    cpu_s: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for threads in (1, 2) if turn % 2 == 0 else (2, 1):
            start = time.perf_counter()
            with ThreadPoolExecutor(threads) as pool:
                cpu_s[threads].append(sum(pool.map(replay, rows)))
            wall_s[threads].append(time.perf_counter() - start)
    ratios = [one / two for one, two in zip(wall_s[1], wall_s[2], strict=True)]
    dearer = statistics.median(two / one for one, two in zip(cpu_s[1], cpu_s[2], strict=True))
    ratio = statistics.median(ratios)
    requests = sum(row.requests for row in rows) / 1e6
    rates = [f"{requests / statistics.median(wall_s[threads]):.0f}" for threads in (2, 1)]
    cells = [f"two cores, {len(rows)} cells; beside one core, wall time", "", *rates, f"{ratio:.2f}×"]
    cells += [f"{min(ratios):.2f} to {max(ratios):.2f}", *CORES.words(), CORES.reached(ratio, 0)]
    return "| " + " | ".join([*cells, f"CPU seconds ×{dearer:.2f}"]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    extra = ("curve", "file", "memory", "cores")
    parser.add_argument("--only", help=f"comma-separated: {', '.join((*registry.names(), *extra))}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each row")
    parser.add_argument("--rows", type=int, default=REFERENCE_ROWS, help="of the Zipf trace; hits are known for 1 M")
    parser.add_argument("--requests", type=int, default=REFERENCE_REQUESTS, help="of the Zipf trace")
    parser.add_argument("--peer-python", help="an interpreter that has libcachesim")
    arguments = parser.parse_args()
    chosen = set(arguments.only.split(",")) if arguments.only else {*registry.names(), *extra}
    if unknown := chosen - {*registry.names(), *extra}:
        parser.error(f"--only {','.join(sorted(unknown))}: expected {', '.join((*registry.names(), *extra))}")

    for policy in registry.names():
        prepare(policy)
    distance_counts(np.zeros(4, np.int32), 1)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        peer = Peer(arguments.peer_python) if arguments.peer_python else None
        print(
            f"\n{arguments.requests:,} requests, Zipf(1.0) over {arguments.rows:,} rows; {platform.machine()}, "
            f"{os.cpu_count()} cores, Python {platform.python_version()}, numba {numba.__version__}, "
            f"numpy {np.__version__}, {arguments.rounds} pairs a row"
            + (f", libcachesim {peer.version}" if peer else "")
            + f"; load {os.getloadavg()[0]:.2f}"
        )
        print("M requests per CPU second; (2^k): the peer's best hashpower; ratio: median, lowest to highest pair\n")
        print("| | capacity | ours | peer | ratio | pairs | at least | aim | reached | hits |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        rows = zipf_rows(chosen | ({"lru", "sieve", "arc"} if "cores" in chosen else set()), arguments, folder)
        for row in rows:
            if row.name in chosen or row.name not in registry.names():
                line, right = measure(row, peer, arguments.rounds)
                wrong += not right
                print(line, flush=True)
        if "cores" in chosen:
            cells = [row for row in rows if row.name in ("lru", "sieve", "arc")] * 4
            print(two_cores(cells, arguments.rounds), flush=True)
        del rows
        if "memory" in chosen:
            for row in memory_rows(folder):
                line, right = measure(row, peer, min(arguments.rounds, 3))
                wrong += not right
                print(line, flush=True)
        if peer is not None:
            peer.close()
    print(f"\nload at the end {os.getloadavg()[0]:.2f}")
    if wrong:
        raise SystemExit(f"{wrong} rows have wrong hits")


if __name__ == "__main__":
    main()
