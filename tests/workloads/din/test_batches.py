"""Every sample once an epoch with its own past, in either layout, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.common.epochs import Epoch
from workloads.din import batches as module
from workloads.din.batches import NOTHING, Batches, order_of_epoch, pool_batches
from workloads.din.samples import Samples, Sequences


def _samples(count, seed=0):
    generator = np.random.default_rng(seed)
    items = generator.integers(1, 100, 60).astype(np.int32)
    starts = generator.integers(0, 50, count)
    number = np.arange(count, dtype=np.int32)
    return Samples(
        sequences=Sequences(items, items + np.int32(1000)),
        users=number,
        items=number + 100,
        categories=number + 200,
        starts=starts.astype(np.int64),
        lengths=generator.integers(0, 10, count).astype(np.int32),
        labels=(number % 3 == 0).astype(np.int8),
        groups=number,
    )


def _past(samples, row):
    first = int(samples.starts[row])
    return samples.sequences.items[first : first + samples.lengths[row]].tolist()


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), batch=st.integers(1, 20), shuffled=st.booleans(), at_once=st.sampled_from([1, 7, 999]))
def test_flat_batches_hold_every_sample_once_with_its_past(count, batch, shuffled, at_once):
    samples = _samples(count)
    made = Batches(samples, batch, longest=None, padding=0, fill=False)
    order = order_of_epoch(1, 2, count) if shuffled else None
    before, module._GATHERED_AT_ONCE = module._GATHERED_AT_ONCE, at_once
    try:
        host = list(made.make(0, len(made), order))
    finally:
        module._GATHERED_AT_ONCE = before
    seen = []
    for index, each in enumerate(host):
        assert each.rows == made.size(index) == len(each.labels)
        users, items, categories = each.ids
        assert torch.equal(items, users + 100) and torch.equal(categories, users + 200)
        for place, row in enumerate(users.tolist()):
            low, high = each.offsets[place], each.offsets[place + 1]
            assert each.flat[0][low:high].tolist() == _past(samples, row)
            assert torch.equal(each.flat[1][low:high], each.flat[0][low:high] + 1000)
            assert int(each.inputs[0][place]) == samples.lengths[row]
            assert float(each.labels[place]) == samples.labels[row]
            seen.append(row)
    assert seen == (list(range(count)) if order is None else order.tolist())


@pytest.mark.parametrize("padding", [NOTHING, 0])
@pytest.mark.parametrize("fill", [True, False])
def test_padded_batches_hold_the_same_and_one_shape(padding, fill):
    samples = _samples(23)
    made = Batches(samples, 8, longest=9, padding=padding, fill=fill)
    host = list(made.make(0, len(made), None))
    assert [each.rows for each in host] == [8, 8, 7]
    for index, each in enumerate(host):
        size = 8 if fill else each.rows
        assert [len(tensor) for tensor in (*each.inputs, *each.ids, each.labels)] == [size] * 7
        items, categories = each.ids[3:]
        for place in range(size):
            length = int(each.inputs[0][place])
            past = _past(samples, 8 * index + place) if place < each.rows else []
            assert items[place].tolist() == past + [padding] * (9 - length)
            assert categories[place, :length].tolist() == [item + 1000 for item in past]


def test_the_last_of_a_long_past_are_kept():
    samples = _samples(30).cut(4)
    assert samples.lengths.max() == 4
    for row in range(30):
        assert _past(samples, row) == _past(_samples(30), row)[-4:]


def test_an_order_depends_on_seed_and_epoch():
    first, again, other, later = (order_of_epoch(*each, 50) for each in ((1, 0), (1, 0), (2, 0), (1, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other) and not torch.equal(first, later)
    assert sorted(first.tolist()) == list(range(50))


def test_a_pool_is_as_large_as_fits_and_goes_on_anywhere():
    made = Batches(_samples(40), 4, longest=None, padding=0, fill=False)
    assert pool_batches(made, 0) == 1
    assert pool_batches(made, 1 << 30) == 10
    epoch = Epoch(made, lambda batch: batch, None, 3, position=8)
    seen = []
    while not epoch.over:
        if epoch.empty:
            epoch.fill()
        seen += epoch.take().ids[0].tolist()
    assert seen == list(range(32, 40))
