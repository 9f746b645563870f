"""DLRM keeps the contract of workloads, under the real measurement loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harness.devices.cpu import CpuDevice
from tests.contract import workload_contract as contract
from tests.contract.workload_contract import Case

from .support import TINY

TRAIN = Case(name="dlrm", values={**TINY, "warmup": "none", "epochs": 2}, device=CpuDevice)
LIVE = Case(name="dlrm", values={**TINY, "warmup": "3", "timing_scope": "end_to_end"}, device=CpuDevice)
EVAL = Case(name="dlrm", values={**TINY, "mode": "eval", "allow_random_weights": True}, device=CpuDevice)
ALL = pytest.mark.parametrize("case", [TRAIN, LIVE, EVAL], ids=["train", "end_to_end", "eval"])


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


@pytest.mark.parametrize(("epochs", "every"), [(2, 500), (2, 2000), (3, 2800)])
def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(tmp_path: Path, epochs: int, every: int):
    """In the middle of an epoch and, at 2,800 samples, between two."""
    case = Case(name="dlrm", values={**TRAIN.values, "epochs": epochs}, device=CpuDevice)
    contract.check_resume_equals_an_uninterrupted_run(case, tmp_path, every=every)
