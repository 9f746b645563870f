"""Cache simulation keeps the contract of workloads, under the real measurement loop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import workload_contract as contract
from tests.contract.workload_contract import Case

TINY = {"requests": 20_000, "generator_settings": "rows=2000"}
BAGS = {**TINY, "generator_settings": "rows=500,tables=3,pooling=2", "batch_size": 100}
PLAIN = Case(name="cachesim", values=TINY)
TABLES = Case(name="cachesim", values={**BAGS, "caches": "per-table", "policy": "belady", "cache_warmup": "10%"})
BATCHES = Case(
    name="cachesim",
    values={**BAGS, "granularity": "batch", "ways": 32, "look_ahead": 2, "training": True, "cache_warmup": "5000"},
)
ALL = pytest.mark.parametrize("case", [PLAIN, TABLES, BATCHES], ids=["plain", "tables", "batches"])


def test_the_description_is_whole():
    contract.check_description(PLAIN)


@pytest.mark.parametrize("module", ["torch", "numpy", "numba"])
def test_the_description_is_read_without(module: str):
    contract.check_description_is_free_of(PLAIN, module)


@ALL
def test_every_request_is_counted_once(case: Case, tmp_path: Path):
    contract.check_samples_are_counted_once(case, tmp_path)


@ALL
def test_the_trace_is_identified(case: Case, tmp_path: Path):
    contract.check_rows_are_identified(case, tmp_path)


@ALL
def test_the_same_trace_gives_the_same_hits(case: Case, tmp_path: Path):
    contract.check_quality_repeats(case, tmp_path)
