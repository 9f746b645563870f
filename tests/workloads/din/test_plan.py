"""What is not given is decided by variant, mode and device, and stands in the record."""

from __future__ import annotations

import pytest

from harness.devices.cpu import CpuDevice
from harness.devices.cuda import CudaDevice
from harness.devices.ipu import IpuDevice
from harness.errors import UsageError
from harness.settings import build
from workloads.din.config import DESCRIPTION, DINConfig
from workloads.din.plan import make_plan


def _plan(device=None, mode="train", **values):
    return make_plan(build(DINConfig, mode, values), device or CpuDevice(), mode)


@pytest.mark.parametrize(
    ("mode", "device", "micro", "iterations"),
    [
        ("train", CpuDevice(), 32, 1),
        ("infer", CpuDevice(), 128, 1),
        ("train", IpuDevice(), 32, 1600),
        ("infer", IpuDevice(), 128, 160),
    ],
)
def test_defaults_depend_on_mode_and_device(mode, device, micro, iterations):
    geometry = _plan(device, mode).geometry
    assert (geometry.micro_batch, geometry.device_iterations) == (micro, iterations)
    assert _plan(device, mode, device_iterations=3).geometry.device_iterations == 3


def test_epochs_are_two_in_training_and_one_in_inference():
    assert DESCRIPTION.run_defaults == {"train": {"epochs": 2.0}, "infer": {"epochs": 1.0}}


def test_variants_differ_as_documented():
    paper, dien, graphcore = (_plan(variant=name) for name in ("paper", "dien", "graphcore"))
    assert (paper.shape.scale, paper.shape.dice, paper.shape.batch_norm) == (False, "running", False)
    assert (dien.shape.scale, dien.shape.dice, dien.shape.batch_norm) == (False, "batch", True)
    assert (dien.optimizer, dien.learning_rate, dien.epoch_factor) == ("adam", 1e-3, 0.5)
    assert (graphcore.shape.attention, graphcore.shape.dice) == ("linear", "batch")
    assert (graphcore.optimizer, graphcore.learning_rate, graphcore.rate_factor) == ("sgd", 0.1, 0.5)
    assert graphcore.facts()["attention"] == "144-1, linear"
    assert dien.facts()["optimizer_asked"] == "adam, learning rate 0.001, x 0.5 an epoch"
    assert paper.facts()["attention_weights"] == "softmax"
    assert _plan(attention_scale=True).facts()["attention_weights"] == "softmax, scores / sqrt(36)"


def test_what_is_given_beats_the_variant():
    plan = _plan(
        variant="dien", attention="mean", attention_weights="plain", attention_scale=True, dice="running",
        batch_norm=False, optimizer="sgd", epoch_factor=1.0,
    )  # fmt: skip
    assert plan.shape._replace(embedding_dim=18) == plan.shape
    assert (plan.shape.attention, plan.shape.weights, plan.shape.scale) == ("mean", "plain", True)
    assert (plan.shape.dice, plan.shape.batch_norm, plan.optimizer, plan.epoch_factor) == ("running", False, "sgd", 1.0)


def test_half_the_loss_does_not_slow_adam():
    assert _plan(variant="graphcore", optimizer="adam").rate_factor == 1.0


def test_a_device_without_adam_trains_by_sgd_unless_told():
    class Plain(CpuDevice):
        from harness.api import Capabilities

        capabilities = Capabilities(optimizers=("sgd",))

    assert _plan(Plain()).optimizer == "sgd"
    assert _plan(Plain()).learning_rate == 0.1
    assert _plan(Plain(), optimizer="adam").optimizer == "adam"  # which its executor then refuses by name


@pytest.mark.parametrize(
    ("device", "values", "past"),
    [
        (CpuDevice(), {}, "fused"),
        (CpuDevice(), {"interest": "plain"}, "plain"),
        (CpuDevice(), {"data_type": "bfloat16"}, "plain"),
        (CpuDevice(), {"attention": "linear"}, "plain"),
        (CpuDevice(), {"layout": "padded"}, "padded"),
        (CpuDevice(), {"compile": "on"}, "padded"),
        (CudaDevice(), {}, "plain"),
        (IpuDevice(), {}, "padded"),
    ],
)
def test_the_past_is_laid_out_as_the_device_can(device, values, past):
    assert _plan(device, **values).past == past


@pytest.mark.parametrize(
    ("device", "values", "sentence"),
    [
        (IpuDevice(), {"layout": "jagged"}, "layout jagged is not for ipu, whose shapes must not change"),
        (CpuDevice(), {"layout": "jagged", "compile": "on"}, "a jagged past changes its shape with every batch"),
        (CudaDevice(), {"interest": "fused"}, "interest fused is for a CPU, not for cuda"),
        (CpuDevice(), {"interest": "fused", "layout": "padded"}, "interest fused is for a jagged past"),
        (CpuDevice(), {"interest": "fused", "data_type": "bfloat16"}, "for float32, not for bfloat16"),
        (CpuDevice(), {"interest": "fused", "attention_size": 20}, "on the items themselves"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(device, values, sentence):
    with pytest.raises(UsageError) as refused:
        _plan(device, **values)
    assert sentence in refused.value.message


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"fc_layers": ""}, "fc_layers needs at least one layer"),
        ({"use_synthetic_data": True, "protocol": "dien"}, "two different data sets"),
        ({"items": 5, "categories": 6}, "5 items cannot fill 6 categories"),
        ({"max_seq_len": 8}, "mean_length 9 is above max_seq_len 8"),
        ({"micro_batch_size": 0}, "below the smallest allowed"),
        ({"replicas": 0}, "below the smallest allowed"),
        ({"max_seqlen": 5}, "unknown setting 'max_seqlen'"),
    ],
)
def test_impossible_settings_are_refused(values, sentence):
    with pytest.raises(UsageError) as refused:
        build(DINConfig, "train", values)
    assert sentence in refused.value.message
