from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from harness.analysis import words
from harness.report.terminal import (
    cell_details,
    experiment_panel,
    plain_table,
    print_table,
    settings_table,
)
from harness.store.records import ExperimentRecord
from tests.report.results import cell, experiment, run


def _text(renderable: Any, width: int = 80, *, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, highlight=False, markup=False)
    console.print(renderable)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in shown.splitlines()) <= width or terminal
    return str(shown)


def _panel(given: ExperimentRecord, width: int = 80) -> str:
    return _text(
        experiment_panel(given, database="results.db", width=width, next_commands=("bench show expaaa",)), width
    )


def test_the_panel_tells_what_was_asked_for() -> None:
    text = _panel(experiment(tags=("first",)))
    for part in (
        "dlrm train on cpu · demo",
        "12.2k samples/s  [12.0k, 12.4k]  median of 5 runs",
        "auc 0.7431",
        "best possible 0.7981",
        "23 % of the limit set by random row accesses",
        "none seen in 5 runs",
        "built-in click log · 600,000 rows",
        "results.db · experiment expaaa · first",
        "bench show expaaa",
    ):
        assert part in text, part


def test_contention_is_said_with_its_reason() -> None:
    text = _panel(experiment(cell(0, run(0), run(1, contended=True))))
    assert "1 of 2 runs contended: other processes used 34 % of the cores" in text
    assert "could not be judged" in _panel(experiment(cell(0, run(0, contended=None))))


def test_failed_runs_say_why_and_an_undefined_quality_is_no_zero() -> None:
    text = _panel(experiment(cell(0, run(0, auc=None), run(1, status="crashed", reason="killed by SIGKILL"))))
    assert "1 ok, 1 crashed: killed by SIGKILL" in text
    assert "auc – (undefined)" in text
    assert "no run ended well" in _panel(experiment(cell(0, run(0, status="failed", reason="it raised"))))


def test_an_emulated_device_is_shown_as_such() -> None:
    assert "emulated: shown, and never ranked" in _panel(experiment(cell(0, device_kind="emulated")))
    assert "never ranked" not in _panel(experiment())


def test_no_known_limit_is_said() -> None:
    plain = run(0)
    without = [metric for metric in plain.metrics if metric.name != "roofline_share"]
    from dataclasses import replace

    assert "machine limit  – not known" in _panel(experiment(cell(0, replace(plain, metrics=tuple(without)))))


def test_several_cells_become_one_table() -> None:
    text = _panel(experiment(cell(0), cell(1), command="sweep", interleaved=True))
    assert "sweep of 2 cells" in text
    assert "batch=128" in text
    assert "batch=256" in text
    assert "interleaved" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_the_panel_fits_its_width(width: int) -> None:
    _panel(experiment(), width)
    _panel(experiment(cell(0), cell(1)), width)


def test_details_list_every_run_and_metric() -> None:
    text = _text(cell_details(cell(0, run(0), run(1, status="timeout", reason="no word for 5m"))), 100)
    assert "run0aa" in text
    assert "timeout" in text
    assert "no word for 5m" in text
    assert "hit_ratio{table=a}" in text


def test_without_a_terminal_there_is_no_escape_and_nothing_is_cut() -> None:
    console = Console(file=io.StringIO(), width=40, highlight=False)
    print_table(console, plain_table(["a", "b"], [["x" * 60, "y" * 30]]))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "x" * 60 in text


def test_settings_are_shown_as_they_are_typed() -> None:
    assert [words.setting_text(value) for value in (None, True, [512, 256], "auto", 1.5, [])] == [
        "–", "true", "512,256", "auto", "1.5", "–",
    ]  # fmt: skip
    assert "--batch" in _text(settings_table([("batch", 3, "--batch")]))
