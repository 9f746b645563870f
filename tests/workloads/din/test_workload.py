"""A run of DIN on the real CPU executor: what it learns, counts and records, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.devices.cpu import CpuDevice
from harness.errors import BenchError, DataError, RunFailed, UsageError
from tests.fakes.measure import Bench, measured
from tests.workloads.din.files import write_amazon, write_sequences
from tests.workloads.din.test_contract import TINY
from workloads.common.metrics import roc_auc
from workloads.din.batches import order_of_epoch


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _bench(tmp_path, repeat=0, **values):
    device = CpuDevice()
    device.open(threads=1, seed=0)
    tmp_path.mkdir(parents=True, exist_ok=True)
    return Bench(tmp_path, "din", device=device, repeat=repeat, plugins=(), **{**TINY, "warmup": "none", **values})


def _found(events):
    """Metrics by name, those of the best weights as NAME/best, and all engine facts."""
    metrics, facts = {}, {}
    for event in events:
        if event.type == "metric":
            name = event["name"] + ("/best" if event["labels"].get("weights") == "best" else "")
            metrics[name] = event["value"]
        if event.type == "engine":
            facts |= event["values"]
    return metrics, facts


def _weights(bench):
    state = bench.workload.state_dict()["executor"]
    return {key: value.clone() for key, value in (*state["dense"].items(), *state["tables"].items())}


def test_it_learns_the_planted_interest(tmp_path):
    metrics, facts = _found(
        _bench(
            tmp_path, rows=30_000, users=300, items=900, categories=30, embedding_dim=8, attention_size=16,
            micro_batch_size=64, epochs=2, learning_rate=0.005,
        ).run()
    )  # fmt: skip
    assert 0.70 < metrics["auc"] <= metrics["auc_bayes"] + 0.02
    assert metrics["auc_bayes"] == pytest.approx(0.80, abs=0.03)
    assert metrics["gauc"] > 0.6
    assert metrics["rows_evaluated"] == 3_000
    assert facts["protocol"] == "synthetic"


def test_training_equals_a_plain_loop_over_torch_modules(tmp_path):
    """SGD on the padded network with autograd alone, over the same order."""
    bench = _bench(tmp_path, epochs=1, optimizer="sgd", learning_rate=0.3, gradient_accumulation=2)
    bench.workload.setup(bench.context)
    start = _weights(bench)
    samples, config = bench.workload._data.parts["train"], bench.context.config
    plan = bench.workload._plan
    bench.workload.begin_epoch(0)
    while not bench.workload.step().epoch_end:
        pass
    trained = _weights(bench)

    from workloads.din.network import DinNetwork

    network = DinNetwork(plan.shape, bench.workload._data.table_rows, config.max_seq_len)
    network.load_state_dict(
        {f"tables.{key}" if key.endswith((".weight",)) and key.split(".")[0] in ("user", "item", "category")
         else f"dense.{key}": value for key, value in start.items()}
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
    order = order_of_epoch(bench.context.seed, 0, len(samples)).numpy()
    for begin in range(0, len(order), 128):
        update = order[begin : begin + 128]
        optimizer.zero_grad()
        for first in range(0, len(update), 64):
            rows = update[first : first + 64]
            past = np.zeros((2, len(rows), config.max_seq_len), np.int32)
            for place, row in enumerate(rows):
                low, length = samples.starts[row], samples.lengths[row]
                past[0, place, :length] = samples.sequences.items[low : low + length]
                past[1, place, :length] = samples.sequences.categories[low : low + length]
            columns = (samples.lengths, samples.users, samples.items, samples.categories)
            ids = [torch.from_numpy(np.asarray(column[rows])) for column in columns]
            logits = network(*ids, *torch.from_numpy(past), torch.ones(len(rows)))
            labels = torch.from_numpy(samples.labels[rows]).float()
            (F.binary_cross_entropy_with_logits(logits, labels) * len(rows) / len(update)).backward()
        optimizer.step()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(
            trained[key.removeprefix("tables.").removeprefix("dense.")], value, atol=2e-5, rtol=0
        )
    assert any(not torch.equal(trained[key], start[key]) for key in start)
    bench.events()


@pytest.mark.parametrize(
    "values",
    [
        {"layout": "padded"},
        {"layout": "padded", "first_layer": "concat"},
        {"layout": "padded", "first_layer": "split"},
        {"interest": "plain"},
        {"tables": "bags"},
        {"tables": "dense"},
        {"device_iterations": 4},
    ],
)
def test_every_lever_learns_the_same(tmp_path, values):
    trained = []
    for turn, changes in enumerate(({}, values)):
        bench = _bench(tmp_path / str(turn), epochs=1, optimizer="sgd", learning_rate=0.1, **changes)
        bench.workload.setup(bench.context)
        bench.workload.begin_epoch(0)
        while not bench.workload.step().epoch_end:
            pass
        trained.append(_weights(bench))
        bench.events()
    for key, value in trained[0].items():
        torch.testing.assert_close(trained[1][key], value, rtol=1e-3, atol=2e-5)


def test_the_best_weights_by_validation_are_judged_beside_the_last(tmp_path):
    events = _bench(tmp_path, epochs=4, learning_rate=0.03).run()
    metrics, _ = _found(events)
    series = [(e["x"][0], e["y"][0]) for e in events if e.type == "series" and e["name"] == "validation_auc"]
    assert [x for x, _ in series] == [1.0, 2.0, 3.0, 4.0]
    assert metrics["best_epoch"] == max(series, key=lambda each: each[1])[0]
    assert {"auc/best", "gauc/best", "log_loss/best", "accuracy/best"} <= set(metrics)
    if metrics["best_epoch"] == 4.0:
        assert metrics["auc/best"] == metrics["auc"]


def test_judging_the_best_leaves_the_last_weights(tmp_path):
    bench = _bench(tmp_path, epochs=1)
    bench.workload.setup(bench.context)
    bench.workload.begin_epoch(0)
    bench.workload.step()
    bench.workload.evaluate("validation")
    bench.workload._best["auc"] = 2.0  # nothing will be better
    while not bench.workload.step().epoch_end:
        pass
    before = _weights(bench)
    found = bench.workload.evaluate("test")
    assert all(torch.equal(value, before[key]) for key, value in _weights(bench).items())
    by_label = {bool(metric.labels): metric.value for metric in found if metric.name == "auc"}
    assert by_label[True] != by_label[False]
    bench.events()


def test_infer_predicts_every_row_once_and_tells_its_latencies(tmp_path):
    metrics, _ = _found(_bench(tmp_path / "t", epochs=1, model_path=tmp_path / "model.pt").run())
    events = _bench(tmp_path / "i", mode="infer", model_path=tmp_path / "model.pt", device_iterations=3).run()
    asked, _ = _found(events)
    assert measured(events)["segment_samples"] == 120
    assert measured(events)["segment_steps"] == 1
    for name in ("auc", "gauc", "log_loss", "accuracy", "rows_evaluated", "auc_bayes"):
        assert asked[name] == pytest.approx(metrics[name], abs=1e-6)
    assert 0 < asked["latency_p50_s"] <= asked["latency_p90_s"] <= asked["latency_p99_s"]
    assert "latency_p50_s" not in metrics


def test_a_stopped_inference_is_judged_by_the_rows_it_reached(tmp_path):
    bench = _bench(tmp_path, mode="infer", allow_random_weights=True, steps=1, micro_batch_size=50, rows=2_000)
    metrics, _ = _found(bench.run())
    assert metrics["rows_evaluated"] == 50
    rows = bench.workload._data.parts["test"]
    assert metrics["auc"] == roc_auc(rows.labels[:50], bench.workload._logits[:50])


def test_inference_without_weights_is_refused_unless_asked_for(tmp_path):
    with pytest.raises(UsageError) as refused:
        _bench(tmp_path, mode="infer").run_and_close()
    assert "needs --init-from CHECKPOINT (or --model-path)" in refused.value.message
    assert "--allow-random-weights" in (refused.value.hint or "")


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    _bench(tmp_path / "t", epochs=1, model_path=tmp_path / "model.pt").run()
    for values, sentence in (
        ({"attention": "linear"}, "the checkpoint has unit.layers.1.bias, which this model lacks"),
        ({"fc_layers": (8, 5)}, "the checkpoint's fc.1.weight is (4, 8), this model's is (5, 8)"),
        ({"items": 91}, "the checkpoint's item.weight is (90, 4), this model's is (91, 4)"),
        ({"batch_norm": True}, "the checkpoint has no norm.weight"),
    ):
        with pytest.raises(UsageError) as refused:
            _bench(tmp_path / "i", mode="infer", model_path=tmp_path / "model.pt", **values).run_and_close()
        assert sentence in refused.value.message


def test_files_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "text").write_text("weights")
    torch.save({"workload": {"executor": 3}}, tmp_path / "other.pt")
    for name, sentence in (("none", "is not a file"), ("text", "is not a checkpoint"), ("other.pt", "holds no DIN")):
        with pytest.raises(DataError, match=sentence):
            _bench(tmp_path, mode="infer", init_from=tmp_path / name).run_and_close()


def test_weights_of_another_protocol_are_loaded_with_a_warning(tmp_path):
    data = write_sequences(tmp_path / "data")
    _bench(tmp_path / "t", epochs=1, data=data, model_path=tmp_path / "model.pt").run()
    events = _bench(tmp_path / "i", mode="infer", data=data, model_path=tmp_path / "model.pt").run()
    assert not [event for event in events if event.type == "log" and "protocol" in event["text"]]
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    state["workload"]["protocol"] = "dien"
    torch.save(state, tmp_path / "model.pt")
    events = _bench(tmp_path / "j", mode="infer", data=data, model_path=tmp_path / "model.pt").run()
    said = [event for event in events if event.type == "log" and "protocol dien" in event["text"]]
    assert said and said[0]["level"] == "warning"


@pytest.mark.parametrize("protocol", ["dien", "paper"])
def test_real_layouts_train_and_name_their_protocol(tmp_path, protocol):
    data = write_amazon(tmp_path / "a") if protocol == "dien" else write_sequences(tmp_path / "b")
    events = _bench(tmp_path / "run", epochs=1, data=data, protocol=protocol, validation_fraction=0.2).run()
    metrics, facts = _found(events)
    assert facts["protocol"] == protocol
    identity = next(event for event in events if event.type == "data")
    assert identity["rules"].startswith(f"protocol {protocol};")
    assert metrics["rows_evaluated"] == (16 if protocol == "dien" else 80)
    assert metrics["auc"] is not None and metrics["gauc"] is not None


@pytest.mark.parametrize("variant", ["paper", "dien", "graphcore"])
def test_variants_run_and_are_named_in_the_record(tmp_path, variant):
    metrics, facts = _found(_bench(tmp_path, epochs=1, variant=variant).run())
    assert metrics["auc"] is not None
    assert facts["variant"] == variant
    assert {
        "attention",
        "attention_weights",
        "dice",
        "batch_norm",
        "loss",
        "optimizer_asked",
        "geometry",
        "past",
    } <= set(facts)


def test_predictions_by_batch_statistics_are_made_by_micro_batch(tmp_path):
    """Else what a row scores would depend on how many rows are asked at once."""
    path = tmp_path / "model.pt"
    _bench(tmp_path / "t", epochs=1, variant="dien", model_path=path).run()
    found = []
    for iterations in (1, 4):
        values = {"mode": "infer", "variant": "dien", "model_path": path, "micro_batch_size": 30}
        bench = _bench(tmp_path / str(iterations), device_iterations=iterations, **values)
        bench.run()
        found.append(bench.workload._logits)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_synthetic_samples_are_said_unless_asked_for(tmp_path):
    for asked in (False, True):
        events = _bench(tmp_path, epochs=1, use_synthetic_data=asked).run()
        said = [event for event in events if event.type == "log" and "the samples are synthetic" in event["text"]]
        assert bool(said) is not asked


def test_a_model_that_diverges_ends_the_run_with_its_learning_rate(tmp_path):
    with pytest.raises(BenchError) as refused:
        _bench(tmp_path, epochs=3, optimizer="sgd", learning_rate=1e30).run_and_close()
    assert isinstance(refused.value, RunFailed)
    assert "learning rate" in (refused.value.hint or "")


def test_tables_that_do_not_fit_are_refused_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr("workloads.din.workload.available_bytes", lambda: 1000)
    with pytest.raises(UsageError, match=r"the embedding tables need .* 3 times for adam"):
        _bench(tmp_path).run_and_close()


def test_an_epoch_that_does_not_fit_is_staged_in_pools_and_says_so(tmp_path, monkeypatch):
    bench = _bench(tmp_path, epochs=1)
    bench.workload.setup(bench.context)
    monkeypatch.setattr("workloads.din.workload.available_bytes", lambda: 20_000)
    bench.workload.begin_epoch(0)
    samples = 0
    while True:
        step = bench.workload.step()
        samples += step.samples
        if step.epoch_end:
            break
    assert samples == 960
    _, facts = _found(bench.events())
    assert facts["staging"].startswith("pools of ")


def test_the_model_travels_as_files_and_arguments(tmp_path):
    import importlib.util
    import json

    from workloads.din.host import DinModel, HostDin
    from workloads.din.network import Shape

    dense = HostDin(Shape(embedding_dim=3, attention_size=6), 5, "padded")
    portable = DinModel(dense, None, (4, 5, 6), 5).portable()
    arguments = json.loads(json.dumps(portable.arguments))
    module, _, factory = portable.factory.partition(":")
    (file,) = portable.files
    assert Path(file).stem == module
    spec = importlib.util.spec_from_file_location("portable_network", file)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    made = getattr(loaded, factory)(arguments)
    assert {f"dense.{name}" for name in dense.state_dict()} <= set(made.state_dict())
