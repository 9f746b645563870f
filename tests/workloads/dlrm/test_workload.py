"""A run of DLRM on the real CPU executor: what it learns, counts, records, and how it goes on after a stop."""

from __future__ import annotations

import csv
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

from harness.errors import DataError, RunFailed, UsageError
from workloads.common.metrics import click_quality, expected_auc, roc_auc
from workloads.dlrm.batches import order_of_epoch
from workloads.dlrm.workload import DLRMWorkload

from .support import RecordingContext


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _set_up(tmp_path, **values) -> tuple[DLRMWorkload, RecordingContext]:
    context = RecordingContext(tmp_path, **values)
    workload = DLRMWorkload()
    workload.setup(context)
    return workload, context


def _train(workload: DLRMWorkload, epochs: int = 1, first: int = 0) -> int:
    samples = 0
    for epoch in range(first, epochs):
        workload.begin_epoch(epoch)
        while True:
            step = workload.step()
            samples += step.samples
            if step.epoch_end:
                break
    return samples


def _weights(workload: DLRMWorkload) -> dict[str, torch.Tensor]:
    state = workload.state_dict()["executor"]
    return {key: value.clone() for key, value in (*state["dense"].items(), *state["tables"].items())}


def _save(workload: DLRMWorkload, path) -> Any:
    """As the harness does."""
    torch.save({"workload": dict(workload.state_dict()), "harness": {"step": 0, "samples": 0, "epochs": 0}}, path)
    return path


