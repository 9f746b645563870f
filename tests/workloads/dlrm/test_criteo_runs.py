"""Runs on files of Criteo text: written here, and the real rows where they are at hand."""

from __future__ import annotations

import csv
import math
import random
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.errors import DataError, RunFailed, UsageError
from workloads.dlrm.workload import DLRMWorkload

from .support import RecordingContext

REAL = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "criteo" / "train.txt"
FILE_MODEL = {"table_rows": None, "learning_rate": 0.1, "batch": 32}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _line(chooser: random.Random, labelled: bool) -> str:
    fields = [str(chooser.randint(0, 1))] if labelled else []
    fields += [chooser.choice(["", "0", "-1", str(chooser.randint(1, 3000))]) for _ in range(13)]
    fields += [chooser.choice(["", *(f"{value:08x}" for value in range(9))]) for _ in range(26)]
    return "\t".join(fields)


def _file(path: Path, rows: int, *, labelled: bool = True, seed: int = 0, bad: int | None = None) -> Path:
    chooser = random.Random(seed)
    lines = [_line(chooser, labelled) for _ in range(rows)]
    if bad is not None:
        lines[bad] = lines[bad].replace("\t", "\tx", 1)
    path.write_text("\n".join(lines) + "\n")
    return path


def _set_up(tmp_path, **values) -> tuple[DLRMWorkload, RecordingContext]:
    context = RecordingContext(tmp_path, **{**FILE_MODEL, **values})
    workload = DLRMWorkload()
    workload.setup(context)
    return workload, context


def _train(workload: DLRMWorkload, epochs: int = 1) -> None:
    for epoch in range(epochs):
        workload.begin_epoch(epoch)
        while not workload.step().epoch_end:
            pass


def _trained_checkpoint(tmp_path, data: Path) -> Path:
    workload, _ = _set_up(tmp_path, data=data)
    _train(workload)
    torch.save({"workload": dict(workload.state_dict()), "harness": {}}, tmp_path / "checkpoint.pt")
    return tmp_path / "checkpoint.pt"


def _pass(workload: DLRMWorkload) -> None:
    workload.begin_epoch(0)
    _finish(workload)


def _finish(workload: DLRMWorkload) -> None:
    while not workload.step().done:
        pass


def test_a_file_is_parsed_once_and_told_of(tmp_path):
    data = _file(tmp_path / "train.txt", 300)
    workload, context = _set_up(tmp_path, data=data)
    assert context.identity is not None
    assert (context.identity.kind, context.identity.rows) == ("full", 300)
    assert context.identity.rules == "split 7/10:1/10:1/5; dense log1p; threshold 3; table rows unlimited"
    assert context.progressed[-1] == (data.stat().st_size, data.stat().st_size, "bytes parsed")
    assert workload.epoch_samples() == 210
    again, second = _set_up(tmp_path, data=data)
    assert not second.progressed
    assert second.identity == context.identity
    assert len(again.evaluate("test")) > 5
    assert not any(metric.name == "auc_bayes" for metric in again.evaluate("test"))


def test_other_preprocessing_is_another_identity(tmp_path):
    data = _file(tmp_path / "train.txt", 300)
    prints = set()
    for values in ({}, {"dense_transform": "log3"}, {"frequency_threshold": 5}, {"table_rows": 6}, {"split": "kaggle"}):
        _, context = _set_up(tmp_path, data=data, **values)
        prints.add(context.identity.fingerprint)
    assert len(prints) == 5


def test_the_cap_keeps_ids_within_it(tmp_path):
    workload, _ = _set_up(tmp_path, data=_file(tmp_path / "train.txt", 300), table_rows=5)
    assert set(workload._data.table_rows) == {5}
    assert int(workload._data.rows.ids.max()) == 4
    _train(workload)


