"""What `bench cache split` answers, writes, draws and refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.commands.support import carry_out, write_bags, write_schema
from workloads.cachesim.curves.make import table_lookups
from workloads.cachesim.policies.simulate import simulate

WIDTHS = (16, 32, 64)  # of write_schema


@pytest.fixture
def bags(tmp_path: Path):
    return write_bags(tmp_path)


def split(folder: Path, **values):
    return carry_out(folder, "split", trace=[str(folder / "bags.npz")], **values)


@pytest.mark.parametrize("policy", ["lru", "belady", "sieve"])
def test_the_hits_told_are_those_of_runs_and_the_budget_is_kept(tmp_path: Path, bags, policy):
    answer, _ = split(tmp_path, budget="4kB", schema=str(write_schema(tmp_path)), policy=policy)
    value = answer.value
    assert value["used"] <= value["budget"] == 4000 and value["unit"] == "bytes"
    assert value["used"] == sum(t["rows"] * width for t, width in zip(value["tables"], WIDTHS, strict=True))
    for lookups, told in zip(table_lookups(bags), value["tables"], strict=True):
        rows = told["rows"]
        hits = simulate(policy, lookups.ids, lookups.unique, rows).hits if rows else 0
        assert (told["table"], told["hits"]) == (lookups.table, hits)
    for other in value["others"]:
        hits = [
            simulate(policy, lookups.ids, lookups.unique, min(rows, lookups.unique)).hits if rows else 0
            for lookups, rows in zip(table_lookups(bags), other["rows"], strict=True)
        ]
        assert other["hits"] == sum(hits) <= value["most_hits"] + 1e-6
    assert max(map(len, answer.lines[:15])) <= 80


def test_load_factors_are_shares_of_the_tables_that_hold_the_rows(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="4kB", schema=str(write_schema(tmp_path, rows=3333)))
    for told in answer.value["tables"]:
        assert 0 <= told["load_factor"] * 3333 - told["rows"] < 0.01
    text = "\n".join(answer.lines)
    assert "CacheAlgorithm.LRU" in text
    namespace: dict = {}
    start = text.index("load_factors = {")
    exec(text[start : text.index("constraints =")], namespace)  # what is printed is Python
    assert namespace["load_factors"] == {told["table"]: told["load_factor"] for told in answer.value["tables"]}


def test_more_and_less_of_the_budget_are_told(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="100", policy="belady")
    assert answer.value["step"] == 10 and answer.value["unit"] == "rows"
    more, _ = split(tmp_path, budget="110", policy="belady")
    less, _ = split(tmp_path, budget="90", policy="belady")
    assert answer.value["hits_with_a_step_more"] == more.value["hits"] > answer.value["hits"]
    assert answer.value["hits_with_a_step_less"] == less.value["hits"] < answer.value["hits"]
    assert any(line.startswith("10 rows more would buy") for line in answer.lines)


def test_one_load_factor_is_a_share_of_the_tables_and_not_of_what_is_looked_up(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="30", schema=str(write_schema(tmp_path, dims=(4, 4, 4), rows=10_000)))
    assert answer.value["others"][0]["rows"] == [10, 10, 10]


def test_a_share_is_of_the_bytes_where_they_are_known(tmp_path: Path, bags):
    in_rows, _ = split(tmp_path, budget="10%")
    assert in_rows.value["budget"] == int(0.1 * bags.unique)
    schema = str(write_schema(tmp_path))
    in_bytes, _ = split(tmp_path, budget="10%", schema=schema)
    everything = sum(rows * width for rows, width in zip(bags.table_unique().tolist(), WIDTHS, strict=True))
    assert in_bytes.value["budget"] == int(0.1 * everything)
    of_tables, _ = split(tmp_path, budget="tables:10%", schema=schema)
    assert of_tables.value["budget"] == 10 * sum(WIDTHS)


def test_a_budget_for_everything_is_said(tmp_path: Path, bags):
    answer, job = split(tmp_path, budget="1GB", schema=str(write_schema(tmp_path)))
    assert answer.value["hits"] == 1200 - bags.unique
    assert "holds all rows that are looked up" in job.warnings()[0]
    assert any("more of the budget buys no hit" in line for line in answer.lines)


def test_without_batches_the_proposer_is_left_out_and_said(tmp_path: Path, bags):
    (tmp_path / "ids.txt").write_text("1\n2\n1\n3\n" * 20)
    answer, job = carry_out(tmp_path, "split", trace=[str(tmp_path / "ids.txt")], budget="2")
    assert [other["hits"] is None for other in answer.value["others"]] == [False, True]
    assert "--batch-size" in answer.value["others"][1]["reason"]
    assert "one table, which gets all of the budget" in job.warnings()[0]
    given, _ = carry_out(tmp_path, "split", trace=[str(tmp_path / "ids.txt")], budget="3", batch_size=8)
    assert given.value["others"][1]["rows"] == [3]


def test_a_budget_below_the_rows_of_a_batch_has_no_proposal(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="5")
    assert "rows of one batch" in answer.value["others"][1]["reason"]
    assert any(line.startswith("TorchRec's proposer is left out") for line in answer.lines)


@pytest.mark.parametrize("name", ["plan.json", "plan.csv"])
def test_the_split_is_written(tmp_path: Path, bags, name):
    answer, _ = split(tmp_path, budget="100", output=str(tmp_path / name))
    text = (tmp_path / name).read_text()
    found = json.loads(text)["tables"] if name.endswith("json") else list(csv.DictReader(text.splitlines()))
    assert [int(each["rows"]) for each in found] == [told["rows"] for told in answer.value["tables"]]
    with pytest.raises(UsageError, match="is there already"):
        split(tmp_path, budget="100", output=str(tmp_path / name))


def test_the_figure_has_each_way_over_the_budget(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="4kB", schema=str(write_schema(tmp_path)))
    (figure,) = answer.figures
    assert figure.log_x and figure.x_label == "budget, bytes"
    optimal, even, proposed = figure.lines
    place = list(optimal.x).index(4000.0)
    assert optimal.y[place] == answer.value["hit_ratio"]
    assert even.y[place] == answer.value["others"][0]["hit_ratio"]
    assert proposed.y[0] is None and proposed.y[place] == answer.value["others"][1]["hit_ratio"]


def test_policies_that_fbgemm_lacks_have_no_settings(tmp_path: Path, bags):
    answer, _ = split(tmp_path, budget="100", policy="sieve", schema=str(write_schema(tmp_path)))
    assert any(
        "no settings to paste for sieve" in " ".join(answer.lines[at : at + 2]) for at in range(len(answer.lines))
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "no budget was named"),
        ({"budget": "40GB"}, "a budget in bytes needs the bytes of a row, and dimension or type of table 't0'"),
        ({"budget": "0"}, "is nothing"),
        ({"budget": "0.01%"}, "holds no row: the narrowest takes 1"),
        ({"budget": "tables:10%"}, "needs the number of rows of table 't0'"),
        ({"budget": "100", "policy": "lru,sieve"}, "is more than one, and a split is made for one"),
        ({"budget": "100", "policy": "lruu"}, "unknown policy 'lruu'"),
        ({"budget": "100", "output": "plan.txt"}, "neither .json nor .csv"),
        ({"budget": "100", "cache_warmup": "100%"}, "neither a number of requests nor a share below 1"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, bags, values, sentence):
    with pytest.raises(UsageError) as error:
        split(tmp_path, **values)
    assert sentence in error.value.message


def test_a_budget_of_less_than_a_row_is_refused(tmp_path: Path, bags):
    with pytest.raises(UsageError, match="a budget of 15B holds no row: the narrowest takes 16 bytes"):
        split(tmp_path, budget="15B", schema=str(write_schema(tmp_path)))
