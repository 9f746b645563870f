"""The settings say what they are, refuse what cannot be, and need neither torch nor numpy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.errors import UsageError
from harness.registry import Registry
from harness.settings import build, jsonable, settings_of
from workloads.common.clicks import CRITEO_CARDINALITIES
from workloads.dlrm.config import DESCRIPTION, KAGGLE_CARDINALITIES, DLRMConfig
from workloads.dlrm.sizes import model_sizes, work_per_step


def test_registry_finds_the_description():
    assert Registry().workload("dlrm") is DESCRIPTION


def test_description_imports_neither_torch_nor_numpy():
    program = (
        "import sys; import workloads.dlrm.config; import workloads.dlrm.sizes; "
        "assert not {'torch', 'numpy', 'psutil'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_setting_tells_what_it_is_and_builds_from_its_own_json():
    for item in settings_of(DLRMConfig):
        assert item.help
        assert item.group != "Workload"
    for mode in DESCRIPTION.modes:
        config = build(DLRMConfig, mode, {})
        assert build(DLRMConfig, mode, jsonable(config)) == config


def test_defaults_are_the_kaggle_configuration():
    train, evaluate = (build(DLRMConfig, mode, {}) for mode in ("train", "eval"))
    assert (train.batch, train.learning_rate, train.optimizer) == (128, 0.1, "sgd")
    assert evaluate.batch == train.evaluation_batch == 16_384
    assert KAGGLE_CARDINALITIES == CRITEO_CARDINALITIES


def test_kaggle_model_has_540677217_parameters():
    sizes = model_sizes(DLRMConfig(), KAGGLE_CARDINALITIES)
    assert sum(KAGGLE_CARDINALITIES) == 33_762_577
    assert sizes.top[0] == 367
    assert (sizes.table_parameters, sizes.dense_parameters) == (540_201_232, 475_985)
    assert sizes.parameters == 540_677_217
    assert sizes.table_bytes("adagrad") == 2 * sizes.table_bytes("sgd") == 2 * 4 * 540_201_232


@pytest.mark.parametrize(
    ("interaction", "itself", "width"), [("dot", False, 367), ("dot", True, 394), ("cat", False, 432)]
)
def test_the_interaction_decides_the_width_of_the_top_mlp(interaction, itself, width):
    config = DLRMConfig(interaction=interaction, interaction_self=itself)
    assert model_sizes(config, KAGGLE_CARDINALITIES).top[0] == width


def test_work_counts_the_products_and_rows_of_the_definition():
    sizes = model_sizes(DLRMConfig(), KAGGLE_CARDINALITIES)
    forward = 13 * 512 + 512 * 256 + 256 * 64 + 64 * 16 + 367 * 512 + 512 * 256 + 256 + 351 * 16
    evaluate = work_per_step(sizes, 10, training=False, optimizer="sgd")
    assert evaluate.flops == 10 * 2 * forward
    assert evaluate.gathered_rows == 10 * 5  # five tables are too large for any cache
    train = work_per_step(sizes, 10, training=True, optimizer="sgd")
    assert train.flops == 10 * (6 * forward - 2 * 13 * 512)  # no gradient for the features themselves
    assert train.flops / 10 == pytest.approx(2.9e6, rel=0.02)
    assert (train.gathered_rows, train.row_bytes) == (10 * 5 * 2, 64)
    assert work_per_step(sizes, 10, training=True, optimizer="adagrad").gathered_rows == 10 * 6 * 4
    assert model_sizes(DLRMConfig(), [1000] * 26).uncached_tables("adagrad") == 0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"bottom_mlp": (512, 8)}, "bottom MLP ends in 8"),
        ({"top_mlp": (512, 2)}, "top MLP ends in 2"),
        ({"top_mlp": ()}, "at least one layer"),
        ({"cardinalities": (10, 20)}, "has 2 numbers, expected 26"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "less than a twentieth"),
        ({"teacher_pairs": ("1x5",)}, "expected two columns like 1-5"),
        ({"teacher_pairs": ("5-5",)}, "two different columns"),
        ({"teacher_pairs": ("1-27",)}, "two different columns of 1 to 26"),
    ],
)
def test_impossible_configurations_are_refused_by_name(values, named):
    with pytest.raises(UsageError) as refused:
        build(DLRMConfig, "train", values)
    assert named in refused.value.message


def test_pairs_count_from_one_outside_and_from_zero_inside():
    assert build(DLRMConfig, "train", {"teacher_pairs": "1-5, 9-17"}).pairs() == ((0, 4), (8, 16))


def test_the_cap_cuts_only_larger_tables():
    sizes = DLRMConfig(table_rows=1000).table_sizes()
    assert max(sizes) == 1000
    assert sizes[8] == 3
