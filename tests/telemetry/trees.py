"""Made-up /proc and /sys trees, in the formats of proc(5) and the kernel's documentation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def stat(cores: Mapping[int, Mapping[str, float]], *, ctxt: int = 1000) -> str:
    """/proc/stat of the given cores; seconds by name, absent ones 0."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice")
    rows = [[round(core.get(name, 0) * TICKS) for name in names] for core in cores.values()]
    lines = ["cpu  " + " ".join(str(sum(column)) for column in zip(*rows, strict=True))]
    lines += [f"cpu{n} " + " ".join(map(str, row)) for n, row in zip(cores, rows, strict=True)]
    return "\n".join([*lines, "intr 5 1 2 3", f"ctxt {ctxt}", "btime 1", "procs_running 1"]) + "\n"


def process(
    root: Path,
    pid: int,
    *,
    parent: int = 1,
    cpu_s: float = 0.0,
    reaped_s: float = 0.0,
    started: int = 100,
    rss_pages: int = 10,
    command: str = "python3",
    cpus: str = "0-1",
    children: Sequence[int] | None = None,
    io: tuple[int, int] | None = None,
) -> None:
    """One process with one thread. `children=None` leaves out the list, as kernels without CONFIG_PROC_CHILDREN do."""
    own, reaped = round(cpu_s * TICKS), round(reaped_s * TICKS)
    fields = ["S", parent, pid, pid, 0, -1, 0, 0, 0, 0, 0, own, 0, reaped, 0, 20, 0, 1, 0, started, 4096, rss_pages]
    files = {
        f"proc/{pid}/stat": f"{pid} ({command}) " + " ".join(map(str, [*fields, *[0] * 28])) + "\n",
        f"proc/{pid}/task/{pid}/status": f"Name:\t{command}\nCpus_allowed:\tff\nCpus_allowed_list:\t{cpus}\n",
    }
    if children is not None:
        files[f"proc/{pid}/task/{pid}/children"] = " ".join(map(str, children)) + " "
    if io is not None:
        files[f"proc/{pid}/io"] = f"rchar: 9\nwchar: 9\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\n"
    write(root, files)


def remove(root: Path, pid: int) -> None:
    folder = root / "proc" / str(pid)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


class Clock:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s