def test_a_malformed_line_stops_the_run_or_is_counted(tmp_path):
    data = _file(tmp_path / "train.txt", 100, bad=41)
    with pytest.raises(DataError, match=r"train\.txt, line 42, column I1 .*'x"):
        _set_up(tmp_path, data=data)
    workload, context = _set_up(tmp_path, data=data, on_bad_row="skip")
    assert context.metrics["rows_skipped"] == 1
    assert any("1 malformed lines were left out" in line for line in context.logs)
    assert workload._data.identity.rows == 99
    _, clean = _set_up(tmp_path, data=_file(tmp_path / "clean.txt", 100), on_bad_row="skip")
    assert clean.metrics["rows_skipped"] == 0


def test_a_damaged_first_line_is_told_as_such(tmp_path):
    """Without its label it has 39 fields; the other lines still say that the file has labels."""
    data = _file(tmp_path / "train.txt", 100)
    data.write_text(data.read_text().partition("\t")[2])
    with pytest.raises(DataError, match=r"train\.txt, line 1: 39 fields separated by tabs, expected 40"):
        _set_up(tmp_path, data=data)
    workload, context = _set_up(tmp_path, data=data, on_bad_row="skip")
    assert context.metrics["rows_skipped"] == 1
    assert workload._data.identity.rows == len(workload._data.rows.labels) == 99


