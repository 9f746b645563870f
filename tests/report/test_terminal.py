from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, Group

from harness.report.terminal import cell_details, experiment_panel
from harness.store.records import ExperimentRecord, MetricRecord
from tests.analysis.build import reference
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
    assert "could not be judged on this machine" in _panel(experiment(cell(0, run(0, contended=None))))


def test_contention_counts_every_run_that_was_judged_however_it_ended() -> None:
    partial = run(1, status="interrupted", contended=True)
    assert "1 of 2 runs contended" in _panel(experiment(cell(0, run(0), partial)))
    assert "1 of 1 run contended" in _panel(experiment(cell(0, partial)))
    assert "contention     –" in _panel(experiment(cell(0, run(0, status="failed", contended=None))))


def test_what_could_not_be_judged_says_why() -> None:
    why = "contention could not be judged: only 0.15 s were measured"
    unknown = replace(run(1, contended=None), contention_reason=why)
    assert "could not be judged: only 0.15 s were measured" in _panel(experiment(cell(0, unknown)))
    both = _panel(experiment(cell(0, run(0), unknown)))
    assert "none seen in 1 run; 1 could not be judged" in both
    details = _text(Group(*cell_details(cell(0, unknown))), 100)
    assert why in details
    assert "?" in details


def test_an_interrupted_run_shows_what_it_had_measured() -> None:
    measured = replace(run(0, status="interrupted", reason="stopped by the person"), metrics=run(0).metrics)
    text = _panel(experiment(cell(0, measured), status="interrupted"))
    assert "12.00k samples/s  of 1 run, interrupted: not counted" in text


def test_a_repeat_that_was_run_again_counts_once() -> None:
    stopped = replace(run(0, status="interrupted", reason="stopped by the person"), id="old", order_index=0)
    again, other = replace(run(0), order_index=1), replace(run(1), order_index=2)
    assert "interrupted" not in _panel(experiment(cell(0, stopped, again, other), command="run"))
    several = _panel(experiment(cell(0, stopped, again), replace(cell(1, other), id="second"), command="sweep"))
    assert "runs           2 ok" in " ".join(several.split("│")) or "2 ok" in several
    assert "1 interrupted" not in several


def test_the_data_line_cuts_hashes_alone_and_counts_skipped_rows() -> None:
    digest = "4e502ed7935423209549c49a5da5f99f"
    text = _panel(experiment(cell(0, data={"fingerprint": digest, "kind": "full", "rows": 298, "path": "train.txt"})))
    assert "train.txt · 298 rows · full 4e502ed79354 " in text
    words_ = _panel(experiment(cell(0, data={"fingerprint": "uniform-2000000", "kind": "generated"})))
    assert "data           generated uniform-2000000 " in words_
    skipped = MetricRecord(name="rows_skipped", value=2.0, unit="rows", kind="exact")
    one = replace(run(0), metrics=(*run(0).metrics, skipped))
    assert "600,000 rows, 2 malformed rows skipped" in _panel(experiment(cell(0, one)))


@pytest.mark.parametrize(
    ("engine", "word"), [("off: not asked for", "prepare 1.3 s"), ("on: inductor", "compile 1.3 s")]
)
def test_time_to_prepare_is_called_compile_only_where_something_was_compiled(engine: str, word: str) -> None:
    prepared = MetricRecord(name="compile_s", value=1.3, unit="s", phase="setup")
    one = replace(run(0), metrics=(*run(0).metrics, prepared))
    assert word in _panel(experiment(cell(0, one, engine={"engine_resolved": "eager", "compile": engine})))


def test_a_short_measurement_is_not_put_beside_published_ones() -> None:
    def panel(measure_s: float) -> str:
        timed = MetricRecord(name="measure_s", value=measure_s, unit="s")
        one = cell(0, replace(run(0), metrics=(*run(0).metrics, timed)))
        return _text(experiment_panel(experiment(one), database="x", references=(reference(),)))

    assert "published" in panel(1.5)
    assert "published" not in panel(0.5)


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
    text = _text(Group(*cell_details(cell(0, run(0), run(1, status="timeout", reason="no word for 5m")))), 100)
    assert "run0aa" in text
    assert "timeout" in text
    assert "no word for 5m" in text
    assert "hit_ratio{table=a}" in text


def test_a_warning_and_settings_to_paste_stand_in_the_result() -> None:
    told = {"warnings": ["the trace is short"], "settings_to_paste": ["cache_sets=3", "load_factor=0.1"]}
    panel = _panel(experiment(cell(0, run(0), engine=told)))
    assert "warning        the trace is short" in panel
    assert "to paste       cache_sets=3" in panel and "load_factor=0.1" in panel
    several = _panel(experiment(cell(0, run(0)), cell(1, run(1), engine=told)))
    assert "1 cell of 2, the first: the trace is short" in several
