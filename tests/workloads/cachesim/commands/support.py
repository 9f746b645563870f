"""What tests of commands share: carrying one out without the process around it, and a small trace of three tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from harness.registry import load
from harness.settings import build
from workloads.cachesim.commands.description import GROUP
from workloads.cachesim.generators.registry import generate
from workloads.cachesim.traces.writers import write_npz

COMMANDS = {command.name: command for command in GROUP.commands}


class Job:
    width = 80

    def __init__(self, folder: Path) -> None:
        self.cache_dir = folder / "cache"
        self.said: list[tuple[str, str]] = []
        self.progressed: list[tuple[float, float | None, str]] = []

    def progress(self, done, total, unit):
        assert done >= 0
        self.progressed.append((done, total, unit))

    def log(self, text, level="info"):
        self.said.append((level, text))

    def warnings(self):
        return [text for level, text in self.said if level == "warning"]


def carry_out(folder: Path, name: str, **values):
    job = Job(folder)
    command = COMMANDS[name]
    answer = load(command.work, name)(build(command.config, "", values), job)
    json.dumps([answer.value, [dataclasses.asdict(figure) for figure in answer.figures]])  # as it travels to the parent
    assert command.draws == bool(answer.figures)
    return answer, job


def write_bags(folder: Path):
    """Three tables of 100 rows, 200 samples in 10 batches, as bags.npz."""
    trace = generate("zipf", requests=1200, rows=100, tables=3, pooling=2, batch_size=20)
    write_npz(trace, folder / "bags.npz")
    return trace


def write_schema(folder: Path, dims=(4, 8, 16), rows=100) -> Path:
    path = folder / "schema.csv"
    lines = [f"t{number},{rows},{dim},fp32\n" for number, dim in enumerate(dims)]
    path.write_text("name,rows,dim,dtype\n" + "".join(lines))
    return path
