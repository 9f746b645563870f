"""Settings of which `bench run` takes several values at once: each combination is a cell."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Bench


def _cells(bench: Bench, *arguments: str) -> list[dict[str, Any]]:
    result = bench("run", "cachesim", *arguments, "--dry-run", "--json")
    assert result.code == 0, result.err
    found: list[dict[str, Any]] = json.loads(result.out)["cells"]
    return found


def _pairs(cells: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(cell["params"]["policy"], cell["params"]["capacity"]) for cell in cells]


def test_every_combination_is_a_cell_in_the_order_of_the_values(bench: Bench) -> None:
    cells = _cells(bench, "--policy", "sieve,lru", "--capacity", "1%, 10%")
    assert _pairs(cells) == [("sieve", "1%"), ("sieve", "10%"), ("lru", "1%"), ("lru", "10%")]
    assert cells[1]["label"] == "policy=sieve, capacity=10%"
    assert cells[1]["origins"]["policy"] == "--policy"
    assert len({json.dumps(cell["params"], sort_keys=True) for cell in cells}) == 4


def test_one_value_is_one_cell_without_a_label_of_values(bench: Bench) -> None:
    (cell,) = _cells(bench, "--policy", "lru")
    assert cell["label"] == "cachesim"


def test_the_strongest_source_gives_all_values(bench: Bench) -> None:
    cells = _cells(bench, "--profile", "cachesim-policies", "--policy", "LRU,opt", "--set", "capacity=5%")
    assert _pairs(cells) == [("lru", "5%"), ("belady", "5%")]
    assert len(_cells(bench, "--profile", "cachesim-policies")) == 60


def test_all_is_every_policy_but_variants(bench: Bench) -> None:
    names = [policy for policy, _ in _pairs(_cells(bench, "--policy", "all"))]
    assert len(names) == len(set(names)) == 15
    assert "belady" in names and "belady-bypass" not in names


def test_an_unknown_value_is_named_with_the_nearest(bench: Bench) -> None:
    result = bench("run", "cachesim", "--policy", "lru,sive", "--dry-run")
    assert result.code == 2
    assert "unknown policy 'sive'" in result.err and "'sieve'" in result.err


def test_a_sweep_varies_them_as_any_setting(bench: Bench) -> None:
    result = bench("sweep", "cachesim", "--over", "policy=lru,fifo", "--over", "capacity=10,20", "--dry-run", "--json")
    assert len(json.loads(result.out)["cells"]) == 4
