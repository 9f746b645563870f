"""Ends what a killed orchestrator's workers left behind: processes that a library had started below a worker.

A worker dies with its parent, but its own children may not hear of it. Every process below a worker carries the
experiment's id in its environment, so that they are found without trusting process numbers, which are given anew.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from harness import paths
from harness.execution.locks import is_held
from harness.ids import short_id

MARK = "RECBENCH_EXPERIMENT"
_MODULE = b"harness.execution.orchestrator"
_PROC = Path("/proc")


def end_orphans() -> list[str]:
    """Kills the processes of experiments that are over or dead; what was done, one sentence an experiment."""
    ended: Counter[str] = Counter()
    alive: dict[str, bool] = {}
    for pid, experiment_id in _marked():
        if experiment_id not in alive:
            alive[experiment_id] = is_alive(experiment_id)
        if not alive[experiment_id]:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            ended[experiment_id] += 1
    return [
        f"experiment {short_id(experiment_id)} had left {count} process{'' if count == 1 else 'es'} behind: killed"
        for experiment_id, count in ended.items()
    ]


def is_alive(experiment_id: str) -> bool:
    """Whether its orchestrator runs on this machine, perhaps with another runtime folder or as another user.

    Its lock tells; where there is none, the processes do.
    """
    held = is_held(paths.runtime_dir() / f"{experiment_id}.lock")
    if held is not None:
        return held
    if not (_PROC / "self" / "cmdline").exists():
        return True
    return any(
        _MODULE in words and experiment_id.encode() in words
        for process in _PROC.iterdir()
        if process.name.isdigit() and (words := _read(process / "cmdline"))
    )


def _marked() -> list[tuple[int, str]]:
    """(process, experiment id) of each process below a worker that this user may look into."""
    found = []
    for process in _PROC.iterdir() if _PROC.is_dir() else ():
        if process.name.isdigit() and int(process.name) != os.getpid():
            for entry in _read(process / "environ").split(b"\0"):
                name, _, value = entry.partition(b"=")
                if name == MARK.encode():
                    found.append((int(process.name), value.decode("ascii", "replace")))
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
