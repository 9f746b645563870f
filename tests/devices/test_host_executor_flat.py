"""Flat ids, Adam and micro-batches of engines that keep an order of their own."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.api import Geometry, HostBatch, OptimizerSpec, Schedule, UsageError
from harness.devices.cpu import CpuDevice

WIDTH = 3


class SumDense(nn.Module):
    """Logits of lengths [B] and a flat leaf [N, WIDTH]: a layer on the sum of each sample's rows."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(WIDTH, 1)
        with torch.no_grad():
            self.last.weight.copy_(torch.tensor([[0.5, -0.3, 0.2]]))
            self.last.bias.fill_(0.1)

    def forward(self, lengths, leaf):
        sample = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        return self.last(leaf.new_zeros(len(lengths), WIDTH).index_add(0, sample, leaf)).squeeze(1)


class FlatTables:
    """One table; its leaf has a row for each flat id, whose sample it does not know."""

    leaf_by_sample = False

    def __init__(self) -> None:
        self.weight = torch.arange(30, dtype=torch.float32).view(10, WIDTH) / 30
        self.pending = []

    def lookup(self, ids):
        self.pending.append(ids[-1].long())
        return self.weight[ids[-1].long()].requires_grad_()

    def apply(self, grad, learning_rate):
        self.weight.index_add_(0, torch.cat(self.pending), grad, alpha=-learning_rate)
        self.pending = []

    def forget(self):
        self.pending = []

    def state_dict(self):
        return {"table": self.weight}

    def load_state_dict(self, state):
        self.weight.copy_(state["table"])


def _model(**facts):
    return SimpleNamespace(
        dense=SumDense(),
        tables=FlatTables(),
        loss=lambda logits, labels: F.binary_cross_entropy_with_logits(logits, labels),
        **facts,
    )


def _batch(lengths=(2, 0, 3, 1, 2, 4), rows=None):
    sizes = torch.tensor(lengths)
    offsets = torch.zeros(len(sizes) + 1, dtype=torch.int64)
    offsets[1:] = sizes.cumsum(0)
    ids = (torch.arange(int(offsets[-1])) * 7 % 10).int()
    return HostBatch(
        inputs=(sizes,),
        ids=(sizes.int(),),
        labels=(torch.arange(len(sizes)) % 2).float(),
        rows=len(sizes) if rows is None else rows,
        flat=(ids,),
        offsets=offsets,
    )


def _executor(model, micro, *, optimizer="sgd", accumulation=1, iterations=1):
    device = CpuDevice()
    device.open(threads=1, seed=0)
    geometry = Geometry(micro_batch=micro, gradient_accumulation=accumulation, device_iterations=iterations)
    spec = OptimizerSpec(name=optimizer, learning_rate=0.1, eps=1e-8)
    executor = device.executor(model, geometry, precision="fp32", compile="off", optimizer=spec)
    executor.prepare(_batch(), _batch(), Schedule(learning_rate=0.1))
    return executor


def _weights(model):
    return torch.cat([model.tables.weight.view(-1), *(each.detach().view(-1) for each in model.dense.parameters())])


def test_accumulated_micro_batches_of_flat_ids_equal_one_batch():
    whole, parts = _model(), _model()
    _executor(whole, 6).train_call(_executor(_model(), 6).stage(_batch()))
    executor = _executor(parts, 2, accumulation=3)
    executor.train_call(executor.stage(_batch()))
    torch.testing.assert_close(_weights(parts), _weights(whole), atol=1e-7, rtol=1e-6)
    assert not torch.equal(_weights(parts), _weights(_model()))


def test_iterations_of_a_call_equal_calls_of_their_own():
    together, alone = _model(), _model()
    executor = _executor(together, 2, iterations=3)
    executor.train_call(executor.stage(_batch()))
    executor = _executor(alone, 2)
    for first in (0, 2, 4):
        batch, last = _batch(), first + 2
        low, high = int(batch.offsets[first]), int(batch.offsets[last])
        executor.train_call(
            executor.stage(
                HostBatch(
                    inputs=(batch.inputs[0][first:last],),
                    ids=(batch.ids[0][first:last],),
                    labels=batch.labels[first:last],
                    rows=2,
                    flat=(batch.flat[0][low:high],),
                    offsets=batch.offsets[first : last + 1] - low,
                )
            )
        )
    torch.testing.assert_close(_weights(together), _weights(alone))


def test_preparing_leaves_no_lookup_behind():
    model = _model()
    _executor(model, 6)
    assert model.tables.pending == []


@pytest.mark.parametrize("by_statistics", [False, True])
def test_predictions_of_flat_ids_are_in_order_whatever_the_micro_batch(by_statistics):
    model = _model(batch_statistics=by_statistics)
    seen = []
    executor = _executor(model, 4)
    model.dense.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    found = executor.infer_call(executor.stage(_batch(rows=5)), 5)
    assert seen == ([4, 1] if by_statistics else [5])
    expected = _executor(_model(), 6)
    torch.testing.assert_close(found, expected.infer_call(expected.stage(_batch()), 6)[:5])


@pytest.mark.parametrize("offsets", [None, torch.tensor([0, 2, 2, 5, 6, 8]), torch.tensor([0, 2, 2, 5, 6, 8, 11])])
def test_offsets_that_do_not_fit_are_refused(offsets):
    batch = _batch()
    wrong = HostBatch(inputs=batch.inputs, ids=batch.ids, labels=batch.labels, rows=6, flat=batch.flat, offsets=offsets)
    with pytest.raises(UsageError, match="offsets into flat ids of length"):
        _executor(_model(), 6).stage(wrong)


def test_adam_of_the_dense_part_follows_its_definition():
    model = _model()
    executor = _executor(model, 6, optimizer="adam")
    reference, batch = SumDense(), _batch()
    tables = FlatTables()
    first = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in reference.named_parameters()}
    second = {name: each.clone() for name, each in first.items()}
    for step in range(1, 4):
        executor.train_call(executor.stage(batch))
        leaf = tables.lookup(batch.flat)
        loss = F.binary_cross_entropy_with_logits(reference(batch.inputs[0], leaf), batch.labels)
        named = dict(reference.named_parameters())
        *gradients, of_leaf = torch.autograd.grad(loss, [*named.values(), leaf])
        tables.apply(of_leaf, 0.1)
        with torch.no_grad():
            for (name, weight), gradient in zip(named.items(), gradients, strict=True):
                first[name] = 0.9 * first[name] + 0.1 * gradient
                second[name] = 0.999 * second[name] + 0.001 * gradient.double() ** 2
                root = (second[name] / (1 - 0.999**step)).sqrt() + 1e-8
                weight -= (0.1 * first[name] / (1 - 0.9**step) / root).float()
    for name, weight in reference.named_parameters():
        torch.testing.assert_close(dict(model.dense.named_parameters())[name], weight, atol=1e-5, rtol=1e-4)


def test_adam_goes_on_from_its_moments():
    through, resumed = _model(), _model()
    executor = _executor(through, 6, optimizer="adam")
    executor.train_call(executor.stage(_batch()))
    buffer = io.BytesIO()
    torch.save(dict(executor.state_dict()), buffer)
    buffer.seek(0)
    other = _executor(resumed, 6, optimizer="adam")
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for each in (executor, other):
        each.train_call(each.stage(_batch()))
    assert torch.equal(_weights(through), _weights(resumed))
