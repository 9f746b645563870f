"""What the dashboard costs the measurement: the same DLRM run with `--ui none` and beside the dashboard, interleaved.

    python benchmarks/dashboard_cost.py [--pairs 8] [--seconds 15] [--sizes 80x24,240x70]

Both are whole `bench run`s in a pseudo-terminal of 140×45, whose other end only reads. Processor time is that of the
face and of the orchestrator between the two ends of the measure phase; the promise is 20 ms a second for both
together. The dashboard is also watched in terminals of other sizes, where a picture costs more or less, to see that
it draws so seldom that the promise holds. The database says which face each run had.
"""

from __future__ import annotations

import argparse
import fcntl
import math
import os
import pty
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from harness.analysis.statistics import paired_shift
from harness.store.queries import Store

TOP = Path(__file__).resolve().parents[1]
SIZE = (140, 45)
PROMISE_MS = 20.0  # of processor time a second, orchestrator and dashboard together
SAMPLE_S = 0.2
PICTURE_GAP_S = 0.08  # output that is apart by so much belongs to two pictures
GIVE_UP_S = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Processor seconds until now, of the process that shows, the one that steers, and the one that works."""

    at: float
    worker_pid: int
    face_s: float
    orchestrator_s: float
    worker_s: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run gave, and what it cost to watch it: milliseconds of processor time a second of the measure phase."""

    throughput: float
    face: str
    contended: bool
    face_ms: float
    orchestrator_ms: float
    worker_ms: float
    pictures_per_s: float
    kilobytes_per_s: float  # to the terminal: what a line to another machine must carry

    @property
    def samples_per_cpu_s(self) -> float:
        """By the worker's own processor time: what neighbours that take its core cannot change."""
        return self.throughput / (self.worker_ms / 1e3)

    @property
    def both_ms(self) -> float:
        return self.face_ms + self.orchestrator_ms


class Watched:
    """A `bench run` in a pseudo-terminal: what it prints is read at once, and what it uses is sampled."""

    def __init__(self, arguments: Sequence[str], folder: Path, size: tuple[int, int]) -> None:
        self.samples: list[Sample] = []
        self.printed: list[tuple[float, int]] = []  # when output came, and how many bytes
        self._terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        environment = {**os.environ, "PYTHONPATH": str(TOP), "RECBENCH_RUNTIME": str(folder / "runtime"),
                       "TERM": "xterm-256color", "COLORTERM": "truecolor"}  # fmt: skip
        environment.pop("CI", None)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.cli.app", *arguments], cwd=folder, env=environment, stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def follow(self) -> int:
        """Until it ends; its exit code. A dashboard that lingers over its result is sent away."""
        face, begun = psutil.Process(self._process.pid), time.time()
        orchestrator: psutil.Process | None = None
        while self._process.poll() is None:
            if time.time() - begun > GIVE_UP_S:
                self._process.kill()
                raise SystemExit("the run did not end")
            try:
                orchestrator = orchestrator or _child(face, "harness.execution.orchestrator")
                worker = _child(orchestrator, "harness.execution.worker") if orchestrator is not None else None
                if orchestrator is not None and worker is not None:
                    sample = Sample(time.time(), worker.pid, _cpu_s(face), _cpu_s(orchestrator), _cpu_s(worker))
                    self.samples.append(sample)
            except psutil.NoSuchProcess:
                pass
            if orchestrator is not None and _is_over(orchestrator):
                self._type("q")
            time.sleep(SAMPLE_S)
        os.close(self._terminal)
        return self._process.returncode

    def _read(self) -> None:
        while True:
            try:
                output = os.read(self._terminal, 1 << 16)
            except OSError:
                return
            if not output:
                return
            self.printed.append((time.time(), len(output)))

    def _type(self, text: str) -> None:
        if self._process.poll() is None:
            os.write(self._terminal, text.encode())

    def used_ms(self, begin: float, end: float) -> tuple[float, float, float]:
        """Milliseconds a second of the face, the orchestrator and the worker between two times."""
        inside = [sample for sample in self.samples if begin <= sample.at <= end]
        inside = [sample for sample in inside if sample.worker_pid == inside[-1].worker_pid]
        if len(inside) < 2:
            raise SystemExit("the measure phase was too short to sample")
        first, last = inside[0], inside[-1]
        seconds = (last.at - first.at) / 1e3
        return (
            (last.face_s - first.face_s) / seconds,
            (last.orchestrator_s - first.orchestrator_s) / seconds,
            (last.worker_s - first.worker_s) / seconds,
        )

    def pictures(self, begin: float, end: float) -> tuple[int, int]:
        """How many were drawn between two times, and their bytes."""
        inside = [(at, size) for at, size in self.printed if begin <= at <= end]
        times = [at for at, _ in inside]
        apart = sum(1 for at, before in zip(times, [0.0, *times], strict=False) if at - before > PICTURE_GAP_S)
        return apart, sum(size for _, size in inside)


def _child(process: psutil.Process, module: str) -> psutil.Process | None:
    return next((child for child in process.children() if any(module in word for word in child.cmdline())), None)


