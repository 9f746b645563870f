"""PopTorch's contract, point by point: what the stand-in refuses, and what it computes.

The same file runs on real PopTorch, where that can be imported: under the Poplar SDK's own Python, which has no
recbench, `python3.8 -m pytest -c /dev/null tests/standins/test_poptorch.py`. It is written for that age.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

try:
    import poptorch
except ImportError:
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import poptorch

STAND_IN = bool(getattr(poptorch, "__standin__", False))
only_stand_in = pytest.mark.skipif(not STAND_IN, reason="the stand-in alone refuses this")
DI, GA, MICRO = 3, 2, 4


class Model(nn.Module):
    def __init__(self, loss=None):
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(5, 2)
        self.loss = loss

    def forward(self, x, y):
        out = self.linear(x)
        return out, nn.functional.mse_loss(out, y)


class OnlyLinear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(5, 2)

    def forward(self, x):
        return self.linear(x)


def options(iterations=1, accumulation=1, replicas=1, mode=None, seed=None):
    made = poptorch.Options().deviceIterations(iterations).replicationFactor(replicas)
    made.Training.gradientAccumulation(accumulation)
    if mode is not None:
        made.outputMode(mode)
    if seed is not None:
        made.randomSeed(seed)
    return made


def data(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 5, generator=generator), torch.randn(rows, 2, generator=generator)


def training(model, *, rate=0.1, **how):
    return poptorch.trainingModel(model, options(**how), torch.optim.SGD(model.parameters(), lr=rate))


@pytest.fixture(autouse=True)
def enough_ipus(monkeypatch):
    """A traceback may keep the executor of an earlier test, with its IPUs."""
    monkeypatch.setenv("POPTORCH_STANDIN_IPUS", "64")


def test_01_the_batch_dimension_is_a_multiple_of_what_a_call_takes():
    model = training(Model(), iterations=DI, accumulation=GA)
    with pytest.raises(AssertionError, match=r"Invalid batch dimension.*must be a multiple of"):
        model(*data(DI * GA * MICRO + 1))


def test_02_the_module_sees_micro_batches():
    class Shares(nn.Module):
        def forward(self, x):
            return x - x.mean(0, keepdim=True)

    x = data(DI * MICRO)[0]
    found = poptorch.inferenceModel(Shares(), options(iterations=DI))(x)
    expected = torch.cat([part - part.mean(0, keepdim=True) for part in x.split(MICRO)])
    torch.testing.assert_close(found, expected)


def test_03_later_calls_repeat_shape_type_and_count():
    model = poptorch.inferenceModel(OnlyLinear())
    model(data(4)[0])
    with pytest.raises(poptorch.Error, match="Shape mismatch for"):
        model(data(8)[0])
    with pytest.raises(poptorch.Error, match=r"[Tt]ype mismatch for"):
        model(data(4)[0].int())
    with pytest.raises((poptorch.Error, AssertionError), match="arguments"):
        model(data(4)[0], data(4)[0])


def test_03_later_calls_repeat_plain_values():
    class Scaled(nn.Module):
        def forward(self, x, factor):
            return x * factor

    model = poptorch.inferenceModel(Scaled())
    model(data(4)[0], 2.0)
    with pytest.raises(poptorch.Error, match="Value mismatch"):
        model(data(4)[0], 3.0)


def test_04_control_flow_freezes_at_the_first_call():
    class Switched(nn.Module):
        def __init__(self):
            super().__init__()
            self.double = True

        def forward(self, x):
            return x * 2.0 if self.double else x

    own = Switched()
    model = poptorch.inferenceModel(own)
    x = data(4)[0]
    first = model(x)
    own.double = False
    torch.testing.assert_close(model(x), first)


@only_stand_in
def test_04_control_flow_that_depends_on_data_is_refused():
    class Depends(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(poptorch.Error, match="depend on data"):
        poptorch.inferenceModel(Depends())(data(4)[0])


def test_05_a_training_model_without_a_loss_is_refused():
    own = OnlyLinear()
    with pytest.raises(poptorch.Error, match="Couldn't find a loss in graph"):
        poptorch.trainingModel(own, options(), torch.optim.SGD(own.parameters(), lr=0.1))(data(4)[0])


def test_05_a_loss_of_one_s_own_must_be_marked():
    class Own(Model):
        def forward(self, x, y):
            out = self.linear(x)
            return out, (out - y).abs().sum()

    class Marked(Model):
        def forward(self, x, y):
            out = self.linear(x)
            return out, poptorch.identity_loss((out - y).abs().sum(1), reduction="sum")

    with pytest.raises(poptorch.Error, match="Couldn't find a loss in graph"):
        training(Own())(*data(4))
    _, loss = training(Marked())(*data(4))
    assert float(loss) > 0.0


def test_05_several_independent_losses_are_refused():
    class Two(Model):
        def forward(self, x, y):
            out = self.linear(x)
            return nn.functional.mse_loss(out, y), nn.functional.l1_loss(out, y)

    class Summed(Model):
        def forward(self, x, y):
            out = self.linear(x)
            both = nn.functional.mse_loss(out, y) + nn.functional.l1_loss(out, y)
            return out, poptorch.identity_loss(both, reduction="none")

    with pytest.raises(poptorch.Error, match="Multiple independent losses found in graph"):
        training(Two())(*data(4))
    training(Summed())(*data(4))


def test_06_the_loss_comes_with_the_outputs():
    out, loss = training(Model())(*data(4))
    assert out.shape == (4, 2)
    assert loss.shape == ()
    torch.testing.assert_close(loss, nn.functional.mse_loss(out, data(4)[1]))


def test_07_backward_is_not_called():
    _, loss = training(Model())(*data(4))
    with pytest.raises(
        poptorch.Error, match=r"backward\(\) cannot be called explicitly on outputs of a PopTorch model"
    ):
        loss.backward()


def test_08_without_an_optimizer_it_is_sgd_with_a_hundredth():
    plain, given = Model(), Model()
    models = [poptorch.trainingModel(plain), training(given, rate=0.01)]
    for model in models:
        model(*data(4))
    assert not torch.equal(plain.state_dict()["linear.weight"], Model().linear.weight)
    for ours, theirs in zip(plain.state_dict().values(), given.state_dict().values()):
        torch.testing.assert_close(ours, theirs)


def test_09_optimizers_that_the_ipu_lacks_are_refused():
    own = Model()
    with pytest.raises(AssertionError, match="Unsupported optimizer type"):
        poptorch.trainingModel(own, options(), torch.optim.Adagrad(own.parameters(), lr=0.1))
    with pytest.raises(ValueError, match="amsgrad"):
        poptorch.trainingModel(Model(), options(), torch.optim.Adam(own.parameters(), lr=0.1, amsgrad=True))


@only_stand_in
def test_09_the_code_of_a_subclass_never_runs():
    class Own(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("the host's optimizer ran")

    own = Model()
    with pytest.warns(UserWarning, match="does not run Python optimizer code"):
        model = poptorch.trainingModel(own, options(), Own(own.parameters(), lr=0.1))
    model(*data(4))


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_09_the_updates_are_torch_s(make):
    ours, theirs = Model(), Model()
    model = poptorch.trainingModel(ours, options(), make(ours.parameters(), lr=0.05))
    optimizer = make(theirs.parameters(), lr=0.05)
    for seed in range(3):
        model(*data(4, seed))
        optimizer.zero_grad()
        theirs(*data(4, seed))[1].backward()
        optimizer.step()
    for found, expected in zip(ours.state_dict().values(), theirs.state_dict().values()):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_10_a_rate_holds_from_set_optimizer_on():
    own = Model()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.0)
    model = poptorch.trainingModel(own, options(), optimizer)
    model(*data(4))
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    optimizer.param_groups[0]["lr"] = 0.5
    model(*data(4))
    assert all(torch.equal(before[name], tensor) for name, tensor in own.state_dict().items())
    model.setOptimizer(optimizer)
    model(*data(4))
    assert not torch.equal(before["linear.weight"], own.state_dict()["linear.weight"])


@only_stand_in
def test_10_what_was_a_constant_cannot_change():
    own = Model()
    model = poptorch.trainingModel(own, options(), torch.optim.SGD(own.parameters(), lr=0.1))
    model(*data(4))
    with pytest.raises(ValueError, match="is already compiled"):
        model.setOptimizer(torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9))


def test_11_one_update_an_iteration_by_the_mean_over_its_micro_batches():
    ours, theirs = Model(), Model()
    x, y = data(DI * GA * MICRO)
    model = training(ours, iterations=DI, accumulation=GA)
    model(x, y)
    for update in range(DI):
        rows = slice(update * GA * MICRO, (update + 1) * GA * MICRO)
        gradients = torch.autograd.grad(theirs(x[rows], y[rows])[1], list(theirs.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(theirs.parameters(), gradients):
                parameter -= 0.1 * gradient
    for found, expected in zip(ours.state_dict().values(), theirs.state_dict().values()):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@only_stand_in
def test_11_replicas_take_part_in_the_mean_and_sum_is_the_other_reduction():
    results = []
    for reduction, rate in ((poptorch.ReductionType.Mean, 0.1), (poptorch.ReductionType.Sum, 0.025)):
        own = Model()
        how = options(iterations=DI, accumulation=GA, replicas=2)
        how.Training.accumulationAndReplicationReductionType(reduction)
        model = poptorch.trainingModel(own, how, torch.optim.SGD(own.parameters(), lr=rate))
        model(*data(DI * GA * 2 * MICRO))
        results.append(own.state_dict()["linear.weight"])
    assert not torch.equal(results[0], Model().linear.weight)
    torch.testing.assert_close(results[0], results[1])


def test_12_shapes_of_outputs_by_the_mode_of_training():
    def shapes(mode):
        out, loss = training(Model(), iterations=DI, accumulation=GA, mode=mode)(*data(DI * GA * MICRO))
        return tuple(out.shape), tuple(loss.shape)

    mode = poptorch.OutputMode
    assert shapes(None) == shapes(mode.Final) == ((MICRO, 2), ())
    assert shapes(mode.All) == ((DI * GA * MICRO, 2), (DI * GA,))
    assert shapes(mode.Sum) == ((MICRO, 2), ())


def test_12_inference_gives_every_batch_unless_asked_otherwise():
    x = data(DI * MICRO)[0]
    own = OnlyLinear()
    torch.testing.assert_close(poptorch.inferenceModel(own, options(iterations=DI))(x), own(x), rtol=1e-4, atol=1e-5)
    last = poptorch.inferenceModel(own, options(iterations=DI, mode=poptorch.OutputMode.Final))(x)
    torch.testing.assert_close(last, own(x[-MICRO:]), rtol=1e-4, atol=1e-5)
    every = options(iterations=4).outputMode(poptorch.OutputMode.EveryN, 2)
    second = poptorch.inferenceModel(own, every)(data(4 * MICRO)[0])
    assert second.shape == (2 * MICRO, 2)
    with pytest.raises(AssertionError, match="EveryN"):
        poptorch.Options().outputMode(poptorch.OutputMode.EveryN)


def test_13_inference_takes_no_accumulation():
    with pytest.raises(poptorch.Error, match="gradientAccumulation to 1"):
        poptorch.inferenceModel(OnlyLinear(), options(accumulation=2))


def test_13_inference_takes_no_optimizer():
    own = OnlyLinear()
    with pytest.raises(TypeError):
        poptorch.inferenceModel(own, options(), torch.optim.SGD(own.parameters(), lr=0.1))


def test_14_options_freeze_when_they_are_used():
    used = options()
    poptorch.inferenceModel(OnlyLinear(), used)
    with pytest.raises(AttributeError, match="Can't modify frozen Options"):
        used.deviceIterations(2)
    with pytest.raises(AttributeError, match="Can't modify frozen Options"):
        used.Training.gradientAccumulation(2)


@only_stand_in
def test_14_an_unknown_option_is_refused():
    with pytest.raises(AttributeError):
        poptorch.Options().deviceIteration(2)
    with pytest.raises(AttributeError):
        poptorch.Options().device_iteration = 2


def test_15_a_wrapped_model_is_wrapped_again_after_destroy_only():
    own = Model()
    model = training(own)
    model(*data(4))
    with pytest.raises(RuntimeError, match="Model has already been wrapped"):
        training(own)
    model.destroy()
    training(own)(*data(4))


def test_16_the_training_flag_is_that_of_the_moment_of_wrapping():
    class Doubles(nn.Module):
        def forward(self, x):
            return x * 2.0 if self.training else x

    own = Doubles().eval()
    model = poptorch.inferenceModel(own)
    own.train()
    x = data(4)[0]
    torch.testing.assert_close(model(x), x)


def test_17_the_host_s_weights_are_those_of_the_ipu_when_they_are_asked_for():
    own = Model()
    before = own.linear.weight.detach().clone()
    model = training(own)
    model(*data(4))
    assert not torch.equal(before, own.state_dict()["linear.weight"])


@only_stand_in
def test_17_until_then_they_are_stale_and_edits_of_the_host_must_be_sent():
    own = Model()
    model = training(own, rate=0.1)
    model(*data(4))
    stale = own._modules["linear"]._parameters["weight"].detach().clone()
    torch.testing.assert_close(stale, Model().linear.weight.detach())
    model.copyWeightsToHost()
    with torch.no_grad():
        own.linear.weight.zero_()
    out, _ = model(*data(4))
    assert not torch.equal(out, own.linear.bias.detach().expand(4, 2))
    model.copyWeightsToHost()
    with torch.no_grad():
        own.linear.weight.zero_()
    model.copyWeightsToDevice()
    out, _ = model(*data(4))
    torch.testing.assert_close(out, out[:1].expand(4, 2))


def test_18_weights_are_not_copied_before_there_is_an_executable():
    model = training(Model())
    with pytest.raises(poptorch.Error):
        model.copyWeightsToHost()
    with pytest.raises(poptorch.Error):
        model.copyWeightsToDevice()


def test_19_int64_and_float64_become_int32_and_float32():
    class Both(nn.Module):
        def forward(self, x, ids):
            return x, ids

    x, ids = poptorch.inferenceModel(Both())(torch.ones(4, dtype=torch.float64), torch.arange(4))
    assert (x.dtype, ids.dtype) == (torch.float32, torch.int32)


@only_stand_in
def test_19_ids_that_do_not_fit_are_told():
    class Same(nn.Module):
        def forward(self, ids):
            return ids + 1

    with pytest.raises(poptorch.Error, match="does not fit in int32"):
        poptorch.inferenceModel(Same())(torch.tensor([0, 2**31]))


def test_20_a_tensor_of_the_cpu_in_forward_is_refused():
    class Captures(nn.Module):
        def __init__(self, buffer):
            super().__init__()
            if buffer:
                self.register_buffer("offset", torch.ones(5))
            else:
                self.offset = torch.ones(5)

        def forward(self, x):
            return x + self.offset

    x = data(4)[0]
    with pytest.raises(poptorch.Error, match="Expected an IPU tensor but got tensor"):
        poptorch.inferenceModel(Captures(False))(x)
    torch.testing.assert_close(poptorch.inferenceModel(Captures(True))(x), x + 1.0)


def test_20_tensors_that_torch_makes_in_forward_are_made_on_the_ipu():
    class Makes(nn.Module):
        def forward(self, x):
            return x + torch.ones(5) + torch.arange(5, device=x.device)

    x = data(4)[0]
    torch.testing.assert_close(poptorch.inferenceModel(Makes())(x), x + 1.0 + torch.arange(5))


def test_21_buffers_changed_in_place_last_and_attributes_do_not():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.linear = nn.Linear(5, 2)
            self.register_buffer("calls", torch.zeros(1))
            self.times = 0

        def forward(self, x, y):
            self.times += 1
            self.calls.add_(1.0)
            return self.linear(x).sum() * 0.0 + self.times, nn.functional.mse_loss(self.linear(x), y)

    own = Counts()
    model = training(own)
    first, _ = model(*data(4))
    second, _ = model(*data(4))
    assert float(first) == float(second)
    assert float(own.state_dict()["calls"]) == 2.0


def test_22_a_padding_index_is_refused():
    class Embeds(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 3, padding_idx=0)

        def forward(self, ids):
            return self.table(ids)

    with pytest.raises(poptorch.Error):
        poptorch.inferenceModel(Embeds())(torch.arange(4))


@only_stand_in
def test_22_sparse_gradients_are_refused():
    class Embeds(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 3, sparse=True)

        def forward(self, ids):
            return poptorch.identity_loss(self.table(ids), reduction="sum")

    own = Embeds()
    with pytest.raises(poptorch.Error, match="sparse"):
        training(own)(torch.arange(4))


def test_23_empty_tensors_are_refused():
    with pytest.raises((poptorch.Error, AssertionError)):
        poptorch.inferenceModel(OnlyLinear())(torch.zeros(0, 5))


@pytest.mark.parametrize("operation", ["nonzero", "select", "unique", "repeat"])
def test_23_shapes_that_depend_on_data_are_refused(operation):
    class Depends(nn.Module):
        def forward(self, x):
            if operation == "nonzero":
                return x.nonzero()
            if operation == "select":
                return x[x > 0]
            if operation == "unique":
                return torch.unique(x)
            return torch.repeat_interleave(x[:, 0], torch.ones_like(x[:, 0]).int())

    with pytest.raises(poptorch.Error):
        poptorch.inferenceModel(Depends())(data(4)[0])


@only_stand_in
def test_26_dicts_are_not_taken():
    class Takes(nn.Module):
        def forward(self, both):
            return both["x"]

    with pytest.raises(TypeError, match="dicts"):
        poptorch.inferenceModel(Takes())({"x": data(4)[0]})


def test_27_offline_models_compile_and_do_not_run():
    how = options().connectionType(poptorch.ConnectionType.Never)
    model = poptorch.inferenceModel(OnlyLinear(), how)
    with pytest.raises(AssertionError, match=r"ConnectionType\.Never"):
        model(data(4)[0])


@only_stand_in
def test_27_moving_tensors_by_hand_is_refused():
    class Moves(nn.Module):
        def forward(self, x):
            return x.cpu()

    with pytest.raises(poptorch.Error, match="stay on the IPU"):
        poptorch.inferenceModel(Moves())(data(4)[0])


def test_28_counters_need_an_executable_and_their_options():
    model = poptorch.inferenceModel(OnlyLinear(), options())
    with pytest.raises(poptorch.Error):
        model.cycleCount()
    assert model.getPerfCounters() == {"input": [[]], "input_complete": [[]], "output": [[]], "output_complete": [[]]}
    model(data(4)[0])
    with pytest.raises(poptorch.Error):
        model.cycleCount()
    least, most, mean = model.getLatency()
    assert 0.0 <= least <= mean <= most


def test_the_weights_stay_where_ipus_change_hands():
    own = Model()
    model = training(own, rate=0.1)
    model(*data(4))
    model.detachFromDevice()
    assert not model.isAttachedToDevice()
    kept = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    model.attachToDevice()
    model.copyWeightsToHost()
    assert all(torch.equal(kept[name], tensor) for name, tensor in own.state_dict().items())


@only_stand_in
def test_there_are_no_more_ipus_than_there_are(monkeypatch):
    taken = sum(sys.modules["poptorch.executor"]._TAKEN)
    monkeypatch.setenv("POPTORCH_STANDIN_IPUS", str(taken + 2))
    first = training(Model(), replicas=2)
    first(*data(8))
    second = training(Model())
    with pytest.raises(poptorch.Error, match=r"Failed to acquire 1 IPU\(s\)"):
        second(*data(4))
    first.detachFromDevice()
    second(*data(4))


@only_stand_in
def test_the_ipu_model_has_no_replicas(monkeypatch):
    monkeypatch.setenv("POPTORCH_IPU_MODEL", "1")
    with pytest.raises(poptorch.Error, match="replication"):
        training(Model(), replicas=2)


@only_stand_in
def test_three_replicas_need_rounding():
    model = training(Model(), replicas=3)
    with pytest.raises(AssertionError, match="power of 2"):
        model(*data(12))
    own = Model()
    how = options(replicas=3).autoRoundNumIPUs(True)
    poptorch.trainingModel(own, how, torch.optim.SGD(own.parameters(), lr=0.1))(*data(12))


def test_random_numbers_go_on_from_a_state():
    class Drops(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5, training=True)

    model = poptorch.inferenceModel(Drops(), options(seed=3))
    x = torch.ones(64, 5)
    model(x)
    state = model.rng_state
    first = model(x)
    second = model(x)
    assert not torch.equal(first, second)
    model.rng_state = state
    torch.testing.assert_close(model(x), first)


@only_stand_in
def test_it_says_what_it_is():
    assert poptorch.__standin__ is True
    assert "standin" in poptorch.__version__
    assert poptorch.ipuHardwareIsAvailable() is False
