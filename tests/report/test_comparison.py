from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from harness.analysis.compare import Options, compare
from harness.report.comparison import as_json, cell_metrics, csv_text, markdown, render
from harness.store.records import MetricRecord
from tests.analysis.build import AUC, LATENCY, THROUGHPUT, ab, environment, reference, side

SLOW = [20_000.0, 20_100.0, 19_900.0, 20_050.0, 19_950.0, 20_020.0, 19_980.0]
FAST = [26_200.0, 26_300.0, 26_150.0, 26_250.0, 26_100.0, 26_280.0, 26_180.0]
QUALITY = [0.7700, 0.7702, 0.7698, 0.7701, 0.7699, 0.7700, 0.7700]
MEMORY = MetricRecord(name="memory_peak_bytes", value=None, unit="bytes", better="lower")


def faster():
    columns_a = [(THROUGHPUT, SLOW), (AUC, QUALITY), (MEMORY, [3.2 * 2**30] * 7)]
    columns_b = [(THROUGHPUT, FAST), (AUC, QUALITY), (MEMORY, [3.3 * 2**30] * 7)]
    return compare(*ab(columns_a, columns_b, params={"batch_size": 256, "learning_rate": 0.1}))


def text_of(comparison, width=80):
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=True)
    console.print(render([comparison]))
    return console.export_text()


def test_the_terminal_shows_question_sides_verdict_and_sentence_in_80_columns():
    text = text_of(faster())
    assert "batch_size 128 → 256" in text
    assert "▲ faster" in text
    assert "B is faster: throughput ×1.310 [1.30" in text
    assert "as accurate" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_wide_terminal_also_draws_the_interval():
    assert "●" in text_of(faster(), width=140)
    assert "●" not in text_of(faster(), width=100)


def test_the_sentence_in_the_terminal_is_the_one_of_the_analysis():
    comparison = faster()
    assert comparison.headline in " ".join(text_of(comparison, width=200).split("\n"))


def test_names_that_look_like_markup_are_printed_as_they_are():
    a = side("[bold]A[/bold]", [(THROUGHPUT, SLOW)], label="[red]x")
    assert "[bold]A[/bold]" in text_of(compare(a, side("B", [(THROUGHPUT, FAST)])))


def test_a_forced_comparison_says_so_in_every_format():
    a, b = side("A", [(THROUGHPUT, SLOW)]), side("B", [(THROUGHPUT, FAST)], timing_scope="end_to_end")
    comparison = compare(a, b, Options(force=True))
    assert "FORCED" in text_of(comparison)
    assert "Compared by force" in markdown([comparison])
    assert as_json([comparison])["comparisons"][0]["forced"] is True


def test_many_info_metrics_are_cut_in_the_terminal_and_counted():
    many = [
        (MetricRecord(name="hit_ratio", value=None, unit="", better="higher", labels={"size": str(k)}), SLOW)
        for k in range(20)
    ]
    comparison = compare(side("A", many), side("B", many))
    assert "12 more metrics in --format markdown, csv or json." in text_of(comparison)
    assert markdown([comparison]).count("| hit_ratio{size=") == 20


def test_metrics_of_one_side_are_listed_with_the_reason():
    comparison = compare(side("A", [(THROUGHPUT, SLOW), (LATENCY, SLOW)]), side("B", [(THROUGHPUT, FAST)]))
    assert "Not compared, only A measured it: latency_p99_s." in text_of(comparison)


def test_markdown_is_a_table_whose_cells_cannot_break_it():
    a = side("run|one", [(THROUGHPUT, SLOW)])
    text = markdown([compare(a, side("B", [(THROUGHPUT, FAST)], environment=environment(python={"version": "<3|4>"})))])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}
    assert "run\\|one" in text
    assert "&lt;3\\|4>" in text


def test_csv_has_one_row_a_metric_and_leaves_unknown_numbers_empty():
    rows = list(csv.DictReader(io.StringIO(csv_text([faster()]))))
    assert [row["metric"] for row in rows] == ["throughput", "auc", "memory_peak_bytes"]
    assert rows[0]["verdict"] == "better"
    assert float(rows[0]["estimate"]) == pytest.approx(1.31, rel=0.01)
    assert rows[2]["verdict"] == rows[2]["p_holm"] == ""


def test_json_survives_a_round_trip_and_holds_every_value():
    document = as_json([faster()])
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    (one,) = document["comparisons"]
    assert document["schema"] == 1
    assert one["subject"] == [{"key": "batch_size", "a": 128, "b": 256, "refused": False}]
    assert one["metrics"]["throughput"]["a_values"] == SLOW
    assert one["metrics"]["throughput"]["verdict"] == "better"
    assert one["headline"] == one["metrics"]["throughput"]["sentence"]


def test_a_reference_is_shown_by_ratio_without_a_verdict():
    comparison = compare(side("A", [(THROUGHPUT, FAST)]), reference())
    text = text_of(comparison)
    assert "A / B" in text
    assert "(no verdict)" in text
    assert "Published: https://example.org/models/dlrm." in text
    assert json.dumps(as_json([comparison]))


def test_cell_metrics_summarise_the_runs_that_ended_well():
    one = side("A", [(THROUGHPUT, [*SLOW[:6], 1.0]), (AUC, [None, *QUALITY[1:]])])
    runs = (*one.cell.runs[:6], replace(one.cell.runs[6], status="crashed"))
    found = cell_metrics(replace(one.cell, runs=runs))
    assert found["throughput"] == {
        "median": 20_010.0,
        "low": 19_900.0,
        "high": 20_100.0,
        "n": 6,
        "unit": "samples/s",
        "better": "higher",
        "role": "primary",
    }
    assert found["auc"]["n"] == 5