def _is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(face: str, seconds: float, size: tuple[int, int], folder: Path, seed: int) -> Cost:
    """One run of the demo's model for so many seconds."""
    database = folder / "results.db"
    watched = Watched(
        ["run", "dlrm", "--profile", "demo", "--epochs", "none", "--seconds", f"{seconds:g}", "--repeats", "1",
         "--seed", str(seed), "--ui", face, "--db", str(database)], folder, size,
    )  # fmt: skip
    code = watched.follow()
    if code != 0:
        raise SystemExit(f"bench run --ui {face} ended with exit code {code}")
    with Store(database) as store:
        experiment = store.experiment(store.list_experiments(limit=1)[0].id)
        run = experiment.cells[0].runs[0]
        begin, end = _measure_phase(store, experiment.id)
    metric = run.metric("throughput")
    assert metric is not None and metric.value is not None
    pictures, sent = watched.pictures(begin, end)
    seconds_s = end - begin
    return Cost(
        metric.value,
        run.face or "",
        bool(run.contended),
        *watched.used_ms(begin, end),
        pictures / seconds_s,
        sent / 1e3 / seconds_s,
    )


def _measure_phase(store: Store, experiment: str) -> tuple[float, float]:
    """Its two ends, on the wall clock."""
    phases = [event for event in store.experiment_events(experiment) if event.kind == "phase"]
    names = [(event.text or "", datetime.fromisoformat(event.wall).timestamp()) for event in phases]
    place = next(place for place, (text, _) in enumerate(names) if text.startswith("measure"))
    return names[place][1], names[place + 1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15.0, help="of the measure phase")
    parser.add_argument("--sizes", default="80x24,240x70", help="of further terminals, a run in each")
    given = parser.parse_args()
    chooser = random.Random(1)
    found: dict[str, list[Cost]] = {"none": [], "dashboard": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure("none", 2.0, SIZE, folder, 0)  # makes the rows, which the others find
        for pair in range(given.pairs):
            for face in chooser.sample(sorted(found), 2):
                found[face].append(measure(face, given.seconds, SIZE, folder, pair))
            print(
                f"pair {pair + 1}: ×{found['dashboard'][-1].throughput / found['none'][-1].throughput:.4f}", flush=True
            )
        sizes = [tuple(map(int, size.split("x"))) for size in given.sizes.split(",") if size]
        others = [(size, measure("dashboard", given.seconds, (size[0], size[1]), folder, 0)) for size in sizes]
    assert all(cost.face == face for face, costs in found.items() for cost in costs), "a run records another face"
    print(table(found, [((size[0], size[1]), cost) for size, cost in others]))


def table(found: dict[str, list[Cost]], others: Sequence[tuple[tuple[int, int], Cost]]) -> str:
    """The report in markdown."""
    lines = ["| watched by | samples/s, median | orchestrator, ms/s | face, ms/s | both, ms/s | pictures/s | kB/s |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [_line(f"`--ui {face}`", costs) for face, costs in found.items()]
    lines += [_line(f"`--ui dashboard`, {size[0]}×{size[1]}", [cost]) for size, cost in others]
    pairs = list(zip(found["none"], found["dashboard"], strict=True))
    busy = sum(a.contended or b.contended for a, b in pairs)
    worst = max(cost.both_ms for cost in [*found["dashboard"], *(cost for _, cost in others)])
    lines += ["", f"dashboard / none, {len(pairs)} interleaved pairs, of which {busy} on a contended machine:",
              f"samples a second {_ratio([b.throughput / a.throughput for a, b in pairs])}; samples a second of the "
              f"worker's processor time {_ratio([b.samples_per_cpu_s / a.samples_per_cpu_s for a, b in pairs])}.",
              f"Most that one run used: {worst:.1f} ms a second; the promise is {PROMISE_MS:.0f}: "
              f"{'kept' if worst <= PROMISE_MS else 'BROKEN'}."]  # fmt: skip
    return "\n".join(lines)


def _ratio(ratios: Sequence[float]) -> str:
    """`×0.9992 [0.9911, 1.0074], 95.3 %`: the centre of the pairs with its exact interval."""
    change = paired_shift([math.log(ratio) for ratio in ratios])
    text = f"×{math.exp(change.value):.4f}"
    if change.interval is None:
        return text
    low, high = math.exp(change.interval.low), math.exp(change.interval.high)
    return f"{text} [{low:.4f}, {high:.4f}], {100 * change.interval.confidence:.1f} %"


def _line(name: str, costs: Sequence[Cost]) -> str:
    def middle(values: Sequence[float]) -> float:
        return statistics.median(values)

    return (
        f"| {name} | {middle([cost.throughput for cost in costs]):,.0f} "
        f"| {middle([cost.orchestrator_ms for cost in costs]):.1f} | {middle([cost.face_ms for cost in costs]):.1f} "
        f"| {middle([cost.both_ms for cost in costs]):.1f} | {middle([cost.pictures_per_s for cost in costs]):.1f} "
        f"| {middle([cost.kilobytes_per_s for cost in costs]):.1f} |"
    )


if __name__ == "__main__":
    main()
