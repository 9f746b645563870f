from __future__ import annotations

import pytest
import torch

from harness.api import Device, Geometry, OptimizerSpec, Schedule, UnavailableError, UsageError
from harness.devices.compiler import find_cxx
from harness.devices.cpu import CpuDevice
from tests.contract.executor_contract import GEOMETRY, RATE, SGD, ExecutorContract
from tests.contract.models import SmallModel, differing, make_batch, through_a_file, weights_of

ADAGRAD = OptimizerSpec(name="adagrad", learning_rate=0.1, eps=1e-8, initial_accumulator=0.1)


class TestHostExecutor(ExecutorContract):
    def make_device(self) -> Device:
        return CpuDevice()


def executor_of(model, *, precision="fp32", compile="off", optimizer=SGD, geometry=GEOMETRY):
    device = CpuDevice()
    device.open(threads=1, seed=0)
    return device.executor(model, geometry, precision=precision, compile=compile, optimizer=optimizer)


def prepared(model, **choices):
    executor = executor_of(model, **choices)
    executor.prepare(make_batch(executor.geometry.call_samples), make_batch(8), RATE)
    return executor


def test_adagrad_of_the_dense_part_follows_its_definition():
    model = SmallModel()
    executor = prepared(model, optimizer=ADAGRAD, geometry=Geometry(micro_batch=16))
    reference = SmallModel()
    accumulators = {
        name: torch.full_like(weight, 0.1, dtype=torch.float64) for name, weight in reference.dense.named_parameters()
    }
    for step in range(4):
        batch = make_batch(16, seed=step)
        executor.train_call(executor.stage(batch))
        leaf = reference.tables.lookup(batch.ids)
        loss = reference.loss(reference.dense(batch.inputs[0], leaf), batch.labels)
        named = dict(reference.dense.named_parameters())
        *gradients, of_leaf = torch.autograd.grad(loss, [*named.values(), leaf])
        with torch.no_grad():
            for (name, weight), gradient in zip(named.items(), gradients, strict=True):
                accumulators[name] += gradient.double() ** 2
                weight -= (RATE.at(step) * gradient.double() / (accumulators[name].sqrt() + 1e-8)).float()
        reference.tables.apply(of_leaf, RATE.at(step))
    ours = weights_of(model)
    for name, weight in weights_of(reference).items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=1e-5)


def test_adagrad_goes_on_from_its_accumulators():
    through = SmallModel()
    executor = prepared(through, optimizer=ADAGRAD)
    executor.train_call(executor.stage(make_batch(48, seed=1)))
    state = through_a_file(executor.state_dict())
    resumed = SmallModel(seed=5)
    again = prepared(resumed, optimizer=ADAGRAD)
    again.load_state_dict(state)
    for one in (executor, again):
        one.train_call(one.stage(make_batch(48, seed=2)))
    assert differing(weights_of(through), weights_of(resumed)) == []


def test_a_checkpoint_of_another_optimizer_is_refused():
    state = prepared(SmallModel()).state_dict()
    with pytest.raises(UsageError, match="trained by sgd, this run asks for adagrad"):
        prepared(SmallModel(), optimizer=ADAGRAD).load_state_dict(state)


def test_bf16_computes_in_bf16_and_keeps_weights_and_answers_in_fp32():
    seen = []
    model = SmallModel()
    model.dense.first.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    executor = prepared(model, precision="bf16")
    executor.train_call(executor.stage(make_batch(48)))
    answer = executor.infer_call(executor.stage(make_batch(8)), 8)
    assert set(seen) == {torch.bfloat16}
    assert {weight.dtype for weight in weights_of(model).values()} == {torch.float32}
    assert answer.dtype == torch.float32
    exact = SmallModel()
    other = prepared(exact)
    other.train_call(other.stage(make_batch(48)))
    assert executor.drain().loss_mean == pytest.approx(other.drain().loss_mean, rel=0.02)


def test_fp16_is_not_offered_on_a_cpu():
    with pytest.raises(UsageError, match="precision = 'fp16' is not offered on cpu; it offers fp32, bf16"):
        executor_of(SmallModel(), precision="fp16")


def test_staging_on_a_cpu_copies_nothing():
    executor = prepared(SmallModel())
    batch = make_batch(48)
    staged = executor.stage(batch)
    assert staged.inputs[0].data_ptr() == batch.inputs[0].data_ptr()
    assert staged.ids[0].data_ptr() == batch.ids[0].data_ptr()


