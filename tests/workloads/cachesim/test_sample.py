from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.support import bags, check_numbering, lookups, refused, shared
from workloads.cachesim.generators.registry import generate
from workloads.cachesim.locality import distance_counts
from workloads.cachesim.sample import STRETCH_WARNING, sample_batches, sample_rows, shard_bounds, write_shards
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions


def bagged(**settings):
    return generate("correlated", requests=6_000, tables=2, pooling=3, rows=500, clusters=5, **settings)


def test_samples_at_a_rate_keep_their_order_or_are_shuffled():
    trace = bagged()
    whole = [str(sample) for sample in bags(trace)]
    part = sample_batches(trace, 0.8, unit="sample")
    kept = [str(sample) for sample in bags(part.trace)]
    assert len(kept) == 800 and part.request_share == pytest.approx(0.8)
    places = iter(whole)
    assert all(sample in places for sample in kept)  # a subsequence
    check_numbering(part.trace)
    shuffled = sample_batches(trace, 0.8, unit="sample", shuffle=True)
    again = [str(sample) for sample in bags(shuffled.trace)]
    assert sorted(again) == sorted(kept) and again != kept
    other = sample_batches(trace, 0.8, unit="sample", seed=1)
    assert [str(sample) for sample in bags(other.trace)] != kept
    assert part.warning == STRETCH_WARNING and part.capacity(100) == 100
    assert sample_batches(trace, 1.0).warning is None


def test_batches_at_a_rate_stay_whole():
    trace = bagged(batch_size=100)
    part = sample_batches(trace, 0.3)
    assert part.by == "batch" and part.trace.batches == 3
    whole, kept = bags(trace), bags(part.trace)
    groups = [whole[start : start + 100] for start in range(0, 1000, 100)]
    assert [groups.index(kept[start : start + 100]) for start in (0, 100, 200)] == sorted(
        groups.index(kept[start : start + 100]) for start in (0, 100, 200)
    )
    assert part.trace.batch_starts is not None and np.diff(part.trace.batch_starts).tolist() == [600] * 3
    shuffled = sample_batches(trace, 1.0, shuffle=True)
    assert sorted(map(str, bags(shuffled.trace))) == sorted(map(str, whole)) and bags(shuffled.trace) != whole


def test_samples_of_batches_fill_the_batches_that_are_left():
    trace = bagged(batch_size=100)
    part = sample_batches(trace, 0.5, unit="sample")
    assert part.trace.batches == 10 and part.trace.samples == 500
    shuffled = sample_batches(trace, 0.5, unit="sample", shuffle=True)
    assert shuffled.trace.batches == 5


def test_batches_of_plain_requests_can_be_dropped():
    trace = generate("zipf", requests=1000, rows=50, batch_size=100)
    part = sample_batches(trace, 0.4)
    assert part.trace.requests == 400 and part.trace.batches == 4 and part.trace.samples is None
    ids = trace.source_ids().reshape(10, 100).tolist()
    kept = part.trace.source_ids().reshape(4, 100).tolist()
    assert [ids.index(each) for each in kept] == sorted(ids.index(each) for each in kept)


def test_what_cannot_be_sampled_is_refused():
    plain = generate("zipf", requests=100, rows=50)
    with pytest.raises(UsageError, match="tells neither samples nor more than one batch"):
        sample_batches(plain, 0.5)
    for rate in (0.0, 1.1, -1.0):
        with pytest.raises(UsageError) as error:
            sample_rows(plain, rate)
        assert refused(error) == f"a sampling rate must lie in (0, 1], not {rate}"
    with pytest.raises(UsageError) as error:
        sample_batches(bagged(), 1e-9)
    assert refused(error) == "a rate of 1e-09 leaves none of the 1,000 samples"
    with pytest.raises(UsageError, match=r"a rate of 1e-09 leaves none of the [\d,]+ rows"):
        sample_rows(plain, 1e-9)


def test_all_requests_of_chosen_rows_are_kept_and_the_choice_is_the_same_in_every_trace():
    trace = bagged()
    part = sample_rows(trace, 0.3)
    kept = set(lookups(part.trace))
    assert lookups(part.trace) == [each for each in lookups(trace) if each in kept]
    assert part.trace.samples == trace.samples and part.warning is None
    later = bagged(seed=9)
    chosen = set(lookups(sample_rows(later, 0.3).trace))
    common = set(lookups(trace)) & set(lookups(later))
    assert kept & common == chosen & common
    assert set(lookups(sample_rows(trace, 0.3, seed=1).trace)) != kept


def test_strings_are_chosen_by_their_bytes(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"row{number}\n" for number in range(2000)))
    (tmp_path / "b.txt").write_text("".join(f"row{number}\n" for number in reversed(range(2000))))
    first = sample_rows(read_trace([tmp_path / "a.txt"]), 0.25)
    second = sample_rows(read_trace([tmp_path / "b.txt"]), 0.25)
    assert set(lookups(first.trace)) == set(lookups(second.trace))
    assert 400 < first.trace.unique < 600


def test_spatial_sampling_estimates_the_lru_curve_at_scaled_sizes():
    """Unbiased: the mean over seeds comes close to the whole trace's hit ratio."""
    trace = read_trace([shared("traces/dlrm_reuse_medium_500K.txt")])
    hits = np.cumsum(distance_counts(trace.ids, trace.unique)[1:])
    for size in (1000, 10_000):
        estimates = []
        for seed in range(4):
            part = sample_rows(trace, 0.1, seed=seed)
            own = np.cumsum(distance_counts(part.trace.ids, part.trace.unique)[1:])
            estimates.append(own[part.capacity(size) - 1] / part.trace.requests)
        assert abs(float(np.mean(estimates)) - hits[size - 1] / trace.requests) < 0.02


def test_shards_hold_the_trace_in_order(tmp_path):
    trace = bagged()
    bounds = shard_bounds(trace, 1000)
    assert bounds[0] == (0, 996) and bounds[-1][1] == trace.requests
    assert all(start == stop for (_, start), (stop, _) in itertools.pairwise(bounds))
    assert shard_bounds(trace, 1) == [(start, start + 6) for start in range(0, 6000, 6)]
    paths = write_shards(trace, tmp_path, "dataset_0_sampled_80", size=1000)
    assert [path.name for path in paths] == [f"dataset_0_sampled_80_{number}.npz" for number in range(7)]
    assert bags(read_trace(paths)) == bags(trace)
    texts = write_shards(trace, tmp_path, "dataset_0_sampled_80", size=1000, form="text")
    assert [len(path.read_text().splitlines()) for path in texts] == [1000] * 6
    assert lookups(read_trace(texts, ReadOptions(format="recmg"))) == lookups(trace)
    for name in ("dataset_0_sampled_80_x.npz", "dataset_0_sampled_8_1.npz", "other_1.npz"):
        (tmp_path / name).write_bytes(b"mine")
    fewer = write_shards(trace, tmp_path, "dataset_0_sampled_80", size=4000, replace_all=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {path.name for path in fewer} | {"dataset_0_sampled_80_x.npz", "dataset_0_sampled_8_1.npz",
                                                    "other_1.npz"}  # fmt: skip
    with pytest.raises(UsageError, match="a shard needs at least 1 request, not 0"):
        shard_bounds(trace, 0)
