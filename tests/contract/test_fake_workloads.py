"""The contract of workloads, kept by the four fakes that later work resembles."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import workload_contract as contract
from tests.contract.workload_contract import Case
from tests.fakes.measure import FAKES

STEADY = Case(name="steady", plugins=(FAKES,), values={"rows": 200, "batch": 10, "epochs": 2})
MANY = Case(name="many", plugins=(FAKES,), values={"size": 40})
DRIVEN = Case(name="driven", plugins=(FAKES,), quality=False)
RANKS = Case(name="ranks", plugins=(FAKES,), values={"steps": 5})
GATHER = Case(
    name="gather",
    plugins=(Path(__file__).resolve().parents[2] / "docs" / "examples" / "gather.py",),
    values={"rows": 1000, "batch": 64, "steps": 20, "warmup": "none"},
    quality=False,
)
ALL = pytest.mark.parametrize("case", [STEADY, MANY, DRIVEN, RANKS, GATHER], ids=lambda case: case.name)


@ALL
def test_the_description_is_whole(case: Case) -> None:
    contract.check_description(case)


@ALL
def test_the_description_is_read_without_torch(case: Case) -> None:
    contract.check_description_is_free_of(case, "torch")


@ALL
def test_every_sample_is_counted_once(case: Case, tmp_path: Path) -> None:
    contract.check_samples_are_counted_once(case, tmp_path)


@pytest.mark.parametrize("case", [STEADY, MANY, GATHER], ids=lambda case: case.name)
def test_the_rows_are_identified(case: Case, tmp_path: Path) -> None:
    contract.check_rows_are_identified(case, tmp_path)


@ALL
def test_the_same_seed_gives_the_same_quality(case: Case, tmp_path: Path) -> None:
    contract.check_quality_repeats(case, tmp_path)


def test_a_resumed_run_ends_where_an_uninterrupted_one_ends(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    contract.check_resume_equals_an_uninterrupted_run(STEADY, tmp_path, every=150)
