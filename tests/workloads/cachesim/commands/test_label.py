"""What `bench cache label` answers, writes and refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import UsageError
from tests.workloads.cachesim.commands.support import carry_out, write_bags, write_schema
from workloads.cachesim import source
from workloads.cachesim.config import CacheSimConfig
from workloads.cachesim.labels.files import read_labels
from workloads.cachesim.labels.make import opt_labels
from workloads.cachesim.labels.text import read_numbers
from workloads.cachesim.traces.formats import read_trace


@pytest.fixture
def bags(tmp_path: Path):
    return write_bags(tmp_path)


def label(folder: Path, **values):
    return carry_out(folder, "label", **{"trace": [str(folder / "bags.npz")], **values})


def test_labels_lie_beside_the_trace_with_all_that_they_mean(tmp_path: Path, bags):
    answer, _ = label(tmp_path)
    found = read_labels(tmp_path / "bags.labels.npz")
    capacity = round(0.1 * bags.unique)
    wanted = opt_labels(bags.ids, bags.unique, capacity)
    assert found.keep.tolist() == wanted.keep.tolist() and found.hits.tolist() == wanted.hits.tolist()
    assert found.misses.tolist() == bags.ids[wanted.hits == 0].tolist()
    assert found.capacities.tolist() == [capacity] and found.capacity_shares[0] == capacity / bags.unique
    known = source.identify(bags, CacheSimConfig(), Path("bags.npz"), 0).fingerprint
    assert found.trace_fingerprint == known == answer.value["trace_fingerprint"]
    assert answer.value["capacity_rows"] == capacity and answer.value["misses"] == 1200 - int(wanted.hits.sum())
    assert max(map(len, answer.lines[:3])) <= 80


def test_the_cache_may_be_told_in_rows_or_bytes(tmp_path: Path, bags):
    schema = str(write_schema(tmp_path))
    by_bytes, _ = label(tmp_path, size="640B", schema=schema)
    by_rows, _ = label(tmp_path, size="10", policy="belady-bypass", force=True)
    assert (by_bytes.value["capacity_rows"], by_rows.value["capacity_rows"]) == (10, 10)
    assert by_rows.value["hits"] >= by_bytes.value["hits"]
    assert read_labels(tmp_path / "bags.labels.npz").policy == "belady-bypass"


def test_shards_of_a_trace_begin_empty_with_sizes_of_their_own(tmp_path: Path, bags):
    answer, _ = label(tmp_path, by="shard", shard=300, output=str(tmp_path / "cut.npz"))
    found = read_labels(tmp_path / "cut.npz")
    assert found.shard_starts.tolist() == [0, 300, 600, 900, 1200]
    assert found.capacities.tolist() == [int(unique * 0.1 + 0.5) for unique in found.unique.tolist()]
    assert not any(found.hits[start] for start in found.shard_starts[:-1])
    assert answer.value["capacity_rows"] == found.capacities.tolist()


def test_each_file_is_a_shard(tmp_path: Path, bags):
    carry_out(
        tmp_path, "sample", trace=[str(tmp_path / "bags.npz")], rate=1.0, shard=300, output=str(tmp_path / "parts")
    )
    answer, job = label(tmp_path, trace=[str(tmp_path / "parts" / "*.npz")], by="shard", size="20%")
    names = [f"parts_{number}" for number in range(4)]
    assert answer.value["files"] == [str(tmp_path / "parts" / f"{name}.labels.npz") for name in names]
    for number, name in enumerate(names):
        part = read_trace([tmp_path / "parts" / f"{name}.npz"])
        found = read_labels(tmp_path / "parts" / f"{name}.labels.npz")
        wanted = opt_labels(part.ids, part.unique, answer.value["shards"][number]["capacity_rows"])
        assert found.keep.tolist() == wanted.keep.tolist()
    assert [each[:2] for each in job.progressed if each[2] == "of the files"] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(UsageError, match="is there already"):
        label(tmp_path, trace=[str(tmp_path / "parts" / "parts_1.npz")], by="shard")


def test_labels_that_a_pattern_matches_are_passed_over(tmp_path: Path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("1\n2\n1\n")
    for _ in range(2):
        values = {"trace": [str(tmp_path / "*")], "by": "shard", "size": "1", "text": True, "force": True}
        answer, _ = label(tmp_path, **values)
        assert [Path(each["trace"]).name for each in answer.value["shards"]] == ["a.txt", "b.txt"]
    with pytest.raises(UsageError, match="holds labels already"):
        label(tmp_path, trace=[str(tmp_path / "a.labels.npz")])


def test_labels_of_several_files_go_into_a_folder(tmp_path: Path, bags):
    for name in ("a.ids", "b.ids"):
        (tmp_path / name).write_text("1\n2\n1\n3\n" * 5)
    paths = [str(tmp_path / "a.ids"), str(tmp_path / "b.ids")]
    label(tmp_path, trace=paths, by="shard", size="2", output=str(tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.labels.npz", "b.labels.npz"]


def test_text_goes_with_the_text_of_sample(tmp_path: Path, bags):
    """Line for line, shard for shard: the files that RecMG's training reads."""
    values = {"trace": [str(tmp_path / "bags.npz")], "shard": 500}
    carry_out(tmp_path, "sample", **values, rate=1.0, text=True, output=str(tmp_path / "parts"))
    answer, _ = label(tmp_path, by="shard", shard=500, text=True, output=str(tmp_path / "parts" / "parts.labels.npz"))
    assert len(answer.value["files"]) == 7
    found = read_labels(tmp_path / "parts" / "parts.labels.npz")
    for number in range(3):
        lines = (tmp_path / "parts" / f"parts_{number}.txt").read_text().splitlines()
        labels = read_numbers(tmp_path / "parts" / f"parts_{number}_cached_trace_opt.txt")
        misses = read_numbers(tmp_path / "parts" / f"parts_{number}_cache_miss_trace.txt")
        start, stop = found.shard_starts[number : number + 2].tolist()
        assert labels.tolist() == found.keep[start:stop].tolist()
        encoded = np.array([int(line.split(", ")[1]) for line in lines])
        assert misses.tolist() == np.where(found.hits[start:stop] == 0, encoded, 0).tolist()


