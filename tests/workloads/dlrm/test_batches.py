"""Every row once an epoch, whatever the batch, the pool and the place it starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.common.clicks import MISSING
from workloads.common.criteo_data import dense_features
from workloads.common.epochs import Epoch
from workloads.dlrm.batches import Batches, order_of_epoch, pool_batches
from workloads.dlrm.data import Rows, transform_dense
from workloads.dlrm.sizes import SAMPLE_BYTES


def _rows(count: int) -> Rows:
    number = np.arange(count, dtype=np.int32)
    return Rows(
        dense=np.repeat(number[:, None], 13, 1),
        ids=np.repeat(number[:, None], 26, 1) + np.arange(26, dtype=np.int32),
        labels=(number % 3 == 0).astype(np.int8),
    )


def _numbers(batch) -> list[int]:
    """Row numbers of a batch, after checking that its parts belong together."""
    numbers = batch.ids[0][: batch.rows, 0]
    assert torch.equal(batch.ids[0][: batch.rows, 25], numbers + 25)
    assert torch.equal(batch.inputs[0][: batch.rows, 5], numbers.float().log1p())
    assert torch.equal(batch.labels[: batch.rows], (numbers % 3 == 0).float())
    return numbers.tolist()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 60),
    batch=st.integers(1, 20),
    pool=st.integers(1, 70),
    shuffled=st.booleans(),
    pad=st.booleans(),
    start=st.integers(0, 3),
)
def test_an_epoch_holds_every_row_once_in_its_order(rows, batch, pool, shuffled, pad, start):
    batches = Batches(_rows(rows), batch, "log1p", pad=pad)
    order = order_of_epoch(1, 2, rows) if shuffled else None
    position = min(start, len(batches))
    epoch = Epoch(batches, lambda made: made, order, pool, position=position)
    seen: list[int] = []
    while not epoch.over:
        if epoch.empty:
            epoch.fill()
        size = batches.size(epoch.position)
        taken = epoch.take()
        assert taken.rows == size
        assert len(taken.ids[0]) == (batch if pad else size)
        seen += _numbers(taken)
    expected = order.tolist() if order is not None else list(range(rows))
    assert seen == expected[position * batch :]


def test_padding_is_zero_and_not_counted():
    batches = Batches(_rows(5), 4, "log1p", pad=True)
    last = list(batches.make(0, 2, None))[1]
    assert (last.rows, batches.size(1), len(last.labels)) == (1, 1, 4)
    assert not last.ids[0][1:].any() and not last.inputs[0][1:].any() and not last.labels[1:].any()


def test_an_order_follows_seed_and_epoch_alone():
    first = order_of_epoch(3, 1, 100)
    assert torch.equal(first, order_of_epoch(3, 1, 100))
    assert sorted(first.tolist()) == list(range(100))
    for seed, epoch in ((3, 2), (4, 1), (1, 3)):
        assert not torch.equal(first, order_of_epoch(seed, epoch, 100))


def test_gathering_in_pieces_changes_nothing(monkeypatch):
    batches = Batches(_rows(50), 4, "log1p", pad=False)
    whole = [batch.inputs[0] for batch in batches.make(0, len(batches), None)]
    monkeypatch.setattr("workloads.dlrm.batches._GATHERED_AT_ONCE", 9)
    pieces = [batch.inputs[0] for batch in batches.make(0, len(batches), None)]
    assert all(torch.equal(one, other) for one, other in zip(whole, pieces, strict=True))


def test_a_pool_is_as_large_as_fits_and_never_empty():
    batches = Batches(_rows(50), 4, "log1p", pad=False)
    assert pool_batches(batches, 10**9) == len(batches) == 13
    assert pool_batches(batches, 3 * 4 * SAMPLE_BYTES) == 3
    assert pool_batches(batches, 0) == 1


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("log1p", [0.0, 0.0, 0.0, 0.0, np.log(2), np.log(1e6 + 1)]),
        ("log3", [0.0, 0.0, np.log(2), np.log(3), np.log(4), np.log(1e6 + 3)]),
    ],
)
def test_transforms_of_missing_negative_and_large_values(transform, expected):
    raw = torch.tensor([MISSING, -2, -1, 0, 1, 10**6], dtype=torch.int32)
    got = transform_dense(raw, transform)
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), np.array(expected, np.float32), rtol=1e-6)
    np.testing.assert_allclose(got.numpy(), dense_features(raw.numpy(), transform), rtol=1e-6)


def test_log3_treats_values_below_its_range_as_missing():
    assert transform_dense(torch.tensor([-3, -100], dtype=torch.int32), "log3").tolist() == [0.0, 0.0]
