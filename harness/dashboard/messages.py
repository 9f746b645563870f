"""What screens are told. Each message carries an immutable value; nothing in it changes after it was posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

from harness.errors import BenchError
from harness.execution.snapshot import Snapshot

if TYPE_CHECKING:
    from harness.dashboard.details import Details, RunDetails
    from harness.dashboard.source import Source


class Followed(Message):
    """Live shall follow this source from now on."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source


class Arrived(Message):
    """A newer picture of the experiment."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class Lost(Message):
    """The source ended without saying that the experiment was over."""

    def __init__(self, problem: BenchError) -> None:
        super().__init__()
        self.problem = problem


class DetailsRead(Message):
    """What does not change while an experiment runs: its resolved settings."""

    def __init__(self, details: Details) -> None:
        super().__init__()
        self.details = details


class RunDetailsRead(Message):
    """The log of one run, and what the database has of it."""

    def __init__(self, details: RunDetails) -> None:
        super().__init__()
        self.details = details
