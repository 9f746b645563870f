"""What every executor must keep. Subclass it and give `make_device`: see tests/devices/test_host_executor.py.

The oracle is a plain loop over one autograd graph with every weight a parameter, tables included; it knows neither
micro-batches nor leaves. Batches always have the full size of a call, so that devices with static shapes fit too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import torch

from harness.api import Device, Executor, Geometry, HostBatch, OptimizerSpec, Schedule, UsageError
from tests.contract.models import (
    DENSE,
    ROWS,
    TABLES,
    SmallModel,
    assert_same,
    differing,
    make_batch,
    through_a_file,
    trained,
    weights_of,
)

GEOMETRY = Geometry(micro_batch=4, replicas=2, gradient_accumulation=2, device_iterations=3)
RATE = Schedule(learning_rate=0.5, warmup_updates=4, decay_start=6, decay_updates=8)
SGD = OptimizerSpec(name="sgd", learning_rate=0.5)


class ExecutorContract:
    """The rules. `exact` executors repeat themselves bit for bit."""

    exact: bool = True

    def make_device(self) -> Device:
        raise NotImplementedError

    def make(
        self,
        model: SmallModel,
        geometry: Geometry = GEOMETRY,
        *,
        optimizer: OptimizerSpec = SGD,
        schedule: Schedule = RATE,
        precision: str = "fp32",
    ) -> Executor:
        """An executor that is prepared for full batches of training and of twice a micro-batch of evaluation."""
        device = self.make_device()
        device.open(threads=1, seed=0)
        executor = device.executor(model, geometry, precision=precision, compile="off", optimizer=optimizer)
        executor.prepare(make_batch(geometry.call_samples), make_batch(2 * geometry.micro_batch), schedule)
        return executor

    def test_training_equals_a_plain_loop_over_global_batches(self):
        model, oracle = SmallModel(), SmallModel()
        executor = self.make(model)
        losses = []
        for call in range(3):
            batch = make_batch(GEOMETRY.call_samples, seed=call)
            executor.train_call(executor.stage(batch))
            losses += plain_updates(oracle, batch, RATE, first_update=3 * call)
        stats = executor.drain()
        assert (stats.samples, stats.updates) == (3 * GEOMETRY.call_samples, 9)
        assert stats.loss_mean == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        ours, expected = trained(executor, model), weights_of(oracle)
        for name, weight in expected.items():
            torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=1e-5)

    def test_the_geometry_of_an_update_does_not_change_what_is_learned(self):
        results = []
        for micro, replicas, accumulation in ((16, 1, 1), (8, 2, 1), (4, 2, 2), (2, 1, 8)):
            model = SmallModel()
            geometry = Geometry(
                micro_batch=micro, replicas=replicas, gradient_accumulation=accumulation, device_iterations=3
            )
            executor = self.make(model, geometry)
            executor.train_call(executor.stage(make_batch(48)))
            assert executor.drain().updates == 3
            results.append(trained(executor, model))
            executor.close()
        for other in results[1:]:
            for name, weight in results[0].items():
                torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("rows", [1, 4, 5, 15, 16, 17, 33, 47])
    def test_padding_counts_nowhere(self, rows: int):
        model, oracle = SmallModel(), SmallModel()
        executor = self.make(model)
        batch = make_batch(GEOMETRY.call_samples, rows)
        poisoned = poison(batch)
        executor.train_call(executor.stage(poisoned))
        losses = plain_updates(oracle, batch, RATE)
        counts = [min(16, rows - first) for first in range(0, rows, 16)]
        stats = executor.drain()
        assert (stats.samples, stats.updates) == (rows, len(counts))
        expected = sum(loss * count for loss, count in zip(losses, counts, strict=True)) / rows
        assert stats.loss_mean == pytest.approx(expected, rel=1e-5)
        ours = trained(executor, model)
        for name, weight in weights_of(oracle).items():
            torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=1e-5)

    def test_a_call_without_a_valid_row_trains_nothing(self):
        model = SmallModel()
        executor = self.make(model)
        before = weights_of(model)
        executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples, 0)))
        stats = executor.drain()
        assert (stats.samples, stats.updates, stats.loss_mean) == (0, 0, None)
        assert differing(before, trained(executor, model)) == []

    def test_preparing_changes_no_weight_no_buffer_and_not_the_random_state(self):
        model = SmallModel(dropout=0.5, normalise=True)
        before = weights_of(model)
        device = self.make_device()
        device.open(threads=1, seed=0)
        executor = device.executor(model, GEOMETRY, precision="fp32", compile="off", optimizer=SGD)
        random_state = torch.get_rng_state()
        executor.prepare(make_batch(GEOMETRY.call_samples), make_batch(8), RATE)
        assert differing(before, trained(executor, model)) == []
        assert torch.equal(random_state, torch.get_rng_state())
        assert executor.drain().samples == 0

    def test_a_drain_forgets_what_it_told(self):
        executor = self.make(SmallModel())
        executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples)))
        assert executor.drain().samples == GEOMETRY.call_samples
        stats = executor.drain()
        assert (stats.samples, stats.updates, stats.loss_mean) == (0, 0, None)

    def test_staged_batches_stay_valid_while_others_are_used(self):
        batches = [make_batch(GEOMETRY.call_samples, seed=number) for number in range(4)]
        early, late = SmallModel(), SmallModel()
        executor = self.make(early)
        staged = [executor.stage(batch) for batch in batches]
        for one in staged:
            executor.train_call(one)
        executor.drain()
        executor.state_dict()
        executor.close()
        executor = self.make(late)
        for batch in batches:
            executor.train_call(executor.stage(batch))
            executor.drain()
        assert_same(weights_of(early), trained(executor, late), self.exact)

    def test_saved_and_loaded_it_goes_on_as_if_never_stopped(self):
        through = SmallModel(dropout=0.3, normalise=True)
        executor = self.make(through)
        for call in range(2):
            executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples, seed=call)))
        executor.drain()
        saved = through_a_file(executor.state_dict())
        executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples, seed=2)))
        expected = executor.drain()
        weights = trained(executor, through)
        executor.close()

        resumed = SmallModel(seed=99, dropout=0.3, normalise=True)
        again = self.make(resumed)
        again.train_call(again.stage(make_batch(GEOMETRY.call_samples, seed=7)))
        again.load_state_dict(saved)
        again.train_call(again.stage(make_batch(GEOMETRY.call_samples, seed=2)))
        stats = again.drain()
        assert (stats.samples, stats.updates) == (expected.samples, expected.updates)
        assert stats.loss_mean == (expected.loss_mean if self.exact else pytest.approx(expected.loss_mean, rel=1e-5))
        assert_same(weights, trained(again, resumed), self.exact)

    def test_tables_are_saved_under_canonical_names_in_float32(self):
        executor = self.make(SmallModel())
        tables: Mapping[str, torch.Tensor] = executor.state_dict()["tables"]
        assert {name: tuple(table.shape) for name, table in tables.items()} == {"table_0": (11, 4), "table_1": (11, 4)}
        assert {table.dtype for table in tables.values()} == {torch.float32}

    def test_a_state_that_lacks_a_part_is_refused(self):
        executor = self.make(SmallModel())
        state = dict(executor.state_dict())
        del state["tables"]
        with pytest.raises(UsageError, match="tables"):
            executor.load_state_dict(state)

    @pytest.mark.parametrize("valid", [0, 1, 5, 8])
    def test_inference_gives_logits_of_the_valid_rows_in_host_memory(self, valid: int):
        executor = self.make(SmallModel(dropout=0.5, normalise=True))
        oracle = SmallModel(dropout=0.5, normalise=True)
        batch = make_batch(8, valid, seed=3)
        with torch.no_grad():
            logits = oracle.dense.eval()(*batch.inputs, oracle.tables.lookup(batch.ids))
        answer = executor.infer_call(executor.stage(batch), valid)
        assert answer.dtype == torch.float32
        assert answer.device.type == "cpu"
        assert answer.shape == (valid,)
        torch.testing.assert_close(answer, logits[:valid], rtol=1e-5, atol=1e-6)

    def test_inference_tells_apart_what_a_float32_sigmoid_ties(self):
        model, oracle = SmallModel(), SmallModel()
        batch = make_batch(8, seed=3)
        with torch.no_grad():
            for each in (model, oracle):
                each.dense.last.bias.add_(50.0)
            logits = oracle.dense.eval()(*batch.inputs, oracle.tables.lookup(batch.ids))
        executor = self.make(model)
        answer = executor.infer_call(executor.stage(batch), 8)
        assert len(torch.sigmoid(answer).unique()) == 1
        assert len(answer.unique()) == 8
        torch.testing.assert_close(answer, logits, rtol=1e-5, atol=1e-6)

    def test_inference_leaves_training_as_it_was(self):
        plain, asked = SmallModel(dropout=0.3, normalise=True), SmallModel(dropout=0.3, normalise=True)
        for model, asks in ((plain, False), (asked, True)):
            executor = self.make(model)
            for call in range(2):
                executor.train_call(executor.stage(make_batch(GEOMETRY.call_samples, seed=call)))
                if asks:
                    executor.infer_call(executor.stage(make_batch(8, seed=5)), 8)
            executor.drain()
            executor.state_dict()
            executor.close()
        assert_same(weights_of(plain), weights_of(asked), self.exact)

    def test_batches_that_do_not_fit_are_refused(self):
        executor = self.make(SmallModel())
        with pytest.raises(UsageError, match="64"):
            executor.train_call(executor.stage(make_batch(64)))
        unlabelled = HostBatch(
            inputs=(torch.zeros(48, DENSE),), ids=(torch.zeros(48, TABLES).long(),), labels=None, rows=1
        )
        with pytest.raises(UsageError, match="labels"):
            executor.train_call(executor.stage(unlabelled))
        with pytest.raises(UsageError, match="49"):
            executor.stage(make_batch(48, 49))

    def test_it_says_what_it_really_uses(self):
        facts = dict(self.make(SmallModel()).resolved())
        json.dumps(facts)
        assert {"engine_resolved", "compile", "precision"} <= facts.keys()

    def test_closing_twice_is_closing(self):
        executor = self.make(SmallModel())
        executor.close()
        executor.close()


def plain_updates(model: SmallModel, batch: HostBatch, schedule: Schedule, first_update: int = 0) -> list[float]:
    """SGD on whole global batches of the valid rows, one graph, tables as ordinary parameters. Returns the losses."""
    parameters = [*model.dense.parameters(), model.tables.weight.requires_grad_()]
    losses = []
    step = GEOMETRY.global_batch
    model.dense.train()
    for number, first in enumerate(range(0, batch.rows, step)):
        rows = slice(first, min(first + step, batch.rows))
        ids = batch.ids[0][rows] + torch.arange(TABLES) * ROWS
        logits = model.dense(batch.inputs[0][rows], model.tables.weight[ids])
        loss = model.loss(logits, batch.labels[rows])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= schedule.at(first_update + number) * gradient
        losses.append(float(loss.detach()))
    model.tables.weight.requires_grad_(False)
    return losses


def poison(batch: HostBatch) -> HostBatch:
    """The batch with padding that would be seen at once if it counted."""
    inputs = batch.inputs[0].clone()
    labels = batch.labels.clone()
    inputs[batch.rows :] = 1e6
    labels[batch.rows :] = 1e6
    return HostBatch(inputs=(inputs,), ids=batch.ids, labels=labels, rows=batch.rows)
