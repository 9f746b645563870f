"""--record-lookups: what a run looked up, in its order, as a trace; and cache simulation over that trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import UnavailableError, UsageError
from workloads.cachesim.traces.formats import read_trace
from workloads.common.criteo import CATEGORY_NAMES
from workloads.dlrm.batches import order_of_epoch
from workloads.dlrm.recording import require_memory, require_recorder
from workloads.dlrm.workload import DLRMWorkload

from .support import TINY, RecordingContext

TOP = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _run(tmp_path, steps, **values):
    """A run of so many steps over epochs, closed as the harness does; what it looked up by its own rows and orders."""
    context = RecordingContext(tmp_path, record_lookups=tmp_path / "lookups.npz", **values)
    workload = DLRMWorkload()
    workload.setup(context)
    rows = workload._rows
    epoch, left, looked_up, batches = 0, steps, [], []
    while left:
        workload.begin_epoch(epoch)
        shuffled = context.mode == "train" and context.config.shuffle
        order = order_of_epoch(context.seed, epoch, len(rows)).numpy() if shuffled else np.arange(len(rows))
        place, over = 0, False
        while left and not over:
            step = workload.step()
            looked_up.append(rows.ids[order[place : place + step.samples]])
            batches.append(step.samples)
            place, left, over = place + step.samples, left - 1, step.epoch_end or step.done
        epoch += 1
    workload.close()
    return context, np.concatenate(looked_up), batches


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        (30, {}),  # an epoch of 1,400 samples is 22 batches, the last one smaller
        (5, {"shuffle": False, "timing_scope": "end_to_end"}),
        (7, {"mode": "eval", "allow_random_weights": True}),
    ],
)
def test_the_trace_holds_exactly_what_was_looked_up(tmp_path, steps, values) -> None:
    context, expected, batches = _run(tmp_path, steps, **values)
    trace = read_trace([tmp_path / "lookups.npz"])
    assert trace.schema.names == CATEGORY_NAMES
    assert {(table.dim, table.dtype) for table in trace.schema.tables} == {(4, "fp32")}
    assert [table.rows for table in trace.schema.tables] == [40 if rows > 40 else rows for rows in
                                                             context.config.cardinalities]  # fmt: skip
    assert np.array_equal(trace.source_ids().reshape(-1, 26), expected)
    assert trace.samples == len(expected)
    assert trace.batch_starts is not None and trace.sample_starts is not None
    assert np.diff(trace.batch_starts).tolist() == [26 * batch for batch in batches]
    assert context.facts["recording_lookups"].endswith("lookups.npz")
    assert any("behind the clock" in line for line in context.logs)
    assert any(f"{trace.requests:,} lookups were recorded" in line for line in context.logs)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_only_the_first_repeat_records_and_a_run_without_steps_writes_nothing(tmp_path) -> None:
    context = RecordingContext(tmp_path, record_lookups=tmp_path / "lookups.npz")
    context.repeat = 1
    second = DLRMWorkload()
    second.setup(context)
    second.begin_epoch(0)
    second.step()
    second.close()
    assert "recording_lookups" not in context.facts
    idle = DLRMWorkload()
    idle.setup(RecordingContext(tmp_path, record_lookups=tmp_path / "lookups.npz"))
    idle.close()
    assert not (tmp_path / "lookups.npz").exists()


def test_a_recorded_trace_is_replaced_and_no_other_file(tmp_path) -> None:
    _run(tmp_path, 2)
    _, expected, _ = _run(tmp_path, 3)
    assert read_trace([tmp_path / "lookups.npz"]).samples == len(expected)
    (tmp_path / "mine.npz").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"mine\.npz is there already, and is no recorded trace"):
        require_recorder(tmp_path / "mine.npz")
    with pytest.raises(UsageError, match=r"expected \.npz or \.oracleGeneral"):
        require_recorder(tmp_path / "lookups.txt")
    with pytest.raises(UsageError, match="there is no folder"):
        require_recorder(tmp_path / "no" / "lookups.npz")


def test_rows_that_would_not_fit_are_refused_before_the_run() -> None:
    require_memory([10**9, 5], 1000, 10**6)
    with pytest.raises(UsageError, match=r"may meet 1,005 distinct rows, which need 0\.0 GB"):
        require_memory([10**9, 5], 1000, 10**4)


def test_without_numba_it_says_how_to_get_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("workloads.cachesim")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("workloads.cachesim.recorder", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(UnavailableError, match="needs the package numba") as error:
        require_recorder(tmp_path / "lookups.npz")
    assert "recbench[cache]" in (error.value.hint or "")


def _bench(folder: Path, *arguments: str) -> dict:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    environment["PYTHONPATH"] = str(TOP)
    environment |= {"RECBENCH_CACHE": str(folder / "cache"), "RECBENCH_RUNTIME": str(folder / "runtime")}
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments, "--ui", "none", "--json"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict = json.loads(done.stdout)
    return found


def _lru_hits(ids: np.ndarray, capacity: int) -> int:
    """Counted anew: one cache for all tables, a row named by its table and number."""
    cache: OrderedDict[tuple[int, int], None] = OrderedDict()
    hits = 0
    for sample in ids.tolist():
        for key in enumerate(sample):
            if key in cache:
                hits += 1
                cache.move_to_end(key)
            else:
                cache[key] = None
                if len(cache) > capacity:
                    cache.popitem(last=False)
    return hits


def test_a_recorded_run_is_replayed_by_cache_simulation(tmp_path) -> None:
    flags = [word for key, value in TINY.items() for word in (f"--{key.replace('_', '-')}",
             ",".join(map(str, value)) if isinstance(value, tuple) else str(value))]  # fmt: skip
    _bench(tmp_path, "run", "dlrm", *flags, "--repeats", "1", "--warmup", "none", "--epochs", "1.5",
           "--record-lookups", "lookups.npz")  # fmt: skip
    found = _bench(tmp_path, "run", "cachesim", "--trace", "lookups.npz", "--policy", "lru", "--size", "100")
    ids = read_trace([tmp_path / "lookups.npz"]).source_ids().reshape(-1, 26)
    (cell,) = found["cells"]
    assert cell["metrics"]["hit_ratio"]["median"] == pytest.approx(_lru_hits(ids, 100) / ids.size, abs=0)
    assert len(ids) >= 1400 * 1.5
    workload = DLRMWorkload()
    context = RecordingContext(tmp_path)
    workload.setup(context)
    order = order_of_epoch(0, 0, 1400).numpy()
    assert np.array_equal(ids[:1400], workload._rows.ids[order])
    workload.close()
