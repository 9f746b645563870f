from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from harness.errors import RunFailed, UsageError
from tests.workloads.cachesim.support import bags, lookups, refused, same_trace
from workloads.cachesim.recorder import LookupRecorder
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.schema import Schema, Table


class TwoTables(nn.Module):
    def __init__(self):
        super().__init__()
        self.users = nn.EmbeddingBag(50, 4, mode="sum", include_last_offset=True)
        self.items = nn.EmbeddingBag(90, 8, mode="sum", padding_idx=0)
        self.words = nn.Embedding(30, 2).half()

    def forward(self, users, offsets, items, words):
        return self.users(users, offsets).sum() + self.items(input=items).sum() + self.words(words).sum()


def call(model, shift=0):
    model(
        torch.tensor([1, 2, 3 + shift]),
        torch.tensor([0, 2, 3]),
        torch.tensor([[5, 0], [6, 6]], dtype=torch.int32),
        torch.tensor([[1, 1, 2], [3, 4, 5]]),
    )


def test_every_lookup_of_a_model_is_captured_with_its_tables_and_batches(tmp_path):
    model = TwoTables()
    with LookupRecorder(model) as recorder:
        call(model)
        call(model, shift=1)
    call(model)
    trace = recorder.trace()
    first = [[[1, 2], [5], [1, 1, 2]], [[3], [6, 6], [3, 4, 5]]]
    second = [[[1, 2], [5], [1, 1, 2]], [[4], [6, 6], [3, 4, 5]]]
    assert bags(trace) == first + second
    assert trace.batches == 2
    assert trace.schema.tables == (
        Table("users", 50, 4, "fp32"), Table("items", 90, 8, "fp32"), Table("words", 30, 2, "fp16"),
    )  # fmt: skip
    recorder.save(tmp_path / "lookups.npz")
    same_trace(read_trace([tmp_path / "lookups.npz"]), trace)
    assert not model._forward_pre_hooks and not model.users._forward_pre_hooks


def test_recording_changes_no_output():
    torch.manual_seed(0)
    bag = nn.EmbeddingBag(10, 3)
    ids = torch.tensor([[1, 2], [3, 4]])
    before = bag(ids)
    with LookupRecorder(bag):
        assert torch.equal(bag(ids), before)


def test_a_table_that_two_features_share_gets_longer_bags():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.EmbeddingBag(50, 4)

        def forward(self, one, two):
            return self.table(one) + self.table(two)

    model = Shared()
    with LookupRecorder(model) as recorder:
        model(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[5], [6]]))
    assert bags(recorder.trace()) == [[[1, 2, 5]], [[3, 4, 6]]]


def test_tables_called_outside_the_model_begin_a_batch_when_they_repeat():
    model = TwoTables()
    with LookupRecorder(model) as recorder:
        for row in (1, 2):
            model.users(torch.tensor([row]), torch.tensor([0, 1]))
            model.words(torch.tensor([row]))
    assert bags(recorder.trace()) == [[[1], [], [1]], [[2], [], [2]]]
    assert recorder.trace().batches == 2


def test_a_table_batched_module_is_read_by_its_specs():
    class Batched(nn.Module):
        """What FBGEMM's modules offer: specs of rows and width, and which table each feature uses."""

        embedding_specs = ((100, 16, "device", "cpu"), (200, 32, "device", "cpu"))
        feature_table_map = (0, 1, 1)

        def forward(self, indices, offsets):
            return indices

    model = nn.Sequential()
    model.add_module("sparse", Batched())
    recorder = LookupRecorder(model)
    model[0](torch.tensor([1, 2, 3, 4, 5]), offsets=torch.tensor([0, 1, 1, 3, 3, 4, 5]))
    assert bags(recorder.trace()) == [[[1], [2, 3, 4]], [[], [5]]]
    assert recorder.schema.tables == (Table("sparse.0", 100, 16), Table("sparse.1", 200, 32))


def test_a_limit_ends_with_its_batch():
    model = TwoTables()
    recorder = LookupRecorder(model, limit=5)
    for _ in range(4):
        call(model)
    assert recorder.full and recorder.trace().batches == 1


def test_batches_can_be_given_by_hand(tmp_path):
    schema = Schema((Table("user", 10), Table("item", 20)))
    recorder = LookupRecorder(schema=schema, scratch=tmp_path)
    recorder.add_matrix(np.array([[1, 2], [3, 4]], np.int32))
    recorder.add_batch({"item": (np.array([7, 8]), np.array([0, 2]))})
    trace = recorder.trace()
    assert bags(trace) == [[[1], [2]], [[3], [4]], [[], []], [[], [7, 8]]]
    assert isinstance(trace.ids, np.memmap) and trace.batches == 2
    recorder.save(tmp_path / "a.oracleGeneral")
    assert len(lookups(read_trace([tmp_path / "a.oracleGeneral"]))) == 6


def test_wrong_use_is_told_in_a_sentence(tmp_path):
    cases = [
        (lambda: LookupRecorder(), "a recorder needs either a model or the schema of its tables"),
        (
            lambda: LookupRecorder(nn.Linear(2, 2)),
            "Linear holds no nn.EmbeddingBag, nn.Embedding or table-batched FBGEMM module",
        ),
        (lambda: LookupRecorder(nn.Embedding(2, 2), limit=0), "limit must be at least 1, not 0"),
        (
            lambda: LookupRecorder(schema=Schema.unnamed(2)).add_matrix(np.zeros((2, 3), np.int64)),
            "ids of shape [2, 3] do not fit 2 tables",
        ),
        (
            lambda: LookupRecorder(schema=Schema.unnamed(1)).add_batch({"t0": (np.array([1]), np.array([2]))}),
            "table 't0': 1 lookups, but lengths that sum to 2",
        ),
        (
            lambda: LookupRecorder(schema=Schema.unnamed(1)).add_batch({"t0": (np.array([-1]), np.array([1]))}),
            "table 't0': the row number -1 is negative",
        ),
        (
            lambda: LookupRecorder(schema=Schema.unnamed(2)).add_batch(
                {"t0": (np.array([1]), np.array([1])), "t1": (np.array([1]), np.array([1, 0]))}
            ),
            "table 't1' is looked up by 2 samples, table 't0' in the same batch by 1",
        ),
    ]
    for use, message in cases:
        with pytest.raises(UsageError) as error:
            use()
        assert refused(error) == message
    with pytest.raises(RunFailed) as error:
        LookupRecorder(nn.Embedding(2, 2)).trace()
    assert refused(error) == "no lookup was recorded"
    recorder = LookupRecorder(schema=Schema.unnamed(1))
    recorder.add_matrix(np.array([[1]]))
    with pytest.raises(UsageError, match=r"ends in '\.txt', expected \.npz or \.oracleGeneral"):
        recorder.save(tmp_path / "a.txt")


@pytest.mark.parametrize("limit", [None, 1, 7, 12, 100])
def test_several_batches_at_once_are_what_they_are_one_by_one(limit):
    schema = Schema((Table("a", 50), Table("b", 50)))
    ids = np.random.default_rng(3).integers(50, size=(23, 2))
    whole, single = LookupRecorder(schema=schema, limit=limit), LookupRecorder(schema=schema, limit=limit)
    whole.add_matrix(ids, batch=5)
    for start in range(0, 23, 5):
        single.add_matrix(ids[start : start + 5])
    same_trace(whole.trace(), single.trace())
    with pytest.raises(UsageError, match="the row number -1 is negative"):
        LookupRecorder(schema=schema).add_matrix(np.array([[0, -1]]), batch=1)
