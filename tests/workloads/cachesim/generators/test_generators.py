from __future__ import annotations

import hashlib

import numpy as np
import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.support import bags, check_numbering, refused, shared
from workloads.cachesim.generators import spec as spec_module
from workloads.cachesim.generators import stack
from workloads.cachesim.generators.correlated import CorrelatedSpec
from workloads.cachesim.generators.registry import GENERATORS, generate, generate_from, make_spec
from workloads.cachesim.generators.reuse import HISTOGRAMS, row_counts
from workloads.cachesim.generators.spec import describe, identity
from workloads.cachesim.generators.stack import PROFILES, StackProfile, StackSpec, generate_stack, profile_of
from workloads.cachesim.generators.zipf import REFERENCE_SHA256, reference_zipf, reference_zipf_ids
from workloads.cachesim.inspect import inspect_trace
from workloads.cachesim.traces.formats import read_trace

# The bytes that each generator draws; whoever changes them raises GENERATOR_VERSION.
GOLDEN = {
    "zipf": "4f78b6215a119451",
    "reuse": "e2e342a553300f97",
    "stack": "4d6ca28298b89238",
    "correlated": "7de00ad4e7939183",
    "drift": "caa0b9c0f27d8b22",
}


def digest(trace):
    return hashlib.sha256(trace.source_ids().astype("<i8").tobytes()).hexdigest()


def test_the_reference_trace_is_reproduced_bit_for_bit():
    ids = reference_zipf_ids()
    assert ids[:8].tolist() == [877555, 123537, 497316, 44104, 590618, 498572, 730427, 184995]
    assert hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest() == REFERENCE_SHA256
    assert np.count_nonzero(np.bincount(ids)) == 762_664


def test_a_short_reference_trace_is_a_trace():
    trace = reference_zipf(1000)
    assert trace.source_ids().tolist() == reference_zipf_ids(1000).tolist()
    check_numbering(trace)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_the_bytes_of_each_generator_are_pinned(name):
    assert digest(generate(name)).startswith(GOLDEN[name])


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_pieces_do_not_show_and_seeds_do(name, monkeypatch):
    settings = {"requests": 20_000} | ({"rows": 1000} if name in ("zipf", "correlated", "drift") else {})
    whole = digest(generate(name, **settings))
    assert digest(generate(name, seed=1, **settings)) != whole
    for module in (spec_module, stack):
        monkeypatch.setattr(module, "PIECE_REQUESTS", 700)
    assert digest(generate(name, **settings)) == whole


@pytest.mark.parametrize("name", ["zipf", "correlated", "drift"])
def test_tables_and_bags_are_as_asked_for(name):
    trace = generate(name, requests=1_003, tables=3, pooling=4, batch_size=10, rows=100)
    assert (trace.requests, trace.samples, trace.tables, trace.batches) == (996, 83, 3, 9)
    assert all(len(bag) == 4 for sample in bags(trace) for bag in sample)
    assert trace.keys.integers.min() >= 0
    check_numbering(trace)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5])
def test_zipf_has_the_exponent_asked_for(exponent):
    """Rows looked up 200 times in the mean; equal ones are ranked by chance, which looks like a little skew."""
    skew = inspect_trace(generate("zipf", requests=400_000, rows=2_000, exponent=exponent)).skew
    assert skew.zipf_exponent is not None and abs(skew.zipf_exponent - exponent) < (0.04 if exponent else 0.07)


@pytest.mark.parametrize("name", sorted(HISTOGRAMS))
def test_reuse_fits_the_published_shares_of_rows_and_requests(name):
    published = HISTOGRAMS[name]
    counts = row_counts(published, 20_000_000)
    assert counts.sum() == 20_000_000
    bins = np.array([int(count - 1).bit_length() for count in counts.tolist()]).clip(0, 16)
    requests = np.bincount(bins, weights=counts, minlength=17) / counts.sum()
    rows = np.bincount(bins, minlength=17) / counts.size
    assert np.abs(requests - published.request_shares).max() < 0.005
    assert np.abs(rows - published.row_shares).max() < 0.006
    assert counts.sum() / counts.size == pytest.approx(published.requests / published.unique, rel=0.03)


def test_a_reuse_trace_looks_up_each_row_as_often_as_planned():
    trace = generate("reuse", requests=50_000)
    planned = np.sort(row_counts(HISTOGRAMS["meta-2021"], 50_000))
    assert np.array_equal(np.sort(trace.row_counts()), planned)


def slow_stack(depths):
    rows: list[int] = []
    known = 0
    for depth in depths:
        if depth == 0 or depth > known:
            row, known = known, known + 1
        else:
            row = rows.pop(depth - 1)
        rows.insert(0, row)
        yield row


@pytest.mark.parametrize("new", [0.02, 0.5])
def test_drawn_rows_are_those_of_a_plain_list(new, monkeypatch):
    monkeypatch.setattr(stack, "BLOCK_SLOTS", 1 << 18)
    random = np.random.Generator(np.random.PCG64(7))
    depths = np.where(random.random(3000) < new, 0, random.integers(1, 400, 3000))
    drawn = stack._Stack()
    found = np.concatenate([drawn.draw(part) for part in np.split(depths, [1, 500, 501])])
    assert found.tolist() == list(slow_stack(depths.tolist()))


def test_stacks_go_on_when_their_slots_run_out():
    depths = np.concatenate((np.zeros(200_000, np.int64), np.tile([200_000, 3, 1], 200_000)))
    drawn = stack._Stack().draw(depths)
    assert drawn[:200_000].tolist() == list(range(200_000))
    assert drawn[200_000] == 0 and drawn[200_001] == 199_998 and drawn[200_002] == 199_998
    assert drawn.max() == 199_999


