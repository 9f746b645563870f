"""What is known of this machine: its environment, its measured limits, and how near a run came to them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import harness
from harness import paths
from harness.analysis.contention import judge
from harness.analysis.roofline import bound, share
from harness.devices.cpu import allowed_cores
from harness.execution.events import Event, Garbage
from harness.execution.summary import RunTally, metric_row
from harness.execution.supervise import RankStart, WorkerGroup
from harness.spec import RunSpec, parse_cpus
from harness.store.rows import CeilingRow, MetricRow, utc_now
from harness.telemetry.contention import ContentionMeter
from harness.telemetry.environment import environment_hash, git_state, host_environment, merge_worker

CEILINGS_LIMIT_S = 20.0  # the measurement asks for ten, importing a framework may take as long
_UNITS = (("_flops", "FLOP/s"), ("_bytes_per_s", "B/s"), ("_rows_per_s", "rows/s"))


class Machine:
    """One machine with one installation of recbench. Made off the event loop: it reads files and starts programs."""

    def __init__(self) -> None:
        self.name = socket.gethostname()
        checkout = paths.checkout()
        self.git = git_state(checkout) if checkout is not None else None
        self._hosts: dict[str | None, dict[str, Any]] = {}
        self._ceilings: dict[tuple[str, int], Mapping[str, float | None]] = {}
        self._busy: set[tuple[str, int]] = set()  # whose ceilings were measured beside other programs

    def look(self, cpus: str | None) -> None:
        """Reads the environment of runs on these cores."""
        if cpus not in self._hosts:
            harness_facts = {"version": harness.__version__, "commit": self.git[0] if self.git else None}
            if self.git is not None:
                harness_facts["dirty"] = str(self.git[1]).lower()
            given = None if cpus is None else parse_cpus(cpus)
            self._hosts[cpus] = {**host_environment(given), "harness": harness_facts}

    def environment(self, spec: RunSpec, worker: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """(hash, fingerprint) of a run, from the host's and what its worker says of itself."""
        merged = merge_worker(self._hosts.get(spec.settings.cpus, {}), worker)
        return environment_hash(merged), merged

    def threads(self, spec: RunSpec) -> int:
        """The threads a worker of this cell has."""
        if spec.settings.threads is not None:
            return spec.settings.threads
        return len(parse_cpus(spec.settings.cpus)) if spec.settings.cpus is not None else allowed_cores()

    def know(self, spec: RunSpec, ceilings: Mapping[str, float | None]) -> None:
        """Ceilings that were measured earlier, or that need not be measured again in this experiment."""
        self._ceilings[spec.device, self.threads(spec)] = dict(ceilings)

    def knows(self, spec: RunSpec) -> bool:
        return (spec.device, self.threads(spec)) in self._ceilings

    async def measure(
        self,
        spec: RunSpec,
        start: RankStart,
        adopt: Callable[[WorkerGroup], None],
        own_pids: Callable[[], list[int]] = lambda: [os.getpid()],
    ) -> tuple[list[CeilingRow], str | None]:
        """Measures the ceilings in a worker of their own: the rows, and why they are missing where they are."""
        listener = _CeilingListener()
        log = paths.runtime_dir() / f"ceilings-{os.getpid()}.log"
        group = WorkerGroup([start], log, listener)
        listener.meter = ContentionMeter(lambda: group.pids, own_pids)
        adopt(group)
        self.know(spec, {})  # tried once an experiment, whatever comes of it
        problem: str | None = None
        try:
            await group.start()
            waiting = asyncio.create_task(group.wait())
            done, _ = await asyncio.wait({waiting}, timeout=CEILINGS_LIMIT_S)
            if not done:
                group.kill()
                problem = f"their measurement took longer than {CEILINGS_LIMIT_S:g} s"
            ends = await waiting
            if problem is None and not ends[0].clean:
                problem = "their measurement did not end well"
        except OSError as found:
            problem = f"the worker does not start: {found.strerror or found}"
        finally:
            log.unlink(missing_ok=True)
        problem = listener.problem or problem
        if problem is not None or not listener.values:
            return [], problem or "the device measures none"
        self.know(spec, listener.values)
        contended, _ = judge(listener.meter.reading())
        if contended:
            self._busy.add((spec.device, self.threads(spec)))
        measured_at, threads = utc_now(), self.threads(spec)
        return [
            CeilingRow(
                machine=self.name,
                device=spec.device,
                threads=threads,
                name=name,
                value=value,
                unit=_unit(name),
                measured_at=measured_at,
                contended=contended,
            )
            for name, value in listener.values.items()
        ], None

    def busy(self, spec: RunSpec) -> bool:
        """Whether the limits used here were measured on a busy machine, and so may be too low."""
        return (spec.device, self.threads(spec)) in self._busy

    def roofline(
        self, run_id: str, spec: RunSpec, tally: RunTally, engine: Mapping[str, Any]
    ) -> tuple[MetricRow, str] | None:
        """How near a run came to this machine's limit, and which limit that is; None where none applies."""
        work, rank = tally.work_per_step(), tally.ranks[0]
        ceilings = self._ceilings.get((spec.device, self.threads(spec)), {})
        precision = str(engine.get("precision") or spec.params.get("precision") or "fp32")
        limit = bound(work, ceilings, precision)
        if limit is None or not tally.measured or not rank.segment_steps or not tally.measured_s:
            return None
        found = share(tally.measured_s / rank.segment_steps, limit)
        return metric_row(run_id, "roofline_share", found, {}), limit.binding


class _CeilingListener:
    """Collects the metric events of a ceilings worker."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.problem: str | None = None
        self.meter: ContentionMeter

    def event(self, rank: int, event: Event) -> None:
        if event.type == "hello":
            self.meter.begin()
        elif event.type == "metric":
            self.values[event["name"]] = event["value"]
            self.meter.tick()
        elif event.type == "error":
            self.problem = event["message"]
        elif event.type == "done":
            self.meter.end()

    def garbage(self, rank: int, garbage: Garbage) -> None:
        return

    def distrust(self, rank: int, reason: str) -> None:
        self.problem = reason


def _unit(name: str) -> str:
    base = name.partition("{")[0]
    return next((unit for suffix, unit in _UNITS if base.endswith(suffix)), "")