def test_unlabelled_rows_give_a_file_of_predictions(tmp_path):
    checkpoint = _trained_checkpoint(tmp_path, _file(tmp_path / "train.txt", 300))
    data = _file(tmp_path / "test.txt", 70, labelled=False, seed=5)
    workload, context = _set_up(tmp_path, mode="eval", data=data, init_from=checkpoint, batch=32)
    _pass(workload)
    assert {metric.name: metric.value for metric in workload.evaluate("test")} == {"rows_evaluated": 70.0}
    assert context.artifacts["predictions"] == tmp_path / "predictions.csv"
    with context.artifacts["predictions"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == list(range(70))
    assert all(0.0 < float(row["probability"]) < 1.0 for row in rows)


def test_predictions_are_of_double_precision(tmp_path):
    """A float32 sigmoid would write 1 for every logit above 17."""
    checkpoint = _trained_checkpoint(tmp_path, _file(tmp_path / "train.txt", 300))
    state = torch.load(checkpoint, weights_only=True)
    state["workload"]["executor"]["dense"]["top_l.2.bias"] += 25.0
    torch.save(state, checkpoint)
    data = _file(tmp_path / "test.txt", 70, labelled=False, seed=5)
    workload, context = _set_up(tmp_path, mode="eval", data=data, init_from=checkpoint)
    _pass(workload)
    workload.evaluate("test")
    with context.artifacts["predictions"].open(newline="") as file:
        written = [float(row["probability"]) for row in csv.DictReader(file)]
    assert written == pytest.approx([1 / (1 + math.exp(-logit)) for logit in workload._logits.tolist()], rel=1e-15)
    assert max(written) < 1.0
    assert len(set(written)) > 60


@pytest.mark.parametrize("poisoned", [math.nan, math.inf])
def test_predictions_that_are_not_finite_fail_the_run_and_are_not_written(tmp_path, poisoned):
    checkpoint = _trained_checkpoint(tmp_path, _file(tmp_path / "train.txt", 300))
    state = torch.load(checkpoint, weights_only=True)
    state["workload"]["executor"]["dense"]["top_l.2.bias"].fill_(poisoned)
    torch.save(state, checkpoint)
    data = _file(tmp_path / "test.txt", 70, labelled=False, seed=5)
    workload, context = _set_up(tmp_path, mode="eval", data=data, init_from=checkpoint, batch=32)
    workload.begin_epoch(0)
    workload.step()
    with pytest.raises(RunFailed, match=r"^32 of 32 predictions of dlrm are not finite"):
        workload.evaluate("test")
    _finish(workload)
    workload._logits[3:] = 0.0
    with pytest.raises(RunFailed, match=r"^3 of 70 predictions of dlrm are not finite"):
        workload.evaluate("test")
    assert "predictions" not in context.artifacts
    assert not list(tmp_path.glob("predictions*"))


def test_predictions_do_not_depend_on_whether_labels_are_there(tmp_path):
    """The same rows with labels, through the checkpoint's vocabulary, are predicted alike."""
    checkpoint = _trained_checkpoint(tmp_path, _file(tmp_path / "train.txt", 300))
    labelled = _file(tmp_path / "labelled.txt", 70, seed=8)
    bare = tmp_path / "bare.txt"
    bare.write_text("".join(line.partition("\t")[2] + "\n" for line in labelled.read_text().splitlines()))
    found = []
    for data, part in ((labelled, "all"), (bare, "test")):
        workload, _ = _set_up(tmp_path, mode="eval", data=data, init_from=checkpoint, part=part)
        _pass(workload)
        found.append(workload._logits)
    assert np.array_equal(found[0], found[1])


def test_eval_on_the_training_file_judges_its_test_part_as_training_did(tmp_path):
    data = _file(tmp_path / "train.txt", 300)
    trained, _ = _set_up(tmp_path, data=data)
    _train(trained)
    expected = {metric.name: metric.value for metric in trained.evaluate("test")}
    torch.save({"workload": dict(trained.state_dict()), "harness": {}}, tmp_path / "checkpoint.pt")
    workload, _ = _set_up(tmp_path, mode="eval", data=data, init_from=tmp_path / "checkpoint.pt")
    _pass(workload)
    assert {metric.name: metric.value for metric in workload.evaluate("test")} == pytest.approx(expected, abs=1e-6)


def test_unlabelled_rows_cannot_be_trained_on(tmp_path):
    data = _file(tmp_path / "test.txt", 70, labelled=False)
    with pytest.raises(DataError, match="has no labels"):
        _set_up(tmp_path, data=data)
    checkpoint = _trained_checkpoint(tmp_path, _file(tmp_path / "train.txt", 300))
    with pytest.raises(UsageError, match="no labels to learn from"):
        _set_up(tmp_path, data=data, init_from=checkpoint)


def test_missing_and_empty_files_are_told(tmp_path):
    (tmp_path / "empty.txt").touch()
    for name, message in (("none.txt", "does not exist"), ("empty.txt", "is empty")):
        with pytest.raises(DataError, match=message):
            _set_up(tmp_path, data=tmp_path / name)


def test_too_few_rows_are_told(tmp_path):
    with pytest.raises(DataError, match="has 2 rows"):
        _set_up(tmp_path, data=_file(tmp_path / "train.txt", 2))


def test_rows_too_large_for_memory_stay_on_disk(tmp_path, monkeypatch):
    data = _file(tmp_path / "train.txt", 300)
    held, _ = _set_up(tmp_path, data=data)
    monkeypatch.setattr("workloads.dlrm.data.available_bytes", lambda: 1000)
    mapped, context = _set_up(tmp_path, data=data)
    assert any("read from the cache on disk" in line for line in context.logs)
    for workload in (held, mapped):
        _train(workload)
    assert [metric.value for metric in held.evaluate("test")] == [metric.value for metric in mapped.evaluate("test")]


@pytest.mark.skipif(not REAL.exists(), reason="real Criteo rows are not at hand (shared/data/criteo/train.txt)")
def test_real_rows_are_learned_from(tmp_path):
    """The Kaggle model on 7,200 real rows; three seeds, far above what the dense features or chance give."""
    found = []
    for seed in range(3):
        workload, context = _set_up(
            tmp_path, data=REAL, seed=seed, frequency_threshold=10, embedding_dim=16, bottom_mlp=(512, 256, 64, 16),
            top_mlp=(512, 256, 1),
        )  # fmt: skip
        _train(workload, epochs=3)
        values = {metric.name: metric.value for metric in workload.evaluate("test")}
        assert values["rows_evaluated"] == 1440
        assert context.identity.rows == 7200
        found.append(values["auc"])
    assert statistics.mean(found) > 0.69
