"""A measurement in this process, wired to a real socket pair whose other end the test reads."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.api import Description, Workload
from harness.execution.channel import Channel
from harness.execution.context import WorkerContext
from harness.execution.events import Event, LineReader
from harness.execution.phases import Measurement
from harness.registry import Registry
from harness.spec import RunSpec, Source, config_of, resolve
from tests.fakes.devices import StillDevice

FAKES = Path(__file__).resolve().parent / "workloads.py"


class Bench:
    """A measurement wired to a socket pair that the test reads."""

    def __init__(
        self,
        tmp_path: Path,
        name: str,
        device: Any = None,
        workload: Workload | None = None,
        plugins: Sequence[Path] = (FAKES,),
        repeat: int = 1,
        **values: Any,
    ) -> None:
        registry = Registry(plugins)
        self.description: Description = registry.workload(name)
        self.spec: RunSpec = resolve(self.description, [Source(origin="test", values={"device": "cpu", **values})])
        parent, child = socket.socketpair()
        for end in (parent, child):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.parent = parent
        self.channel = Channel(child.detach(), leave=lambda status: None)
        self.workload: Any = workload or registry.workload_class(name)()
        self.context = WorkerContext(
            self.channel,
            self.description,
            self.spec,
            config_of(self.description, self.spec),
            device or StillDevice(),
            repeat=repeat,
            rank=0,
            world_size=1,
            cache_dir=tmp_path,
            output_dir=tmp_path,
            shared={},
        )
        latency = self.description.modes[self.spec.mode].latency
        self.measurement = Measurement(self.workload, self.context, self.channel, self.spec, latency=latency)

    def run(self, resumed: dict[str, Any] | None = None) -> list[Event]:
        self.measurement.run(resumed)
        return self.events()

    def run_and_close(self, resumed: dict[str, Any] | None = None) -> None:
        try:
            self.measurement.run(resumed)
        finally:
            self.channel.close()
            self.parent.close()

    def events(self) -> list[Event]:
        self.channel.close()
        reader, found = LineReader(), []
        while chunk := self.parent.recv(1 << 20):
            found += list(reader.feed(chunk))
        self.parent.close()
        assert all(isinstance(item, Event) for item in found)
        assert reader.lost == 0
        return [item for item in found if isinstance(item, Event)]


def phases(events: list[Event]) -> list[str]:
    return [f"{event['name']} {event['state']}" for event in events if event.type == "phase"]


def measured(events: list[Event]) -> Event:
    return next(e for e in events if e.type == "phase" and e["name"] == "measure" and e["state"] == "end")


def metrics(events: list[Event]) -> dict[str, Any]:
    return {event["name"]: event["value"] for event in events if event.type == "metric"}
