"""What `bench cache …` does, without the process around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import UsageError
from harness.registry import load
from tests.workloads.cachesim.commands.support import carry_out, write_bags
from tests.workloads.cachesim.support import same_trace
from workloads.cachesim.commands.description import GROUP
from workloads.cachesim.generators.zipf import reference_zipf
from workloads.cachesim.traces.formats import read_trace
from workloads.cachesim.traces.options import ReadOptions


@pytest.fixture
def bags(tmp_path: Path):
    return write_bags(tmp_path)


def test_the_description_is_read_without_numpy():
    script = (
        "import sys, workloads.cachesim.commands.description; sys.exit(bool({'numpy', 'numba'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_command_has_its_work():
    for command in GROUP.commands:
        assert callable(load(command.work, command.name))
        assert set(command.arguments) <= set(command.config.__dataclass_fields__)


def test_inspect_reports_figures_and_lines(tmp_path: Path, bags):
    answer, _ = carry_out(tmp_path, "inspect", trace=[str(tmp_path / "bags.npz")])
    assert (answer.value["requests"], answer.value["samples"], answer.value["batches"]) == (1200, 200, 10)
    assert max(map(len, answer.lines)) <= 80


def test_generate_writes_the_trace_of_its_settings(tmp_path: Path, bags):
    out = tmp_path / "made.npz"
    values = {"generator": "zipf", "requests": 1200, "settings": "rows=100,tables=3,pooling=2", "batch_size": 20}
    answer, _ = carry_out(tmp_path, "generate", output=str(out), **values)
    same_trace(read_trace([out]), bags)
    assert answer.value["batches"] == 10


def test_generate_makes_the_reference_and_nothing_like_it(tmp_path: Path):
    out = tmp_path / "reference.npz"
    carry_out(tmp_path, "generate", generator="reference", requests=500, output=str(out))
    assert read_trace([out]).source_ids().tolist() == reference_zipf(500).source_ids().tolist()
    with pytest.raises(UsageError, match="the reference trace is fixed"):
        carry_out(tmp_path, "generate", generator="reference", seed=7, output=str(tmp_path / "other.npz"))


@pytest.mark.parametrize("generator", ["zipf", "reference"])
def test_generate_asks_for_memory_first(tmp_path: Path, monkeypatch, generator):
    monkeypatch.setattr("workloads.cachesim.generators.registry.available_bytes", lambda: 4 * 10**9)
    with pytest.raises(UsageError, match=r"20,000,000,000 requests needs about .* GB, 4\.00 GB of memory are free"):
        carry_out(tmp_path, "generate", generator=generator, requests=20_000_000_000, output=str(tmp_path / "x.npz"))
    assert not (tmp_path / "x.npz").exists()


def test_one_table_is_no_tables(tmp_path: Path):
    answer, _ = carry_out(tmp_path, "generate", requests=10, output=str(tmp_path / "x.npz"))
    assert " rows, 1 table, " in answer.lines[0]


def test_convert_keeps_the_lookups(tmp_path: Path, bags):
    source = [str(tmp_path / "bags.npz")]
    carry_out(tmp_path, "convert", trace=source, output=str(tmp_path / "text.txt"))
    text = read_trace([tmp_path / "text.txt"], ReadOptions(format="recmg"))
    assert text.source_ids().tolist() == bags.source_ids().tolist()
    carry_out(tmp_path, "convert", trace=source, output=str(tmp_path / "records"), to="oracleGeneral")
    records = read_trace([tmp_path / "records"], ReadOptions(format="oracleGeneral"))
    assert np.unique(records.ids).size == bags.unique


def test_a_sample_by_row_scales_cache_sizes(tmp_path: Path, bags):
    answer, job = carry_out(
        tmp_path, "sample", trace=[str(tmp_path / "bags.npz")], rate=0.5, output=str(tmp_path / "half.npz")
    )
    half = read_trace([tmp_path / "half.npz"])
    assert half.requests == answer.value["requests"] < 1200
    assert "1,000,000 are 500,000" in answer.lines[1]
    assert not job.said


def test_a_sample_by_batch_is_warned_of_and_written_in_shards(tmp_path: Path, bags):
    values = {"trace": [str(tmp_path / "bags.npz")], "rate": 0.8, "by": "batch", "output": str(tmp_path / "shards")}
    answer, job = carry_out(tmp_path, "sample", **values, shard=300, text=True)
    assert answer.value["requests"] == 960
    assert [len(Path(path).read_text().splitlines()) for path in answer.value["files"]] == [300, 300, 300, 60]
    assert [level for level, _ in job.said] == ["warning"]
    with pytest.raises(UsageError, match="holds shards of that name already"):
        carry_out(tmp_path, "sample", **values, shard=300)


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("convert", {"trace": ["bags.npz"]}, "no file was named to write to"),
        ("convert", {"trace": ["bags.npz"], "output": "bags.npz"}, "is there already"),
        ("convert", {"trace": ["bags.npz"], "output": "x.what"}, "does not tell its format"),
        ("inspect", {}, "no trace was named"),
        ("sample", {"trace": ["bags.npz"], "output": "x.txt"}, "does not end in .npz"),
        ("sample", {"trace": ["bags.npz"], "output": "x.npz", "shuffle": True}, "rows are sampled"),
        ("generate", {"output": "x.npz", "settings": "colour=3"}, "has no setting 'colour'"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, bags, monkeypatch, name, values, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        carry_out(tmp_path, name, **values)