def test_arrays_of_numpy_are_taken_as_they_are():
    batch = make_batch(48)
    arrays = type(batch)(
        inputs=(batch.inputs[0].numpy(),), ids=(batch.ids[0].numpy(),), labels=batch.labels.numpy(), rows=48
    )
    models = [SmallModel(), SmallModel()]
    for model, one in zip(models, (batch, arrays), strict=True):
        executor = prepared(model)
        executor.train_call(executor.stage(one))
    assert differing(weights_of(models[0]), weights_of(models[1])) == []


def test_a_batch_whose_tensors_disagree_is_refused():
    batch = make_batch(8)
    crooked = type(batch)(inputs=batch.inputs, ids=batch.ids, labels=batch.labels[:7], rows=7)
    with pytest.raises(UsageError, match=r"different lengths: \[7, 8\]"):
        prepared(SmallModel()).stage(crooked)


def test_normalisation_never_sees_padding():
    full, padded = SmallModel(normalise=True), SmallModel(normalise=True)
    batch = make_batch(8, seed=1)
    longer = make_batch(16, 8, seed=1)
    longer.inputs[0][:8] = batch.inputs[0]
    longer.ids[0][:8] = batch.ids[0]
    longer.labels[:8] = batch.labels
    longer.inputs[0][8:] = 1e6
    for model, one in ((full, batch), (padded, longer)):
        executor = prepared(model, geometry=Geometry(micro_batch=16))
        executor.train_call(executor.stage(one))
    assert differing(weights_of(full), weights_of(padded)) == []


def test_what_the_compiler_says_is_recorded_and_auto_falls_back(monkeypatch):
    def broken(module, **options):
        def call(*inputs):
            raise RuntimeError("no Python.h\nmore lines")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr("harness.devices.compiler.find_cxx", lambda environment=None: "g++ 12")
    model, eager = SmallModel(), SmallModel()
    executor = prepared(model, compile="auto", precision="bf16")
    assert executor.resolved()["engine_resolved"] == "eager"
    assert executor.resolved()["compile"] == "off: torch.compile failed: RuntimeError: no Python.h"
    other = prepared(eager, precision="bf16")
    for one in (executor, other):
        one.train_call(one.stage(make_batch(48)))
    assert differing(weights_of(model), weights_of(eager)) == []
    with pytest.raises(UnavailableError, match=r"compile = 'on' but torch\.compile failed: RuntimeError: no Python\.h"):
        prepared(SmallModel(), compile="on")


def test_compile_on_without_a_compiler_is_unavailable(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UnavailableError, match=r"compile = 'on' cannot be had here: no C\+\+ compiler"):
        prepared(SmallModel(), compile="on")
    assert prepared(SmallModel(), compile="auto", precision="bf16").resolved()["compile"] == "off: no C++ compiler"


def test_the_compiled_part_is_used_for_full_micro_batches_only(monkeypatch):
    calls = []

    def counting(module, **options):
        def call(*inputs):
            calls.append(len(inputs[0]))
            return module(*inputs)

        return call

    monkeypatch.setattr(torch, "compile", counting)
    monkeypatch.setattr("harness.devices.compiler.find_cxx", lambda environment=None: "g++ 12")
    executor = prepared(SmallModel(), compile="on")
    assert executor.resolved()["engine_resolved"] == "inductor"
    assert executor.resolved()["compile"] == "on: inductor, g++ 12"
    calls.clear()
    executor.train_call(executor.stage(make_batch(48, 10)))
    assert calls == [4, 4]
    calls.clear()
    executor.infer_call(executor.stage(make_batch(8, 3)), 3)
    executor.infer_call(executor.stage(make_batch(7)), 7)
    assert calls == [8]


def test_preparing_without_examples_is_allowed():
    executor = executor_of(SmallModel())
    executor.prepare(None, None, Schedule(learning_rate=0.1))
    executor.train_call(executor.stage(make_batch(48)))
    assert executor.drain().updates == 3


@pytest.mark.skipif(find_cxx() is None, reason="no C++ compiler, so torch.compile is not used")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # Inductor's own
def test_a_really_compiled_dense_part_learns_the_same(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    compiled, eager = SmallModel(), SmallModel()
    for model, mode in ((compiled, "on"), (eager, "off")):
        executor = prepared(model, compile=mode)
        for call in range(3):
            executor.train_call(executor.stage(make_batch(48, 47 if call == 1 else 48, seed=call)))
        assert executor.drain().samples == 143
        assert executor.resolved()["engine_resolved"] == ("inductor" if mode == "on" else "eager")
    ours = weights_of(compiled)
    for name, weight in weights_of(eager).items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=1e-5)
