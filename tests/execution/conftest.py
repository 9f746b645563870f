"""Experiments with the fake worker, each test in folders and with locks of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.execution.launch import Attachment, launch, running
from harness.execution.plan import Plan, make_plan
from harness.execution.snapshot import Snapshot
from harness.registry import Registry
from harness.spec import Source, resolve

HERE = Path(__file__).resolve().parent
PLUGIN = HERE / "plugin_fake.py"
WORKER = HERE / "fake_worker.py"


@contextmanager
def make_house(folder: Path) -> Iterator[House]:
    """Folders and locks of its own under `folder`; whatever still runs at the end is killed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUNTIME", "CACHE"):
            (folder / name.lower()).mkdir()
            patch.setenv(f"RECBENCH_{name}", str(folder / name.lower()))
        made = House(folder)
        try:
            yield made
        finally:
            for attachment in made.attachments:
                attachment.close()
            for item in running():
                with suppress(ProcessLookupError):
                    os.kill(item.pid, signal.SIGKILL)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with make_house(tmp_path) as made:
        yield made


class House:
    """Makes plans and launches them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "results.db"
        self.attachments: list[Attachment] = []

    def plan(
        self,
        *behaviours: str,
        command: str = "run",
        share_key: str | None = None,
        share_keys: Sequence[str | None] | None = None,
        interleave: bool = False,
        share: bool = False,
        mode: str = "train",
        **values: object,
    ) -> Plan:
        description = Registry([PLUGIN]).workload("fake")
        defaults = {"device": "fake", "repeats": 1, "mode": mode, **values}
        specs = []
        for name in behaviours or ("normal",):
            own = {**defaults, "behaviour": name, "hang_limit": "4s" if name in ("silent", "deaf") else None}
            specs.append(resolve(description, [Source(origin="test", values=own)], plugins=[PLUGIN]))
        return make_plan(
            specs,
            command=command,  # type: ignore[arg-type]
            database=self.database,
            share_keys=list(share_keys) if share_keys is not None else [share_key] * len(specs),
            interleave=interleave,
            order_seed=1,
            share=share,
        )

    def launch(self, plan: Plan) -> Attachment:
        attachment = launch(plan, worker=WORKER)
        self.attachments.append(attachment)
        return attachment

    def finish(self, *behaviours: str, **values: object) -> Snapshot:
        """Runs to the end: the last Snapshot."""
        return last(self.launch(self.plan(*behaviours, **values)))  # type: ignore[arg-type]


def last(attachment: Attachment) -> Snapshot:
    *_, snapshot = attachment.snapshots()
    return snapshot


def until(attachment: Attachment, condition: Callable[[Snapshot], bool], timeout_s: float = 30.0) -> Snapshot:
    """The first Snapshot that fulfils the condition."""
    deadline = time.monotonic() + timeout_s
    snapshot = attachment.snapshot
    while snapshot is None or not condition(snapshot):
        assert time.monotonic() < deadline, f"waited in vain; last seen: {snapshot}"
        snapshot = attachment.next_snapshot(1.0) or attachment.snapshot
    return snapshot


def settles(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def gone(pid: int, timeout_s: float = 10.0) -> bool:
    """Whether a process ends in time; a zombie that nobody has waited for is gone."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