def test_a_cache_beyond_the_rows_is_said(tmp_path: Path, bags):
    answer, job = label(tmp_path, size="5000")
    assert answer.value["kept"] == 1200 - bags.unique
    assert "OPT keeps every row that is used again" in job.warnings()[0]


def test_labels_are_called_after_their_trace(tmp_path: Path):
    for name, expected in [("a.b.txt", "a.b.labels.npz"), ("ids", "ids.labels.npz"), ("x.csv", "x.labels.npz")]:
        (tmp_path / name).write_text("1\n2\n1\n")
        label(tmp_path, trace=[str(tmp_path / name)], size="1")
        assert (tmp_path / expected).exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"trace": []}, "no trace was named"),
        ({"size": "0"}, "is nothing"),
        ({"size": "1GB"}, "must be known for this capacity"),
        ({"shard": 100}, "--shard cuts the trace in shards"),
        ({"by": "shard", "shard": 2, "size": "0.01%"}, "is less than one row"),
        ({"output": "labels.txt"}, "does not end in .npz"),
        ({"output": "bags.npz/labels.npz"}, "nothing can be written into bags.npz"),
        ({"trace": ["bags.npz", "bags.npz"]}, "2 files are labelled as one trace, and where is not said"),
        ({"trace": ["bags.npz", "bags.npz"], "by": "shard"}, "two of the traces would be labelled in"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, bags, monkeypatch, values, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        label(tmp_path, **values)
    assert sentence in error.value.message


def test_text_that_the_layout_cannot_hold_is_refused_before_the_work(tmp_path: Path):
    (tmp_path / "words.txt").write_text("a\nb\na\n")
    with pytest.raises(UsageError, match="strings or negative"):
        label(tmp_path, trace=[str(tmp_path / "words.txt")], text=True, size="1")
    assert [path.name for path in tmp_path.glob("*.npz")] == []
