"""The plan of an experiment: cells, repeats and their order, decided before anything runs.

The command line makes it, the orchestrator carries it out, the database keeps it; `--resume` reads it back.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from harness.api import Description
from harness.errors import UsageError
from harness.ids import new_id
from harness.spec import RunSpec, config_of

Command = Literal["run", "sweep", "ab", "calibrate"]
Face = Literal["dashboard", "plain", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """One configuration. `share_key`: cells with the same key may share a worker (`pass` workloads only)."""

    id: str
    index: int
    spec: RunSpec
    share_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One repeat of a cell. Its seed is the spec's seed + repeat. `resumes` names a checkpoint to go on from."""

    id: str
    cell_id: str
    repeat: int
    resumes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An experiment, ready to run. `order` holds the runs in the order they will happen."""

    experiment_id: str
    command: Command
    database: Path
    cells: tuple[PlannedCell, ...]
    order: tuple[PlannedRun, ...]
    argv: tuple[str, ...] = ()
    face: Face = "none"
    interleaved: bool = False
    share: bool = False
    tags: tuple[str, ...] = ()
    note: str | None = None
    resumed: bool = False

    @property
    def jobs(self) -> int:
        """How many runs were asked to go on side by side."""
        return self.cells[0].spec.settings.jobs if self.cells else 1

    def cell(self, cell_id: str) -> PlannedCell:
        return next(cell for cell in self.cells if cell.id == cell_id)

    def to_json(self) -> dict[str, Any]:
        return {
            "experiment_id": self.experiment_id,
            "command": self.command,
            "database": str(self.database),
            "cells": [
                {"id": cell.id, "index": cell.index, "share_key": cell.share_key, "spec": cell.spec.to_json()}
                for cell in self.cells
            ],
            "order": [
                {"id": run.id, "cell_id": run.cell_id, "repeat": run.repeat, "resumes": run.resumes}
                for run in self.order
            ],
            "argv": list(self.argv),
            "face": self.face,
            "interleaved": self.interleaved,
            "share": self.share,
            "tags": list(self.tags),
            "note": self.note,
            "resumed": self.resumed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        body = dict(data)
        body["database"] = Path(body["database"])
        body["cells"] = tuple(
            PlannedCell(**{**cell, "spec": RunSpec.from_json(cell["spec"])}) for cell in body["cells"]
        )
        body["order"] = tuple(PlannedRun(**run) for run in body["order"])
        body["argv"] = tuple(body["argv"])
        body["tags"] = tuple(body["tags"])
        return cls(**body)


def make_plan(
    specs: Sequence[RunSpec],
    *,
    command: Command,
    database: Path,
    share_keys: Sequence[str | None] | None = None,
    interleave: bool = False,
    order_seed: int | None = None,
    argv: Sequence[str] = (),
    face: Face = "none",
    share: bool = False,
    tags: Sequence[str] = (),
    note: str | None = None,
) -> Plan:
    """A new plan. Interleaved, each round runs repeat k of every cell once, in an order drawn anew per round.

    UsageError where the cells differ in `jobs`, which is the whole experiment's, or were to be compared in turns.
    """
    jobs = sorted({spec.settings.jobs for spec in specs})
    if len(jobs) > 1:
        raise UsageError(f"jobs holds for the whole experiment, and its cells have {jobs[0]} and {jobs[-1]}")
    if jobs[-1] > 1 and command in ("ab", "calibrate"):
        raise UsageError(
            f"jobs = {jobs[-1]}: bench {command} runs one after the other, since it compares times",
            hint="leave jobs at 1; bench run or sweep with --jobs, then bench compare, compares what is exact",
        )
    keys = share_keys or [None] * len(specs)
    cells = tuple(
        PlannedCell(id=new_id(), index=index, spec=spec, share_key=key)
        for index, (spec, key) in enumerate(zip(specs, keys, strict=True))
    )
    chooser = random.Random(order_seed)
    order: list[PlannedRun] = []
    if interleave:
        for repeat in range(max(cell.spec.settings.repeats for cell in cells)):
            around = [cell for cell in cells if repeat < cell.spec.settings.repeats]
            chooser.shuffle(around)
            order += [PlannedRun(id=new_id(), cell_id=cell.id, repeat=repeat) for cell in around]
    else:
        order = [
            PlannedRun(id=new_id(), cell_id=cell.id, repeat=repeat)
            for cell in cells
            for repeat in range(cell.spec.settings.repeats)
        ]
    return Plan(
        experiment_id=new_id(),
        command=command,
        database=database.resolve(),
        cells=cells,
        order=tuple(order),
        argv=tuple(argv),
        face=face,
        interleaved=interleave,
        share=share,
        tags=tuple(tags),
        note=note,
    )


def share_keys(description: Description, specs: Sequence[RunSpec]) -> list[str | None]:
    """Which cells may share a worker: those of a `pass` mode that set up the same thing on the same device."""
    if description.setup_key is None:
        return [None] * len(specs)
    keys = [description.setup_key(config_of(description, spec)) for spec in specs]
    return [
        f"{key} on {spec.device}" if key is not None and spec.mode_kind == "pass" else None
        for key, spec in zip(keys, specs, strict=True)
    ]


def resume_plan(plan: Plan, finished: Sequence[tuple[str, int]], checkpoints: Mapping[tuple[str, int], str]) -> Plan:
    """The runs of `plan` that are still missing, under new run ids, in the old order.

    `finished` lists (cell id, repeat) that ended `ok`; `checkpoints` the newest checkpoint of those that did not.
    """
    done = set(finished)
    missing = tuple(
        replace(run, id=new_id(), resumes=checkpoints.get((run.cell_id, run.repeat)))
        for run in plan.order
        if (run.cell_id, run.repeat) not in done
    )
    return replace(plan, order=missing, resumed=True)
