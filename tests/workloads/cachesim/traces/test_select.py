from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.support import bags, check_numbering, lookups, refused, same_trace
from tests.workloads.cachesim.traces.test_builder import batches, block
from tests.workloads.cachesim.traces.test_factorize import texts_of
from workloads.cachesim.traces.builder import Column, Requests, Samples, TraceBuilder
from workloads.cachesim.traces.select import (
    concatenate,
    first_requests,
    select_requests,
    select_samples,
    slice_requests,
)


def trace_of(found):
    builder = TraceBuilder()
    for batch in found:
        builder.add(block(batch), "a file")
    return builder.finish("a file")


def textual(words, numbers):
    builder = TraceBuilder()
    builder.add(Samples([Column(texts_of(words)), Column(np.array(numbers, np.int64))], len(words)), "a file")
    return builder.finish("a file")


@given(batches(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_chosen_requests_keep_key_bag_and_batch(found, random):
    trace = trace_of(found)
    keep = np.array([random.random() < 0.5 for _ in range(trace.requests)])
    part = select_requests(trace, keep)
    assert lookups(part) == [each for each, kept in zip(lookups(trace), keep, strict=True) if kept]
    assert part.samples == trace.samples
    check_numbering(part)


@given(batches(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_chosen_samples_come_in_the_order_asked_for(found, random):
    trace = trace_of(found)
    samples = bags(trace)
    chosen = random.sample(range(len(samples)), random.randint(1, len(samples)))
    part = select_samples(trace, np.array(chosen))
    assert bags(part) == [samples[each] for each in chosen]
    check_numbering(part)


@given(batches())
@settings(deadline=None)
def test_pieces_put_together_are_the_whole(found):
    trace = trace_of(found)
    middle = len(bags(trace)) // 2
    starts = trace.sample_starts
    parts = [
        slice_requests(trace, int(starts[low]), int(starts[high]), samples=(low, high))
        for low, high in ((0, middle), (middle, starts.size - 1))
    ]
    whole = concatenate(parts, "together")
    assert lookups(whole) == lookups(trace) and bags(whole) == bags(trace)
    check_numbering(whole)


def test_strings_survive_choosing_and_joining():
    first, second = textual([b"x", b"y", b"x"], [1, 2, 1]), textual([b"z", b"y"], [2, 3])
    whole = concatenate([first, second], "both")
    assert bags(whole) == [[["x"], [1]], [["y"], [2]], [["x"], [1]], [["z"], [2]], [["y"], [3]]]
    assert whole.table_unique().tolist() == [3, 3]
    part = select_requests(whole, np.array([key != "x" for _, key in lookups(whole)]))
    assert lookups(part) == [each for each in lookups(whole) if each[1] != "x"]
    check_numbering(part)


def test_the_first_requests_are_whole_samples():
    trace = textual([b"x", b"y", b"x"], [1, 2, 1])
    assert bags(first_requests(trace, 5)) == [[["x"], [1]], [["y"], [2]]]
    assert bags(first_requests(trace, 1)) == [[["x"], [1]]]
    same_trace(first_requests(trace, 99), trace)


def test_traces_that_do_not_fit_are_refused():
    builder = TraceBuilder()
    builder.add(Requests(np.array([1, 2])), "a.txt")
    plain = builder.finish("a.txt")
    with pytest.raises(UsageError) as error:
        select_samples(plain, np.array([0]))
    assert refused(error) == "a.txt does not tell samples, so none can be chosen"
    with pytest.raises(DataError) as error:
        concatenate([plain, textual([b"x"], [1])], "both")
    assert refused(error) == "a file has other tables than a.txt: t0, t1 and t0"
