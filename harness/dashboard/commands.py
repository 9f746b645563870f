"""The command palette's way to what is recorded: experiments by tag, label, workload, device or id.

The screens and their own commands are in the palette by themselves (`harness.dashboard.app`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from harness.dashboard.words import local_time
from harness.errors import BenchError
from harness.ids import short_id
from harness.store.listing import Filters
from harness.store.queries import Store
from harness.store.records import ExperimentSummary

if TYPE_CHECKING:
    from harness.dashboard.app import Dashboard

_NEWEST = 5  # shown before anything is typed
_MOST = 300


class ExperimentProvider(Provider):
    """Finds experiments; choosing one shows it on Live, as it runs or as it was recorded."""

    async def startup(self) -> None:
        self._known = await asyncio.to_thread(_read, self._dashboard.database)

    async def discover(self) -> Hits:
        for one in self._known[:_NEWEST]:
            yield DiscoveryHit(_name(one), self._opener(one), help=_help(one))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for one in self._known:
            name = _name(one)
            score = max(matcher.match(name), matcher.match(one.id))
            if score > 0:
                yield Hit(score, matcher.highlight(name), self._opener(one), help=_help(one), text=name)

    @property
    def _dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    def _opener(self, one: ExperimentSummary) -> Callable[[], None]:
        def opener() -> None:
            self.app.call_later(_open, self._dashboard, one.id)

        return opener


async def _open(dashboard: Dashboard, experiment_id: str) -> None:
    from harness.dashboard.source import find_source

    try:
        _, source = await asyncio.to_thread(find_source, experiment_id, dashboard.database, named=True)
    except BenchError as problem:
        dashboard.tell(problem)
        return
    if source is not None:
        await dashboard.follow(source)


def _read(path: Path) -> tuple[ExperimentSummary, ...]:
    """The newest experiments, none where there is no database yet."""
    try:
        with Store(path, busy_timeout_s=0.5) as store:
            return store.list_experiments(Filters(), limit=_MOST)
    except BenchError:
        return ()


def _name(one: ExperimentSummary) -> str:
    what = f"{', '.join(one.workloads)} on {', '.join(one.devices)}" if one.workloads else one.command
    tags = f"  {', '.join(one.tags)}" if one.tags else ""
    return f"{short_id(one.id)}  {what}{tags}"


def _help(one: ExperimentSummary) -> str:
    note = f": {one.note}" if one.note else ""
    return f"{one.command} of {one.runs} runs, {one.status}, {local_time(one.created_at)}{note}"
