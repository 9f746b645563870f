from __future__ import annotations

import json

from harness.report import result_json
from tests.report.results import cell, experiment, run


def test_the_document_has_the_published_schema() -> None:
    body = result_json.document(experiment())
    assert body["schema"] == 1
    assert body["experiment"] == "expaaaaaaaaa"
    (found,) = body["cells"]
    assert found["data_fingerprint"] == "a1b2c3"
    assert found["params"] == {"batch": 128}
    assert found["runs"][0]["metrics"]["auc"] == {
        "value": 0.7431, "unit": "", "better": "higher", "phase": "evaluate", "role": "gate",
    }  # fmt: skip
    assert found["metrics"]["throughput"] == {
        "median": 12_200.0, "low": 12_000.0, "high": 12_400.0, "n": 5, "unit": "samples/s", "better": "higher",
        "role": "primary",
    }  # fmt: skip


def test_labelled_metrics_stand_under_their_labels() -> None:
    (found,) = result_json.document(experiment())["cells"]
    assert found["runs"][0]["metrics"]["hit_ratio{table=a}"]["value"] == 0.5
    assert found["metrics"]["hit_ratio{table=a}"]["n"] == 5


def test_runs_that_did_not_end_well_are_listed_and_count_for_nothing() -> None:
    body = result_json.document(experiment(cell(0, run(0), run(1, status="crashed", reason="killed by SIGKILL"))))
    (found,) = body["cells"]
    assert [(one["status"], one["reason"]) for one in found["runs"]] == [("ok", None), ("crashed", "killed by SIGKILL")]
    assert found["metrics"]["throughput"]["n"] == 1
    assert found["metrics"]["throughput"]["low"] is None


def test_what_is_undefined_is_null_and_text_is_strict_json() -> None:
    body = result_json.document(experiment(cell(0, run(0, auc=None), run(1, throughput=float("nan")))))
    text = result_json.text(body)
    assert json.loads(text, parse_constant=lambda name: name) == json.loads(text)
    assert "NaN" not in text
    assert body["cells"][0]["metrics"]["auc"]["n"] == 1
