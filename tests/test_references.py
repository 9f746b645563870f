from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import references
from harness.errors import UsageError
from harness.metrics import SHARED_METRICS
from harness.store.records import ReferenceRecord

ALL = references.load()
BY_NAME = {record.name: record for record in ALL}
_ENTRY = """
[[reference]]
name = "mine"
workload = "dlrm"
device = "x"
dataset = "y"
metric = "auc"
value = 0.5
unit = ""
source = "me"
better = "higher"
"""


def _value(name: str) -> float:
    return BY_NAME[name].value


def test_names_are_unique_and_sources_are_public() -> None:
    assert len(BY_NAME) == len(ALL) > 100
    for record in ALL:
        assert re.search(r"\w/\w|arXiv|\.com|discslab", record.source), record.name
        assert ".md" not in record.source.replace("README.md", ""), record.name


def test_metrics_have_the_shared_names_units_and_directions() -> None:
    own = {"wall_s", "epoch_s", "epochs_to_target", "parameters", "checkpoint_bytes", "io_similarity"}
    for record in ALL:
        if record.metric in own:
            continue
        spec = SHARED_METRICS[record.metric]
        assert (record.unit, record.better, record.kind) in (
            (spec.unit, spec.better, spec.kind),
            (spec.unit, "lower", "ratio"),  # a published evaluation time, where ours has no direction
        ), record.name


@pytest.mark.parametrize("record", [one for one in ALL if one.unit == ""], ids=lambda one: one.name)
def test_qualities_lie_between_zero_and_one(record: ReferenceRecord) -> None:
    if record.metric != "parameters":
        assert 0.0 < record.value < 1.0


def test_published_rates_follow_from_published_times() -> None:
    assert _value("ascend-modelzoo-dlrm-910-throughput") == pytest.approx(128 / 35.02e-3, rel=2e-4)
    assert _value("ascend-modelzoo-dlrm-v100-throughput") == pytest.approx(128 / 15.34e-3, rel=2e-4)
    assert _value("mindspore-dlrm-910-throughput") == pytest.approx(128 / 144e-3, rel=1e-6)
    assert _value("mindspore-dlrm-3090-throughput") == pytest.approx(1280 / 38e-3, rel=1e-5)
    assert _value("zhougr-electronics-din-throughput") == pytest.approx(2_608_764 / 1_092, rel=1e-3)
    assert _value("bars-electronics-din-throughput") == pytest.approx(2_608_764 / (16.6 * 60), rel=1e-3)


def test_mindspore_s_table_contradicts_itself_and_is_never_compared() -> None:
    rows = 39_291_954  # six sevenths of the 45,840,617 lines
    steps = rows // 128
    assert steps == pytest.approx(306_968, abs=2)
    assert steps * 0.144 / 3600 == pytest.approx(12.3, abs=0.05)  # hours, published as 9
    assert 76_742 * 4 == 306_968
    for name in ("throughput", "wall", "loss", "evaluate-log", "evaluate-table"):
        assert not BY_NAME[f"mindspore-dlrm-910-{name}"].comparable
    assert rows / 1280 * 0.038 == pytest.approx(_value("mindspore-dlrm-3090-wall"), rel=0.05)


def test_mlperf_times_and_rates_agree_within_the_samples_of_an_epoch() -> None:
    samples = 4_195_197_692
    for record in ALL:
        if record.name.startswith("mlperf-v") and record.name.endswith("-time"):
            rate = _value(record.name.replace("-time", "-throughput"))
            epochs = record.value * rate / samples
            assert 0.6 < epochs < 1.0, record.name  # what the reference needs for these batches


def test_the_ascend_column_called_acc_is_auc() -> None:
    for name in ("ascend-modelzoo-dlrm-910-auc", "ascend-modelzoo-dlrm-v100-auc"):
        assert BY_NAME[name].metric == "auc"
        assert BY_NAME[name].value == 0.8024
    assert all(record.value != 0.8024 for record in ALL if record.metric == "accuracy")


def test_scores_without_a_definition_compare_with_nothing() -> None:
    scores = [record for record in ALL if record.metric == "io_similarity"]
    assert len(scores) == 4
    assert not any(record.comparable for record in scores)


def test_the_units_of_the_shipped_file_are_plain_numbers_of_the_metric() -> None:
    for record in ALL:
        assert record.value > 0, record.name
        if record.metric.endswith("_s"):
            assert record.unit == "s", record.name


def test_a_user_s_own_file_is_added_behind(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(_ENTRY)
    assert references.load([path])[-1].name == "mine"
    assert references.get("reference:mine", references.load([path])).value == 0.5


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        (_ENTRY + 'sourse = "x"\n', "unknown key 'sourse' in reference 1", "'source'"),
        (_ENTRY.replace('source = "me"\n', ""), "has no source", ""),
        (_ENTRY.replace('"me"', '""'), "has an empty source", ""),
        (_ENTRY.replace("0.5", '"half"'), "value = 'half'", ""),
        (_ENTRY.replace("0.5", "nan"), "not a finite number", ""),
        (_ENTRY.replace('"higher"', '"more"'), "better = 'more'", ""),
        (_ENTRY.replace('"mine"', '"My row"'), "'My row'", ""),
        (_ENTRY + "device_count = true\n", "device_count = True", ""),
        (_ENTRY + "device_count = 1.5\n", "device_count = 1.5", ""),
        (_ENTRY.replace("[[reference]]", "[[references]]"), "unknown key 'references'", "[[reference]]"),
        (_ENTRY.replace("[[reference]]", "[reference]"), "has no list of references", "[[reference]]"),
        (_ENTRY + "[", "is not TOML", ""),
        (_ENTRY.replace('"mine"', '"ascend-modelzoo-dlrm-910-auc"'), "already", "another name"),
    ],
)
def test_a_wrong_reference_is_named(tmp_path: Path, text: str, sentence: str, hint: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as problem:
        references.load([path])
    assert sentence in problem.value.message
    assert str(path) in problem.value.message
    assert hint in (problem.value.hint or "")


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError) as problem:
        references.get("reference:ascend-modelzoo-dlrm-910-acc", ALL)
    assert "'ascend-modelzoo-dlrm-910-auc'" in (problem.value.hint or "")
