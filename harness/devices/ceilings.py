"""The machine's measured limits: what the best of several ways of doing one thing reaches, here and now.

Each limit is the best of repeated trials, since anything else that runs can only slow a trial down. A limit that could
not be measured is None. Together they take about four seconds. `harness.analysis.roofline` says how they are used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from itertools import cycle
from pathlib import Path

import torch
from torch import Tensor

from harness.api import Device

ROW_BYTES = 64  # one cache line; a DLRM row of 16 float32
_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# (m, k, n): a layer of DLRM's MLPs at its usual batch, then shapes at which a machine shows its best.
_SHAPES = {
    "cpu": ((512, 512, 512), (2048, 512, 256), (2048, 1024, 1024), (2048, 2048, 2048)),
    "cuda": ((2048, 512, 256), (4096, 4096, 4096), (8192, 8192, 8192)),
}
_TRIAL_S = 0.001  # long beside a launch and the clock, short beside the stalls that a busy neighbour causes
_MIB = 1 << 20


def measure(device: Device, place: str, *, precisions: Iterable[str], budget_s: float = 4.0) -> dict[str, float | None]:
    """Every limit of `place` (`cpu`, `cuda:0`) by name, at the thread count that is set."""
    kind = torch.device(place).type
    wanted = tuple(precisions)
    matrix_s = 0.45 * budget_s / max(1, len(wanted))
    found: dict[str, float | None] = {}
    with torch.no_grad():
        for precision in wanted:
            found[f"matrix_flops{{precision={precision}}}"] = _matrix_flops(device, place, precision, matrix_s)
        buffer_bytes = _buffer_bytes(kind)
        found["stream_bytes_per_s"] = _stream(device, place, buffer_bytes, 0.15 * budget_s)
        table, ids = _table_and_ids(place, 2 * buffer_bytes)
        found["gather_rows_per_s"] = _gather(device, table, ids, 0.15 * budget_s)
        found["update_rows_per_s"] = _update(device, table, ids, 0.15 * budget_s)
        del table, ids
        found["host_to_device_bytes_per_s"] = None if kind == "cpu" else _host_to_device(device, place, 0.1 * budget_s)
    found["disk_bytes_per_s"] = None
    return found


def best_rate(device: Device, amount: float, ways: Iterable[Callable[[], object]], budget_s: float) -> float | None:
    """Most `amount` per second over trials of each way, each trial synchronised and long enough to time.

    Every way runs at least once; the time is shared between them. None where there is no way.
    """
    choices = tuple(ways)
    best = 0.0
    for way in choices:
        end = time.perf_counter() + budget_s / len(choices)
        way()  # allocates, picks a kernel
        repeats = 1
        while True:
            device.synchronize()
            start = time.perf_counter()
            for _ in range(repeats):
                way()
            device.synchronize()
            seconds = time.perf_counter() - start
            best = max(best, amount * repeats / seconds)
            if time.perf_counter() + seconds > end:
                break
            if seconds < _TRIAL_S:
                repeats = max(repeats + 1, min(10 * repeats, round(repeats * _TRIAL_S / seconds)))
    return best or None


def _matrix_flops(device: Device, place: str, precision: str, budget_s: float) -> float | None:
    """A multiply-add counts two. Small shapes first: where a precision is emulated, the large ones are left out."""
    shapes = _SHAPES["cpu" if place == "cpu" else "cuda"]
    before = torch.get_float32_matmul_precision()
    if place != "cpu":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    best: float | None = None
    end = time.perf_counter() + budget_s
    try:
        for index, (m, k, n) in enumerate(shapes):
            left = end - time.perf_counter()
            flops = 2.0 * m * k * n
            if best is not None and flops / best > left:
                break
            left_m = torch.randn(m, k, device=place).to(_DTYPES[precision])
            right = torch.randn(k, n, device=place).to(_DTYPES[precision])
            out = torch.empty(m, n, device=place, dtype=_DTYPES[precision])
            rate = best_rate(device, flops, [_multiplier(left_m, right, out)], left / (len(shapes) - index))
            best = max(rate or 0.0, best or 0.0) or None
    except RuntimeError:
        return best  # this build has no kernel for the precision, or not the memory
    finally:
        if place != "cpu":
            torch.set_float32_matmul_precision(before)
    return best


def _multiplier(left: Tensor, right: Tensor, out: Tensor) -> Callable[[], object]:
    return lambda: torch.mm(left, right, out=out)


def _stream(device: Device, place: str, buffer_bytes: int, budget_s: float) -> float | None:
    """STREAM's copy and triad (McCalpin), bytes counted as its rules say: no write-allocate."""
    words = buffer_bytes // 4
    first = torch.ones(words, device=place)
    second = torch.ones(words, device=place)
    third = torch.ones(words, device=place)
    copy = best_rate(device, 8.0 * words, [lambda: second.copy_(first)], budget_s / 2)
    triad = best_rate(device, 12.0 * words, [lambda: torch.add(first, second, alpha=3.0, out=third)], budget_s / 2)
    return max(copy or 0.0, triad or 0.0) or None


def _table_and_ids(place: str, table_bytes: int) -> tuple[Tensor, list[Tensor]]:
    """A table, and ids in windows of one call each; all windows together touch more rows than a cache can keep."""
    rows = table_bytes // ROW_BYTES
    table = torch.zeros(rows, ROW_BYTES // 4, device=place)
    table += 1.0  # pages exist only once they are written
    generator = torch.Generator(device=place).manual_seed(0)
    window = (1 << 15) if place == "cpu" else (1 << 20)
    ids = torch.randint(rows, (max(window, rows // 2 // window * window),), device=place, generator=generator)
    return table, list(torch.split(ids, window))


def _gather(device: Device, table: Tensor, windows: list[Tensor], budget_s: float) -> float | None:
    count = len(windows[0])
    out = torch.empty(count, table.shape[1], device=table.device)
    offsets = torch.arange(count, device=table.device)
    ids = cycle(windows)
    bag = torch.nn.functional.embedding_bag
    ways: list[Callable[[], object]] = [
        lambda: torch.index_select(table, 0, next(ids), out=out),
        lambda: bag(next(ids), table, offsets, mode="sum"),
    ]
    return best_rate(device, float(count), ways, budget_s)


def _update(device: Device, table: Tensor, windows: list[Tensor], budget_s: float) -> float | None:
    rows = torch.ones(len(windows[0]), table.shape[1], device=table.device)
    ids = cycle(windows)
    ways: list[Callable[[], object]] = [
        lambda: table.index_add_(0, next(ids), rows, alpha=1e-6),
        lambda: table.index_copy_(0, next(ids), rows),
    ]
    return best_rate(device, float(len(windows[0])), ways, budget_s)


def _host_to_device(device: Device, place: str, budget_s: float) -> float | None:
    host = torch.ones(64 * _MIB // 4).pin_memory()
    there = torch.empty_like(host, device=place)
    return best_rate(device, float(64 * _MIB), [lambda: there.copy_(host, non_blocking=True)], budget_s)


def _buffer_bytes(kind: str) -> int:
    """At least four times the last cache, where the kernel tells its size: 128 MiB to 512 MiB on a CPU."""
    if kind != "cpu":
        return 512 * _MIB
    return min(512 * _MIB, max(128 * _MIB, 4 * last_cache_bytes()))


def last_cache_bytes(cpu: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """The largest cache of the first core; 0 where the kernel does not tell."""
    sizes = [0]
    for file in cpu.glob("index*/size"):
        found = re.fullmatch(r"(\d+)([KMG]?)", file.read_text().strip())
        if found:
            sizes.append(int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]])
    return max(sizes)