def _plain_program(workload: DLRMWorkload, context: RecordingContext, start: dict[str, torch.Tensor]):
    """One epoch as facebookresearch/dlrm has it: modules of torch, BCELoss on a sigmoid, sparse SGD."""
    config, data = context.config, workload._data
    bags = [
        nn.EmbeddingBag(rows, config.embedding_dim, mode="sum", sparse=True, _weight=start[f"emb_l.{k}.weight"].clone())
        for k, rows in enumerate(data.table_rows)
    ]
    bottom = nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 4), nn.ReLU())
    top = nn.Sequential(nn.Linear(4 + 27 * 26 // 2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    for prefix, module in (("bot_l.", bottom), ("top_l.", top)):
        own = {key.removeprefix(prefix): value for key, value in start.items() if key.startswith(prefix)}
        module.load_state_dict(own)
    parameters = [*bottom.parameters(), *top.parameters(), *(bag.weight for bag in bags)]
    optimizer = torch.optim.SGD(parameters, lr=config.learning_rate)
    rows = data.part("train")
    order = order_of_epoch(context.seed, 0, len(rows))
    lower = [(i, j) for i in range(27) for j in range(i)]
    losses = []
    for begin in range(0, len(rows), config.batch):
        place = order[begin : begin + config.batch].numpy()
        dense = torch.log(torch.from_numpy(np.maximum(rows.dense[place], 0)).float() + 1)
        ids, labels = torch.from_numpy(rows.ids[place]).long(), torch.from_numpy(rows.labels[place]).float()
        offsets = torch.arange(len(place))
        x = bottom(dense)
        together = torch.stack([x, *(bag(ids[:, k], offsets) for k, bag in enumerate(bags))], 1)
        product = torch.bmm(together, together.transpose(1, 2))
        pairs = product[:, [i for i, _ in lower], [j for _, j in lower]]
        loss = nn.BCELoss()(top(torch.cat([x, pairs], 1)).squeeze(1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()) * len(place))
    named = {f"emb_l.{k}.weight": bag.weight for k, bag in enumerate(bags)}
    for prefix, module in (("bot_l.", bottom), ("top_l.", top)):
        named |= {prefix + key: value for key, value in module.state_dict().items()}
    return named, sum(losses) / len(rows)


@pytest.mark.parametrize("tables", ["merged", "bags"])
def test_an_epoch_equals_a_plain_program_of_torch_modules(tmp_path, tables):
    workload, context = _set_up(tmp_path, tables=tables)
    start = _weights(workload)
    assert _train(workload) == 1400
    loss = workload.training_loss()
    expected, expected_loss = _plain_program(workload, context, start)
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    trained = _weights(workload)
    assert set(trained) == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(trained[key], value.detach(), rtol=0, atol=2e-5)
    assert any(not torch.equal(trained[key], start[key]) for key in start)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_engines_learn_the_same(tmp_path, optimizer):
    trained = []
    for tables in ("merged", "bags"):
        workload, _ = _set_up(tmp_path, tables=tables, optimizer=optimizer, learning_rate=0.02)
        _train(workload)
        trained.append(_weights(workload))
    for key, value in trained[0].items():
        torch.testing.assert_close(trained[1][key], value, rtol=1e-3, atol=2e-5)


def test_timing_scopes_train_alike_and_say_where_input_happens(tmp_path):
    trained = []
    for scope, timer in (("compute", "stage"), ("compute+input", "input"), ("end_to_end", "input")):
        workload, context = _set_up(tmp_path, timing_scope=scope)
        _train(workload)
        trained.append(_weights(workload))
        assert set(context.timers) == {"compile", timer}
        assert ("ahead of the clock" in context.facts["staging"]) == (scope == "compute")
    assert all(torch.equal(trained[0][key], other[key]) for other in trained[1:] for key in trained[0])


def test_an_epoch_that_does_not_fit_is_staged_in_pools_and_says_so(tmp_path, monkeypatch):
    whole, _ = _set_up(tmp_path)
    _train(whole)
    workload, context = _set_up(tmp_path)
    monkeypatch.setattr("workloads.dlrm.workload.available_bytes", lambda: 100_000)
    _train(workload)
    assert context.facts["staging"] == "pools of 4 batches, refilled inside the clock"
    assert any("refilled inside the clock" in line for line in context.logs)
    assert all(torch.equal(value, _weights(workload)[key]) for key, value in _weights(whole).items())


def test_every_training_row_is_counted_once_with_a_smaller_last_batch(tmp_path):
    workload, _ = _set_up(tmp_path)
    workload.begin_epoch(0)
    sizes = []
    while True:
        step = workload.step()
        sizes.append(step.samples)
        if step.epoch_end:
            break
    assert sizes == [64] * 21 + [56]
    assert workload.epoch_samples() == sum(sizes) == 1400


@pytest.mark.parametrize(("optimizer", "stop_after"), [("sgd", 5), ("adagrad", 30), ("sgd", 22)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(tmp_path, optimizer, stop_after):
    values = {
        "optimizer": optimizer,
        "learning_rate": 0.05,
        "warmup_updates": 10,
        "decay_start": 20,
        "decay_updates": 40,
    }
    whole, _ = _set_up(tmp_path, **values)
    _train(whole, epochs=2)

    first, _ = _set_up(tmp_path, **values)
    epoch, steps = 0, 0
    first.begin_epoch(0)
    while steps < stop_after:
        steps += 1
        if first.step().epoch_end:
            epoch += 1
            if steps < stop_after:
                first.begin_epoch(epoch)
    saved = torch.load(_save(first, tmp_path / "checkpoint.pt"), weights_only=True)
    first.close()

    second, _ = _set_up(tmp_path, **values)
    second.load_state_dict(saved["workload"])
    while steps < 44:
        if steps % 22 == 0:
            second.begin_epoch(steps // 22)
        second.step()
        steps += 1
    expected, got = _weights(whole), _weights(second)
    assert all(torch.equal(expected[key], got[key]) for key in expected)


def test_same_seed_repeats_bit_by_bit_and_another_seed_does_not(tmp_path):
    trained = []
    for seed in (1, 1, 2):
        workload, _ = _set_up(tmp_path, seed=seed)
        _train(workload)
        trained.append(_weights(workload))
    assert all(torch.equal(trained[0][key], trained[1][key]) for key in trained[0])
    assert not all(torch.equal(trained[0][key], trained[2][key]) for key in trained[0])


def test_a_checkpoint_of_other_rows_is_refused(tmp_path):
    workload, _ = _set_up(tmp_path)
    workload.begin_epoch(0)
    other, _ = _set_up(tmp_path, data_seed=1)
    with pytest.raises(UsageError, match="other rows"):
        other.load_state_dict(workload.state_dict())


def test_quality_is_judged_on_exactly_the_rows_of_the_part(tmp_path):
    workload, _ = _set_up(tmp_path, rows=6000, learning_rate=0.3, evaluation_batch=100)
    _train(workload, epochs=3)
    for part, count in (("validation", 600), ("test", 1200)):
        values = {metric.name: metric.value for metric in workload.evaluate(part)}
        rows = workload._data.part(part)
        assert values["rows_evaluated"] == count == len(rows)
        assert values["auc_bayes"] == expected_auc(rows.probabilities)
        assert values["auc_dense_bayes"] == expected_auc(rows.probabilities, rows.dense_logits)
        assert values["auc"] == roc_auc(rows.labels, workload._predict(rows))
        assert 0.55 < values["auc"] < values["auc_bayes"] + 3 * values["auc_standard_error"]
        assert values["normalized_entropy"] is not None and values["normalized_entropy"] < 1.0


def test_evaluation_does_not_depend_on_its_batch_or_disturb_training(tmp_path):
    predictions, trained = [], []
    for batch, look in ((64, True), (1_000_000, True), (64, False)):
        workload, _ = _set_up(tmp_path, evaluation_batch=batch)
        workload.begin_epoch(0)
        for number in range(22):
            workload.step()
            if look and number == 10:
                workload.evaluate("validation")
        predictions.append(workload._predict(workload._data.part("test")))
        trained.append(_weights(workload))
    np.testing.assert_allclose(predictions[0], predictions[1], rtol=0, atol=1e-6)
    assert all(torch.equal(trained[0][key], trained[2][key]) for key in trained[0])


def test_no_validation_part_gives_no_validation_metrics(tmp_path):
    workload, _ = _set_up(tmp_path, validation_fraction=0.0)
    assert workload.evaluate("validation") == ()


def test_a_diverged_run_fails_in_one_sentence(tmp_path):
    workload, _ = _set_up(tmp_path, learning_rate=1e30)
    _train(workload)
    with pytest.raises(RunFailed, match="the training loss of dlrm became nan in epoch 0"):
        workload.training_loss()


def test_a_model_that_learned_nothing_is_said_to(tmp_path):
    workload, context = _set_up(tmp_path, learning_rate=1e-12, teacher_dense=0.0, teacher_categorical=0.0)
    _train(workload)
    workload.evaluate("test")
    assert any("no better than chance" in line for line in context.logs)


def test_engine_facts_and_identity_are_recorded_in_set_up(tmp_path):
    workload, context = _set_up(tmp_path)
    assert context.identity is not None and context.identity.rows == 2000
    assert context.facts["engine_resolved"] == "eager"
    assert context.facts["tables"] == "merged"
    assert context.facts["parameters"] == sum(value.numel() for value in _weights(workload).values())
    work = workload.work_per_step()
    assert work is not None and work.flops == 64 * (6 * (13 * 16 + 16 * 4 + 355 * 16 + 16 + 351 * 4) - 2 * 13 * 16)


def test_tables_that_do_not_fit_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr("workloads.dlrm.workload.available_bytes", lambda: 300 << 20)
    with pytest.raises(
        UsageError, match=r"the embedding tables need 2\.16 GB \(33,762,577 rows of 16 floats\)"
    ) as refused:
        _set_up(tmp_path, table_rows=None, embedding_dim=16, bottom_mlp=(16,), top_mlp=(1,), rows=100)
    assert "--table-rows" in (refused.value.hint or "")


def test_several_ranks_are_refused(tmp_path):
    context = RecordingContext(tmp_path)
    context.world_size = 2
    with pytest.raises(UsageError, match="one process, not in 2"):
        DLRMWorkload().setup(context)


def test_eval_needs_weights(tmp_path):
    with pytest.raises(UsageError, match="needs --init-from"):
        _set_up(tmp_path, mode="eval")
    workload, _ = _set_up(tmp_path, mode="eval", allow_random_weights=True)
    workload.begin_epoch(0)
    assert workload.step().done is False


@pytest.mark.parametrize("scope", ["compute", "compute+input", "end_to_end"])
def test_eval_judges_the_trained_model_as_training_did(tmp_path, scope):
    trained, _ = _set_up(tmp_path)
    _train(trained)
    expected = {metric.name: metric.value for metric in trained.evaluate("test")}
    path = _save(trained, tmp_path / "checkpoint.pt")
    workload, _ = _set_up(tmp_path, mode="eval", init_from=path, batch=150, timing_scope=scope)
    workload.begin_epoch(0)
    steps = []
    while not steps or not steps[-1].done:
        steps.append(workload.step())
    assert [step.samples for step in steps] == [150, 150, 100]
    assert workload.epoch_samples() == 400
    found = {metric.name: metric.value for metric in workload.evaluate("test")}
    assert found == pytest.approx(expected, abs=1e-6)
    work = workload.work_per_step()
    assert work is not None and work.flops == 150 * 2 * (13 * 16 + 16 * 4 + 355 * 16 + 16 + 351 * 4)


def test_a_saturated_model_is_judged_by_its_logits(tmp_path):
    """A last layer 256 times as large ranks the rows alike, bit by bit, since a power of two rounds nothing."""
    workload, _ = _set_up(tmp_path, rows=6000, learning_rate=0.3)
    _train(workload, epochs=3)
    modest = {metric.name: metric.value for metric in workload.evaluate("test")}
    path = _save(workload, tmp_path / "checkpoint.pt")
    state = torch.load(path, weights_only=True)
    for name in ("top_l.2.weight", "top_l.2.bias"):
        state["workload"]["executor"]["dense"][name] *= 256
    torch.save(state, path)
    workload.load_state_dict(state["workload"])
    rows = workload._data.part("test")
    logits = workload._predict(rows)
    tied = torch.sigmoid(torch.from_numpy(logits)).numpy()
    assert roc_auc(rows.labels, tied) != modest["auc"]
    passed, _ = _set_up(tmp_path, rows=6000, mode="eval", init_from=path)
    passed.begin_epoch(0)
    while not passed.step().done:
        pass
    raw = logits.astype(np.float64)
    log_loss = np.logaddexp(0.0, np.where(rows.labels == 1, -raw, raw)).mean()
    for judged, own in ((workload, logits), (passed, passed._logits)):
        found = {metric.name: metric.value for metric in judged.evaluate("test")}
        assert found.items() >= click_quality(rows.labels, logits=own).items()
        assert found["log_loss"] == pytest.approx(log_loss, rel=1e-5)
    found = {metric.name: metric.value for metric in workload.evaluate("test")}
    assert (found["auc"], found["auc_standard_error"]) == (modest["auc"], modest["auc_standard_error"])


def test_a_stopped_pass_is_judged_by_the_rows_it_reached(tmp_path):
    workload, _ = _set_up(tmp_path, mode="eval", allow_random_weights=True, batch=150)
    workload.begin_epoch(0)
    workload.step()
    values = {metric.name: metric.value for metric in workload.evaluate("test")}
    assert values["rows_evaluated"] == 150


def test_eval_can_go_through_another_part(tmp_path):
    for part, rows in (("train", 1400), ("validation", 200), ("all", 2000)):
        workload, _ = _set_up(tmp_path, mode="eval", allow_random_weights=True, part=part)
        assert workload.epoch_samples() == rows
    with pytest.raises(UsageError, match="the validation part of the rows is empty"):
        _set_up(tmp_path, mode="eval", allow_random_weights=True, part="validation", validation_fraction=0.0)


def test_training_may_start_from_a_checkpoint(tmp_path):
    first, _ = _set_up(tmp_path)
    _train(first)
    path = _save(first, tmp_path / "checkpoint.pt")
    second, _ = _set_up(tmp_path, init_from=path, seed=9, optimizer="adagrad")
    trained = _weights(first)
    assert all(torch.equal(trained[key], value) for key, value in _weights(second).items() if "sum" not in key)


def test_a_checkpoint_of_the_reference_program_is_read(tmp_path):
    workload, _ = _set_up(tmp_path)
    path = tmp_path / "fb.pt"
    torch.save({"iter": 3, "state_dict": _weights(workload), "opt_state_dict": {}}, path)
    other, _ = _set_up(tmp_path, mode="eval", init_from=path, seed=5)
    assert all(torch.equal(value, _weights(other)[key]) for key, value in _weights(workload).items())


def test_wrong_checkpoints_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(DataError, match="is not a file"):
        _set_up(tmp_path, mode="eval", init_from=tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(DataError, match="is not a checkpoint"):
        _set_up(tmp_path, mode="eval", init_from=tmp_path / "text.pt")
    torch.save({"state_dict": {"something": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="holds no DLRM weights"):
        _set_up(tmp_path, mode="eval", init_from=tmp_path / "other.pt")
    trained, _ = _set_up(tmp_path)
    path = _save(trained, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match=r"bot_l\.0\.weight is \(16, 13\), this model's is \(8, 13\)"):
        _set_up(tmp_path, mode="eval", init_from=path, bottom_mlp=(8, 4))
    with pytest.raises(UsageError, match=r"emb_l\.0\.weight is \(40, 4\), this model's is \(41, 4\)"):
        _set_up(tmp_path, mode="eval", init_from=path, table_rows=41)


def test_predictions_are_written_in_double_precision(tmp_path):
    from workloads.dlrm.predictions import write_predictions

    values = np.random.default_rng(1).uniform(-700, 25, 70_000).astype(np.float32)
    path = write_predictions(tmp_path / "predictions.csv", 10, values)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == list(range(10, 70_010))
    written = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(written, special.expit(values.astype(np.float64)), rtol=1e-15)
    assert np.unique(written).size == np.unique(values).size
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.csv"]
