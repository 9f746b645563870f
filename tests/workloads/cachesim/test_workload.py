"""Whole simulations under the real measurement loop."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import RunFailed, UsageError
from tests.fakes.measure import Bench
from tests.workloads.cachesim.engine import oracles
from tests.workloads.cachesim.engine.traces import make_trace
from tests.workloads.cachesim.support import DATA, shared
from workloads.cachesim.generators.registry import generate
from workloads.cachesim.policies.simulate import simulate
from workloads.cachesim.traces.writers import write_npz


def bench(folder: Path, **values) -> Bench:
    return Bench(folder, "cachesim", plugins=(), **values)


def run(folder: Path, **values):
    """Metrics by name and labels, and all events."""
    events = bench(folder, **values).run()
    found = {}
    for event in events:
        if event.type == "metric":
            label = "".join(f"{{{key}={value}}}" for key, value in event["labels"].items())
            found[event["name"] + label] = event["value"]
    return found, events


def logs(events):
    return [(event["level"], event["text"]) for event in events if event.type == "log"]


def told(events, name):
    """The last value of an engine fact."""
    return [event["values"][name] for event in events if event.type == "engine" and name in event["values"]][-1]


def stored(folder: Path, trace) -> Path:
    path = folder / "trace.npz"
    write_npz(trace, path)
    return path


@pytest.mark.parametrize("policy", ["lru", "sieve", "belady"])
def test_hits_of_a_real_trace_are_the_published_ones(tmp_path: Path, policy: str):
    golden = {"lru": 605722, "sieve": 641385, "belady": 828888}[policy]
    found, _ = run(tmp_path, data=shared("traces/scarab-recs.trace.xz"), policy=policy, capacity="10000")
    assert found["hit_ratio"] == golden / 1_245_184
    assert found["misses"] == 1_245_184 - golden
    assert found["requests_counted"] == 1_245_184
    if policy != "belady":
        assert found["evictions"] == found["misses"] - 10_000
    assert "unique_hit_ratio" not in found


def test_the_shared_data_has_all_golden_counts():
    assert json.loads(shared("traces/golden_hits.json").read_text())
    assert DATA.exists()


def test_a_warm_up_is_simulated_and_not_counted(tmp_path: Path):
    trace = generate("zipf", requests=5_000, rows=500)
    mask = np.zeros(trace.requests, np.uint8)
    simulate("lru", trace.ids, trace.unique, 50, mask=mask)
    found, _ = run(tmp_path, data=stored(tmp_path, trace), capacity="50", cache_warmup="20%", windows=4)
    assert found["requests_counted"] == 4_000
    assert found["hit_ratio"] == mask[1000:].mean()
    windows = [float(part.mean()) for part in mask[1000:].reshape(4, -1)]
    assert found["hit_ratio_lowest_window"] == min(windows)
    assert found["hit_ratio_highest_window"] == max(windows)


def test_windows_are_a_series_over_requests(tmp_path: Path):
    _, events = run(tmp_path, requests=1000, generator_settings="rows=50", windows=4, batch_size=10)
    series = {event["name"]: event for event in events if event.type == "series"}
    assert series["hit_ratio"]["x"] == [250.0, 500.0, 750.0, 1000.0]
    assert len(series["unique_hit_ratio"]["y"]) == 4


def test_the_mask_is_kept_on_request(tmp_path: Path):
    trace = generate("zipf", requests=2_000, rows=100)
    _, events = run(tmp_path, data=stored(tmp_path, trace), capacity="10%", save_mask=True, policy="fifo")
    (kept,) = [event for event in events if event.type == "artifact"]
    mask = np.zeros(trace.requests, np.uint8)
    simulate("fifo", trace.ids, trace.unique, 10, mask=mask)
    assert np.load(kept["path"]).tolist() == mask.tolist()


SAMPLES = [[[1, 2], [7]], [[2], []], [[3, 4], [8, 7]], [[1], [9]], [[2, 2], [7]], [[5, 1], [8]]]


def two_tables():
    return make_trace(None, tables=2, samples=SAMPLES, row_bytes=[8, 24], rows=[100, 50]).in_batches_of(2)


def test_the_six_counters_are_those_of_the_oracle(tmp_path: Path):
    trace = two_tables()
    batches = [trace.ids[start:stop].tolist() for start, stop in itertools.pairwise(trace.batch_starts.tolist())]
    expected = oracles.simulate(batches, lambda row: 0, [4], "lru", training=True)
    found, _ = run(
        tmp_path, data=stored(tmp_path, trace), granularity="batch", capacity="96B", training=True,
        fast_bandwidth=1000.0, slow_bandwidth=10.0,
    )  # fmt: skip
    assert found["capacity_rows"] == 4  # 96 bytes of rows as wide as the widest, 24 bytes
    assert found["capacity_bytes"] == 96
    names = ["cache_calls", "requested_indices", "unique_indices", "unique_misses", "conflict_unique_misses"]
    assert [found[name] for name in [*names, "conflict_misses"]] == [
        expected.calls, expected.requested, expected.unique, expected.unique_misses, expected.conflict_unique,
        expected.conflicts,
    ]  # fmt: skip
    assert found["hit_ratio"] == sum(expected.mask) / len(expected.mask)
    assert found["unique_hit_ratio"] == 1 - expected.unique_misses / expected.unique
    assert found["evictions"] == expected.evictions
    assert found["write_backs"] == expected.write_backs
    missed = [0, 0]
    table = trace.table_of_row().tolist()
    starts = trace.batch_starts.tolist()
    for batch, (start, stop) in zip(batches, itertools.pairwise(starts), strict=True):
        for row in dict.fromkeys(batch):
            at = start + batch.index(row)
            assert at < stop
            missed[table[row]] += not expected.mask[at]
    assert found["bytes_fetched"] == 8 * missed[0] + 24 * missed[1]
    left = sum((8, 24)[table[row]] for row in expected.resident)  # fetched, changed, and still there
    assert found["bytes_written"] == found["bytes_fetched"] - left
    moved = found["bytes_fetched"] + found["bytes_written"]
    assert found["estimated_slow_s"] == pytest.approx(moved / 10.0)
    requests = [sum(table[row] == t for row in trace.ids) for t in range(2)]
    looked_up = 8 * requests[0] + 24 * requests[1]
    assert found["estimated_s"] == pytest.approx(looked_up / 1000.0 + moved / 10.0)
    assert found["estimated_speedup"] == pytest.approx((2 * looked_up / 10.0) / found["estimated_s"])


def test_whole_samples_and_tables_are_told_apart(tmp_path: Path):
    found, _ = run(tmp_path, data=stored(tmp_path, two_tables()), capacity="100")
    flat = [(t, key) for sample in SAMPLES for t, bag in enumerate(sample) for key in bag]
    hits = [lookup in flat[:place] for place, lookup in enumerate(flat)]
    for t in range(2):
        own = [hit for hit, (table, _) in zip(hits, flat, strict=True) if table == t]
        assert found[f"table_hit_ratio{{table=t{t}}}"] == sum(own) / len(own)
    lengths = [sum(map(len, sample)) for sample in SAMPLES]
    ends = list(itertools.accumulate(lengths))
    whole = [all(hits[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
    assert found["group_hit_ratio"] == sum(whole) / len(whole)


def test_a_cache_of_its_own_for_each_table(tmp_path: Path):
    trace = two_tables()
    found, _ = run(tmp_path, data=stored(tmp_path, trace), capacity="tables:4%", caches="per-table", policy="fifo")
    hits = evictions = 0
    for t, capacity in enumerate((4, 2)):
        rows = trace.ids[trace.table_of_row()[trace.ids] == t] - int(trace.row_base[t])
        result = simulate("fifo", rows, int(trace.table_unique()[t]), capacity)
        hits, evictions = hits + result.hits, evictions + (result.evictions or 0)
    assert found["hit_ratio"] == hits / trace.requests
    assert found["evictions"] == evictions
    assert found["capacity_rows"] == 6
    assert found["capacity_bytes"] == 4 * 8 + 2 * 24


def test_bytes_of_evictions_are_missing_where_rows_of_several_widths_share_a_cache(tmp_path: Path):
    data = stored(tmp_path, two_tables())
    found, _ = run(tmp_path / "one", data=data, capacity="2", training=True)
    assert found["write_backs"] == found["evictions"] > 0
    assert found["bytes_written"] is None
    found, _ = run(tmp_path / "other", data=data, capacity="4", training=True, caches="per-table")
    assert found["bytes_written"] is not None


def test_a_policy_of_ones_own(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Never:\n    may_refuse = True\n    def __init__(self, capacity, n_rows): pass\n"
        "    def access(self, row): return False\n"
    )
    found, events = run(tmp_path, requests=500, policy="never", policy_file=path)
    assert found["hit_ratio"] == 0.0
    assert told(events, "policy_file_sha256") == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "evictions" not in found


def test_a_cache_beyond_the_trace_and_a_short_trace_are_said(tmp_path: Path):
    _, events = run(tmp_path / "one", requests=500, capacity="1M")
    assert any(level == "warning" and "lines stay empty" in text for level, text in logs(events))
    _, events = run(tmp_path / "two", requests=500, capacity="90%")
    assert any(level == "warning" and "short for this cache" in text for level, text in logs(events))
    assert "short for this cache" in told(events, "warnings")[0], "it stands in the result"
    _, events = run(tmp_path / "three", requests=5000, capacity="1%", generator_settings="rows=100")
    assert not [text for level, text in logs(events) if level == "warning"]


def test_the_settings_to_paste_are_those_simulated(tmp_path: Path):
    _, events = run(
        tmp_path, data=stored(tmp_path, two_tables()), granularity="batch", ways=2, capacity="tables:4%", in_flight=2
    )
    text = "\n".join(told(events, "settings_to_paste"))
    assert "CacheAlgorithm.LRU, cache_sets=3, prefetch_pipeline=True" in text
    assert "load_factor=0.04" in text


@pytest.mark.parametrize(
    ("values", "error", "sentence"),
    [
        ({"granularity": "batch"}, UsageError, "does not tell batches"),
        ({"capacity": "1GB"}, UsageError, "must be known for this capacity"),
        ({"fast_bandwidth": 1.0, "slow_bandwidth": 1.0}, UsageError, "bytes were asked for"),
        ({"cache_warmup": "500"}, UsageError, "leaves none of the 500 requests"),
        ({"ways": 32, "capacity": "20"}, UsageError, "below one set of 32 ways"),
        ({"steps": 1, "requests": 3 << 20, "generator_settings": "rows=10"}, RunFailed, "the pass ended after"),
    ],
)
def test_what_cannot_be_simulated_is_said(tmp_path: Path, values, error, sentence):
    measured = bench(tmp_path, **{"requests": 500, **values})
    with pytest.raises(error, match=sentence):
        measured.run_and_close()


def test_a_trace_is_the_same_whatever_file_holds_it(tmp_path: Path):
    trace = generate("zipf", requests=300, rows=40)
    text = tmp_path / "ids.txt"
    text.write_text("".join(f"{each}\n" for each in trace.source_ids()))
    prints = []
    for number, data in enumerate((stored(tmp_path, trace), text)):
        _, events = run(tmp_path / str(number), data=data)
        prints.append(next(event["fingerprint"] for event in events if event.type == "data"))
    assert prints[0] == prints[1]


def test_cells_share_the_trace_of_their_worker(tmp_path: Path):
    first, second = bench(tmp_path, requests=400, policy="belady"), bench(tmp_path, requests=400, policy="belady")
    second.context._shared = first.context._shared
    first.run()
    second.run()
    assert second.workload._trace is first.workload._trace
    assert any("next uses" in key for key in first.context._shared)