def test_a_stack_trace_has_the_profile_it_was_drawn_from():
    profile = StackProfile(1000, (500, 300, 0, 4000, 0, 9000), "a test")
    trace = generate_stack(StackSpec(requests=300_000, profile=profile))
    found = profile_of(trace)
    shares = np.array(profile.by_distance) / sum(profile.by_distance)
    assert np.abs(np.array(found.by_distance) / sum(found.by_distance) - shares).max() < 0.005
    assert found.first / 300_000 == pytest.approx(1000 / 14_800, rel=0.05)


@pytest.mark.parametrize(
    ("name", "file"),
    [("dlrm", "traces/dlrm_reuse_medium_500K.txt"), ("recommendations", "traces/scarab-recs.trace.xz")],
)
def test_the_shipped_profiles_are_those_of_the_real_traces(name, file):
    found = profile_of(read_trace([shared(file)]))
    assert (found.first, found.by_distance) == (PROFILES[name].first, PROFILES[name].by_distance)


@pytest.mark.parametrize(("predictability", "tables", "pooling"), [(0.1, 1, 10), (0.3, 3, 5), (0.5, 1, 20)])
def test_correlated_bags_are_as_predictable_as_asked_for(predictability, tables, pooling):
    trace = generate(
        "correlated", requests=400_000, rows=5_000, predictability=predictability, tables=tables, pooling=pooling
    )
    found = inspect_trace(trace).successors.next
    assert found is not None and abs(found - predictability) < 0.03


def test_bags_of_a_cluster_stay_in_it():
    trace = generate("correlated", requests=20_000, rows=1_000, clusters=10, predictability=0.5)
    groups: dict[int | str, set[int]] = {}
    samples = [sample[0] for sample in bags(trace)]
    for number, keys in enumerate(samples):
        for key in keys:
            groups.setdefault(key, set()).add(number)
    members = set(samples[0])
    reached = {key for number in set().union(*(groups[key] for key in members)) for key in samples[number]}
    for _ in range(5):
        reached = {key for number in set().union(*(groups[key] for key in reached)) for key in samples[number]}
    assert len(reached) <= 100


def test_drift_replaces_the_rows_of_a_window_by_new_ones():
    steady = generate("drift", requests=200_000, rows=500, window=20_000, turnover=0.0)
    moving = generate("drift", requests=200_000, rows=500, window=20_000, turnover=0.2)
    assert steady.unique == 500
    assert 500 + 9 * 100 * 0.8 < moving.unique <= 500 + 9 * 100 * 1.2
    windows = moving.source_ids().reshape(10, 20_000)
    common = [len(set(windows[0].tolist()) & set(window.tolist())) / 500 for window in windows]
    assert 0.7 < common[1] < 0.9 and common[5] < 0.05
    first, last = (np.sort(np.bincount(window - window.min()))[::-1][:50] for window in (windows[0], windows[-1]))
    assert np.abs(first - last).sum() / first.sum() < 0.1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("zip", {}, "unknown generator 'zip'"),
        ("zipf", {"exponents": 1.0}, "the generator zipf has no setting 'exponents'"),
        ("zipf", {"rows": 1.5}, "rows of the generator zipf must be a whole number, not 1.5"),
        ("zipf", {"exponent": "x"}, "exponent of the generator zipf must be a number, not 'x'"),
        ("zipf", {"exponent": 4.5}, "exponent must lie in [0, 4], not 4.5"),
        ("zipf", {"rows": 0}, "a table needs 1 to 2,147,483,647 rows, not 0"),
        ("zipf", {"requests": 5, "tables": 6}, "5 requests do not make one sample of 6 tables with 1 lookups"),
        ("reuse", {"histogram": "meta-2012"}, "unknown reuse histogram 'meta-2012'"),
        ("reuse", {"tables": 2}, "a reuse histogram describes one table; tables must be 1"),
        ("stack", {"profile": "dlmr"}, "unknown stack profile 'dlmr'"),
        ("correlated", {"predictability": 0.6}, "predictability must lie in [0, 0.5], not 0.6"),
        (
            "correlated", {"predictability": 0.5, "pooling": 2},
            "bags of 2 lookups allow a predictability of at most 0.25, not 0.5",
        ),
        ("correlated", {"clusters": 9, "rows": 5}, "clusters must lie in [1, 5] for 5 rows, not 9"),
        ("drift", {"turnover": 1.5}, "turnover must lie in [0, 1], not 1.5"),
        ("drift", {"window": 0}, "window must be at least 1, not 0"),
        ("drift", {"batch_size": 0}, "batch_size must be at least 1, not 0"),
    ],
)  # fmt: skip
def test_wrong_settings_are_told_in_a_sentence(name, settings, message):
    with pytest.raises(UsageError) as error:
        generate(name, **settings)
    assert refused(error) == message


def test_the_identity_of_a_trace_names_generator_and_settings():
    spec = make_spec("correlated", requests=2000, rows=100, clusters=4)
    assert isinstance(spec, CorrelatedSpec)
    trace = generate_from(spec)
    known = identity(spec, trace.requests)
    assert known.kind == "generated" and known.rows == 2000
    assert known.fingerprint != identity(make_spec("correlated", requests=2000, rows=100, clusters=5), 2000).fingerprint
    assert trace.source == describe(spec) and "clusters=4" in trace.source
