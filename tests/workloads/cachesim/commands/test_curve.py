"""What `bench cache curve` answers, writes, draws and refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import BenchError, UsageError
from tests.workloads.cachesim.commands.support import carry_out, write_bags, write_schema
from workloads.cachesim.commands import shared
from workloads.cachesim.curves.files import read_curves
from workloads.cachesim.curves.offload_stats import read_offload_stats
from workloads.cachesim.policies.simulate import simulate
from workloads.cachesim.traces.select import select_requests
from workloads.cachesim.traces.writers import write_npz


@pytest.fixture
def bags(tmp_path: Path):
    return write_bags(tmp_path)


def curve(folder: Path, **values):
    return carry_out(folder, "curve", trace=[str(folder / "bags.npz")], **values)


def points(answer, policy, cache=0):
    found = next(one for one in answer.value["caches"][cache]["curves"] if one["policy"] == policy)
    return found["points"]


def test_hit_ratios_are_those_of_single_runs(tmp_path: Path, bags):
    answer, job = curve(tmp_path, policy="lru,belady,sieve", size="5%,20,100%")
    for policy in ("lru", "belady", "sieve"):
        for point in points(answer, policy):
            wanted = simulate(policy, bags.ids, bags.unique, point["rows"]).hits
            assert (point["hits"], point["hit_ratio"]) == (wanted, wanted / 1200)
    assert [point["rows"] for point in points(answer, "lru")] == sorted({round(0.05 * bags.unique), 20, bags.unique})
    assert not job.warnings()
    assert max(map(len, answer.lines)) <= 80


def test_one_more_point_is_the_fewest_rows_that_hit_it(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="lru", size="20")
    (point,) = points(answer, "lru")
    wanted = point["rows_for_one_more_point"]
    assert simulate("lru", bags.ids, bags.unique, wanted).hits >= point["hits"] + 12
    assert simulate("lru", bags.ids, bags.unique, wanted - 1).hits < point["hits"] + 12
    assert any(line.split() == ["20", f"+{wanted - 20}"] for line in answer.lines)


def test_a_policy_that_is_run_knows_one_more_point_as_a_bound(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="fifo", size="20", points=6)
    (point,) = points(answer, "fifo")
    bound = point["rows_for_one_more_point"]
    assert simulate("fifo", bags.ids, bags.unique, bound).hits >= point["hits"] + 12
    assert any("≤" in line for line in answer.lines)
    alone, _ = curve(tmp_path, policy="fifo,lru", size="20")
    assert "add --points 24 (fifo)" in " ".join(alone.lines)


@pytest.mark.parametrize("method", ["sizes", "runs"])
def test_other_methods_have_the_hits_of_opt(tmp_path: Path, bags, method):
    every, _ = curve(tmp_path, policy="belady", cache_warmup="10%")
    some, _ = curve(tmp_path, policy="belady", cache_warmup="10%", opt_method=method)
    assert [point["hits"] for point in points(every, "belady")] == [point["hits"] for point in points(some, "belady")]


def test_each_table_has_a_cache_of_its_own(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, per_table=True, policy="lru,sieve", size="10%")
    assert [cache["table"] for cache in answer.value["caches"]] == ["t0", "t1", "t2"]
    for number, cache in enumerate(answer.value["caches"]):
        own = bags.rows_in_table(number)
        ids = bags.ids[(bags.ids >= own.start) & (bags.ids < own.stop)] - own.start
        (point,) = points(answer, "sieve", number)
        assert point["rows"] == round(0.1 * cache["unique"])
        assert point["hits"] == simulate("sieve", ids, cache["unique"], point["rows"]).hits
    assert [figure.title[:4] for figure in answer.figures] == ["lru:", "siev"]
    assert [line.name for line in answer.figures[0].lines] == ["t0", "t1", "t2"]
    assert max(map(len, answer.lines)) <= 80


def test_one_table_is_that_table_among_all(tmp_path: Path, bags):
    every, _ = curve(tmp_path, per_table=True, policy="lru", size="5,50%")
    alone, _ = curve(tmp_path, table="t1", policy="lru", size="5,50%")
    assert points(alone, "lru") == points(every, "lru", 1)


def test_bytes_are_those_of_the_widest_row_or_of_the_table(tmp_path: Path, bags):
    schema = str(write_schema(tmp_path))  # rows of 16, 32 and 64 bytes
    together, _ = curve(tmp_path, schema=schema, size="640B", policy="lru")
    assert [(point["rows"], point["bytes"]) for point in points(together, "lru")] == [(10, 640)]
    alone, _ = curve(tmp_path, schema=schema, size="640B", policy="lru", table="t0")
    assert [(point["rows"], point["bytes"]) for point in points(alone, "lru")] == [(40, 640)]


def test_a_size_beyond_the_rows_is_said(tmp_path: Path, bags):
    answer, job = curve(tmp_path, size="5000", policy="lru,sieve")
    assert [point["hits"] for policy in ("lru", "sieve") for point in points(answer, policy)] == [
        1200 - bags.unique, 1200 - bags.unique,
    ]  # fmt: skip
    (warning,) = job.warnings()
    assert warning.startswith(f"a cache of 5,000 rows is beyond the {bags.unique} rows of the trace")


def test_shards_is_shown_with_its_error(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="lru", shards="0.5")
    shards = answer.value["caches"][0]["shards"]
    assert 0 < shards["mean_error"] <= shards["largest_error"] < 1
    assert [line.name for line in answer.figures[0].lines] == ["lru", "SHARDS 50 %"]
    whole, _ = curve(tmp_path, policy="lru", shards=str(bags.unique))
    assert whole.value["caches"][0]["shards"]["largest_error"] == pytest.approx(0, abs=1e-3)


def test_shards_alone_is_shown_with_its_spread(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="lru", shards="0.5", shards_error="spread")
    cache = answer.value["caches"][0]
    assert cache["curves"] == []
    assert all(point["spread"] >= 0 for point in cache["shards"]["points"])
    assert any("standard deviation" in line for line in answer.lines)


def test_the_whole_curves_are_written(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="lru,fifo", size="20", output=str(tmp_path / "curves.npz"), shards="0.5")
    lru, fifo, shards = read_curves(tmp_path / "curves.npz")
    assert lru.complete and lru.sizes.size == bags.unique + 1
    assert fifo.sizes.tolist() == [20] and shards.policy == "lru-shards" and shards.estimated
    assert answer.value["files"] == [str(tmp_path / "curves.npz")]


def test_torchrec_gets_the_statistics_of_each_table(tmp_path: Path, bags):
    schema = str(write_schema(tmp_path, rows=500))
    _, job = curve(tmp_path, torchrec=str(tmp_path / "stats.json"), schema=schema)
    stats = read_offload_stats(tmp_path / "stats.json")
    assert [(each.table, each.height) for each in stats] == [("t0", 500), ("t1", 500), ("t2", 500)]
    assert not job.warnings()
    _, job = curve(tmp_path, torchrec=str(tmp_path / "others.json"))
    assert "those looked up stand for all" in job.warnings()[0]
    assert read_offload_stats(tmp_path / "others.json")[0].height == bags.table_unique()[0]


def test_figures_are_miss_ratios_over_rows(tmp_path: Path, bags):
    answer, _ = curve(tmp_path, policy="lru,belady,fifo")
    (figure,) = answer.figures
    assert figure.log_x and [line.name for line in figure.lines] == ["lru", "belady", "fifo"]
    for line in figure.lines:
        assert list(line.x) == sorted(set(line.x)) and line.x[0] >= 1 and line.x[-1] == bags.unique
        assert all(0 <= y <= 1 for y in line.y) and line.y[-1] == pytest.approx(bags.unique / 1200)


def test_a_trace_without_reuse_has_a_curve_without_hits(tmp_path: Path):
    (tmp_path / "once.txt").write_text("\n".join(map(str, range(50))) + "\n")
    answer, _ = carry_out(tmp_path, "curve", trace=[str(tmp_path / "once.txt")])
    assert {point["hits"] for point in points(answer, "lru")} == {0}
    assert not any("one more point" in line for line in answer.lines)


def test_a_table_never_asked_is_shown_without_figures(tmp_path: Path, bags):
    write_npz(select_requests(bags, bags.ids < bags.row_base[2]), tmp_path / "bags.npz")
    answer, _ = curve(tmp_path, per_table=True, policy="lru,sieve")
    assert answer.value["caches"][2]["unique"] == 0
    assert any(line.split()[:3] == ["t2", "0", "0"] for line in answer.lines)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"policy": "lrx"}, "unknown policy 'lrx'"),
        ({"size": "0"}, "is nothing, the smallest cache holds one row"),
        ({"size": "much"}, "is no cache size"),
        ({"size": "1GB"}, "must be known for this capacity"),
        ({"size": "0.0001%"}, "less than one row"),
        ({"table": "t9"}, "no table 't9'"),
        ({"table": "t0", "per_table": True}, "--table names one table, --per-table asks for all"),
        ({"shards": "1GB"}, "neither a rate nor a number of rows"),
        ({"shards": "0.5", "per_table": True}, "for one cache, not for each table"),
        ({"shards": "0.5", "policy": "sieve"}, "lru is not among the policies"),
        ({"shards": "0.5", "cache_warmup": "10%"}, "leave"),
        ({"cache_warmup": "5000"}, "leaves none of the 1,200 requests"),
        ({"output": "x.txt"}, "written as .npz, .json or .csv"),
        ({"output": "there.npz"}, "is there already"),
        ({"torchrec": "x.pt"}, "does not end in .json"),
        ({"policy": "lru", "limit": 0}, "limit = 0"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, bags, monkeypatch, values, sentence):
    monkeypatch.chdir(tmp_path)
    Path("there.npz").touch()
    with pytest.raises(BenchError) as error:
        curve(tmp_path, **values)
    assert isinstance(error.value, UsageError)
    assert sentence in f"{error.value.message} {error.value.hint}"


def test_what_does_not_fit_into_memory_is_said_before_the_start(tmp_path: Path, bags, monkeypatch):
    monkeypatch.setattr(shared.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(UsageError, match=r"the curve needs about 0\.0 GB beside its trace, 0\.0 GB are free"):
        curve(tmp_path)


def test_a_policy_of_ones_own_has_a_curve(tmp_path: Path, bags):
    (tmp_path / "mine.py").write_text(
        "class Everything:\n"
        "    def __init__(self, capacity, n_rows):\n"
        "        self.seen = set()\n"
        "    def access(self, row):\n"
        "        hit = row in self.seen\n"
        "        self.seen.add(row)\n"
        "        return hit\n"
    )
    answer, _ = curve(tmp_path, policy="lru,everything", policy_file=str(tmp_path / "mine.py"), size="20")
    assert points(answer, answer.value["caches"][0]["curves"][1]["policy"])[0]["hits"] == 1200 - bags.unique
