"""DIN keeps the contract of workloads, under the real measurement loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.devices.cpu import CpuDevice
from tests.contract import workload_contract as contract
from tests.contract.workload_contract import Case

TINY = {
    "rows": 1_200, "users": 40, "items": 90, "categories": 9, "embedding_dim": 4, "attention_size": 8,
    "attention_layers": (6, 4), "fc_layers": (8, 4), "max_seq_len": 12, "mean_length": 4, "micro_batch_size": 64,
}  # fmt: skip
TRAIN = Case(name="din", values={**TINY, "warmup": "none", "epochs": 2}, device=CpuDevice)
LIVE = Case(
    name="din", values={**TINY, "warmup": "3", "timing_scope": "end_to_end", "variant": "dien"}, device=CpuDevice
)
INPUT = Case(
    name="din",
    values={**TINY, "warmup": "2", "timing_scope": "compute+input", "gradient_accumulation": 2, "device_iterations": 3},
    device=CpuDevice,
)
INFER = Case(
    name="din", values={**TINY, "mode": "infer", "warmup": "none", "allow_random_weights": True}, device=CpuDevice
)
ALL = pytest.mark.parametrize("case", [TRAIN, LIVE, INPUT, INFER], ids=["train", "dien", "accumulated", "infer"])


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_description_is_whole():
    contract.check_description(TRAIN)


@pytest.mark.parametrize("module", ["torch", "numpy"])
def test_the_description_is_read_without(module: str):
    contract.check_description_is_free_of(TRAIN, module)


@ALL
def test_every_sample_is_counted_once(case: Case, tmp_path: Path):
    contract.check_samples_are_counted_once(case, tmp_path)


@ALL
def test_the_rows_are_identified(case: Case, tmp_path: Path):
    contract.check_rows_are_identified(case, tmp_path)


@ALL
def test_the_same_seed_gives_the_same_quality(case: Case, tmp_path: Path):
    contract.check_quality_repeats(case, tmp_path)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("epochs", "every"), [(2, 500), (3, 1_920)])
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(tmp_path: Path, epochs: int, every: int, optimizer: str):
    """In the middle of an epoch and, at 1,920 samples, between two."""
    case = Case(name="din", values={**TRAIN.values, "epochs": epochs, "optimizer": optimizer}, device=CpuDevice)
    contract.check_resume_equals_an_uninterrupted_run(case, tmp_path, every=every)
