from __future__ import annotations

import io
import re
from dataclasses import replace

from rich.console import Console

from harness.execution.snapshot import CellView, LineView, MetricView, RunView, Snapshot, WindowView
from harness.report.plain import PlainFace


def _window(number: int, phase: str = "measure") -> WindowView:
    return WindowView(
        number=number, run_id="r0", phase=phase, index=number, at_s=number + 1.0, samples=12_000, seconds=1.0, loss=0.5,
        total=12_000 * (number + 1),
    )  # fmt: skip


def _run(windows: int, status: str = "running", **changes: object) -> RunView:
    facts: dict[str, object] = {
        "id": "r0",
        "cell_id": "c0",
        "repeat": 0,
        "status": status,
        "phase": "measure",
        "started_at": "2026-11-03T14:05:00Z",
        "samples": 12_000 * windows,
        "eta_s": 42.0,
        "throughput": 12_000.0,
        "windows": tuple(_window(number) for number in range(windows)),
    }
    return RunView(**{**facts, **changes})  # type: ignore[arg-type]


def _snapshot(*runs: RunView, lines: tuple[LineView, ...] = (), cells: int = 1, **changes: object) -> Snapshot:
    made = tuple(
        CellView(
            id=f"c{index}", index=index, label=f"cell {index}", workload="dlrm", mode="train", device="cpu", repeats=2,
            profile="demo", runs=runs if index == 0 else (),
        )
        for index in range(cells)
    )  # fmt: skip
    facts: dict[str, object] = {
        "experiment_id": "expaaaaaaaaa",
        "command": "run",
        "database": "results.db",
        "state": "running",
        "started_at": "2026-11-03T14:05:00Z",
        "elapsed_s": 1.0,
        "current_run": "r0",
        "cells": made,
        "lines": lines,
    }
    return Snapshot(**{**facts, **changes})  # type: ignore[arg-type]


def _printed(*snapshots: Snapshot, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=terminal, highlight=False, markup=False)
    with PlainFace(console) as face:
        for snapshot in snapshots:
            face.update(snapshot)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_each_window_is_one_line_printed_once() -> None:
    text = _printed(_snapshot(_run(1)), _snapshot(_run(3)), _snapshot(_run(3)), _snapshot(_run(4)))
    lines = [line for line in text.splitlines() if " measure " in line]
    assert len(lines) == 4
    assert [line.split()[0] for line in lines] == ["00:01", "00:02", "00:03", "00:04"]
    assert lines[-1].split()[2:] == ["48.00k", "12.00k", "0.5000", "00:42"]


def test_the_samples_column_is_what_the_windows_say_and_never_falls() -> None:
    stale = _run(4, samples=0)  # windows may be ahead of the run's own count
    lines = [line.split() for line in _printed(_snapshot(stale)).splitlines() if " measure " in line]
    assert [line[2] for line in lines] == ["12.00k", "24.00k", "36.00k", "48.00k"]
    unknown = replace(stale, windows=(replace(_window(0), total=None),))
    line = next(line for line in _printed(_snapshot(unknown)).splitlines() if " measure " in line)
    assert line.split()[2] == "–"


def test_runs_that_were_not_begun_are_one_line_without_a_header() -> None:
    skipped = [
        replace(_run(0, "skipped", reason="the experiment ended before its turn"), id=f"r{k}", started_at=None)
        for k in (1, 2)
    ]
    text = _printed(_snapshot(_run(1, "interrupted", reason="stopped by the person"), *skipped))
    assert text.count("samples/s") == 1
    assert text.splitlines()[-1] == "2 runs not begun: the experiment ended before its turn"


def test_an_interruption_is_told_once() -> None:
    lines = (
        LineView(number=0, at="14:05:00", level="info", text="stopping after the window"),
        LineView(number=1, at="14:05:01", level="info", text="run interrupted: stopped by the person", run_id="r0"),
    )
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    with PlainFace(console) as face:
        face.update(_snapshot(_run(1)))
        face.note("finishing the window…", instead_of="stopping after the window")
        face.update(_snapshot(_run(1, "interrupted", reason="stopped by the person"), lines=lines))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("stopped by the person") == 1
    assert "stopping after the window" not in text
    assert "stopping after the window" in _printed(_snapshot(_run(1), lines=lines))  # somebody else stopped it


def test_what_is_waited_for_is_said_once() -> None:
    line = LineView(
        number=0, at="14:05:00", level="info", text="waiting for the machine: experiment abc measures on it"
    )
    shot = _snapshot(_run(0), lines=(line,), waiting_for="experiment abc")
    text = _printed(shot, shot, _snapshot(_run(1), lines=(line,)))
    assert text.count("waiting for") == 1


def test_long_sentences_wrap_at_words_below_a_hanging_indent() -> None:
    reason = "other processes used 34 % of the 2 cores, and share their caches and memory with this run"
    text = _printed(_snapshot(_run(1)), _snapshot(_run(1, "failed", reason=reason)), terminal=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)
    told = plain[plain.index("  failed:") :].splitlines()
    assert told[0].endswith("caches and")
    assert told[1].rstrip().endswith("    memory with this run")  # behind the live line, erased
    whole = _printed(_snapshot(_run(1)), _snapshot(_run(1, "failed", reason=reason)))
    assert f"  failed: {reason}" in whole.splitlines()  # a log keeps the line


def test_columns_line_up_within_80() -> None:
    text = _printed(_snapshot(_run(5)))
    header = next(line for line in text.splitlines() if "samples/s" in line)
    lines = [line for line in text.splitlines() if " measure " in line]
    assert max(map(len, text.splitlines())) <= 80
    for line in lines:
        assert line[: header.index("samples/s") + len("samples/s")].endswith("12.00k")
        assert line[: header.index("loss") + len("loss")].endswith("0.5000")


def test_a_late_face_gets_the_whole_picture_once() -> None:
    text = _printed(_snapshot(_run(6)))
    assert len([line for line in text.splitlines() if " measure " in line]) == 6
    assert text.count("experiment expaaa") == 1


def test_no_cursor_is_moved_outside_a_terminal() -> None:
    text = _printed(_snapshot(_run(2), state="running"), _snapshot(_run(2, "ok")))
    assert "\x1b" not in text
    assert "\r" not in text


def test_the_end_of_a_run_tells_quality_beside_the_best_possible() -> None:
    metrics = (MetricView(name="auc", value=0.7431, unit=""), MetricView(name="auc_bayes", value=0.7981, unit=""))
    text = _printed(_snapshot(_run(1)), _snapshot(_run(1, "ok", metrics=metrics, contended=True, elapsed_s=9.0)))
    assert "ok  12.00k samples/s · auc 0.7431 (best possible 0.7981) · 9.0 s  contended" in text


def test_a_run_that_ends_badly_says_why_once() -> None:
    reason = "run crashed: killed by SIGKILL"
    line = LineView(number=0, at="14:05:00", level="error", text=f"{reason} (its log is x)", run_id="r0")
    text = _printed(_snapshot(_run(1)), _snapshot(_run(1, "crashed", reason=reason), lines=(line,)))
    assert text.count("killed by SIGKILL") == 1
    assert "crashed" in text


def test_lines_and_waiting_are_told_once() -> None:
    lines = (
        LineView(number=0, at="14:05:00", level="info", text="26 tables"),
        LineView(number=1, at="14:05:01", level="warning", text="no C++ compiler"),
    )
    first = _snapshot(_run(0), lines=lines, waiting_for="another measurement")
    text = _printed(first, first, _snapshot(_run(0), lines=lines))
    assert text.count("26 tables") == 1
    assert text.count("warning: no C++ compiler") == 1
    assert text.count("waiting for another measurement") == 1


def test_a_long_set_up_is_told_in_tenths() -> None:
    shots = [
        _snapshot(_run(0, phase="setup", progress_done=float(done), progress_total=100.0, progress_unit="rows"))
        for done in range(101)
    ]
    text = _printed(*shots)
    told = [line.split()[1] for line in text.splitlines() if " % " in line]
    assert told == [str(tenth) for tenth in range(10, 101, 10)]


def test_a_terminal_has_a_line_below_that_is_gone_at_the_end() -> None:
    shot = _snapshot(_run(1, progress_done=50.0, progress_total=100.0), eta_s=33.0)
    text = _printed(shot, terminal=True)
    assert "33 s left" in text
    assert "\x1b[2K" in text  # the line is erased


def test_runs_of_several_cells_name_their_cell() -> None:
    text = _printed(_snapshot(_run(0), cells=2))
    assert "2 cells, 4 runs" in text
    assert "run 1 of 4  cell 0, repeat 1 of 2" in text


def test_pending_runs_are_not_begun() -> None:
    pending = replace(_run(0, "pending"), id="r1", started_at=None)
    text = _printed(_snapshot(_run(1), pending))
    assert text.count("run 1 of 2") == 1
    assert "run 2 of 2" not in text


def _beside(name: str, status: str = "running", **changes: object) -> RunView:
    started_at = f"2026-11-03T14:05:0{name[1:]}Z"
    facts = {"throughput": None, "started_at": started_at, "windows": (), **changes}
    return replace(_run(0, status), id=name, repeat=int(name[1:]), **facts)  # type: ignore[arg-type]


def test_runs_side_by_side_have_a_line_each_that_says_whose_it_is() -> None:
    hits = MetricView(name="hit_ratio", value=0.25, unit="")
    lines = (LineView(number=0, at="14:05:00", level="warning", text="the trace is short", run_id="r1"),)
    done = _beside("r1", "ok", metrics=(hits,), elapsed_s=1.25)
    text = _printed(
        _snapshot(_beside("r0"), _beside("r1"), lanes=2),
        _snapshot(_beside("r0"), done, lines=lines, lanes=2),
        _snapshot(_beside("r0", "crashed", reason="the worker was killed"), done, lines=lines, lanes=2),
    ).splitlines()
    assert text[0].startswith("experiment expaaa  dlrm train on cpu, 2 runs, profile demo, 2 side by side")
    assert text[1:] == [
        "run 1 of 2  cell 0, repeat 1 of 2  begun",
        "run 2 of 2  cell 0, repeat 2 of 2  begun",
        "run 2 of 2  cell 0, repeat 2 of 2  ok  hit ratio 0.2500 · 1.2 s",
        "  run 2: warning: the trace is short",
        "run 1 of 2  cell 0, repeat 1 of 2  crashed: the worker was killed",
    ]


def test_a_run_side_by_side_that_was_over_at_once_is_one_line() -> None:
    text = _printed(_snapshot(_beside("r0", "ok", elapsed_s=0.5), lanes=2)).splitlines()
    assert text[1:] == ["run 1 of 2  cell 0, repeat 1 of 2  ok  0.5 s"]


def test_progress_of_runs_side_by_side_is_told_in_tenths_of_each() -> None:
    shots = [
        _snapshot(
            *(_beside(f"r{k}", phase="setup", progress_done=float(done + k), progress_total=100.0) for k in range(2)),
            lanes=2,
        )
        for done in range(100)
    ]
    told = [line.split()[1:4] for line in _printed(*shots).splitlines() if " % " in line]
    for ordinal in ("1:", "2:"):
        tenths = [tenth for number, _, tenth in told if number == ordinal]
        assert tenths == [str(tenth) for tenth in range(10, 91 if ordinal == "1:" else 101, 10)]


def test_below_runs_side_by_side_stands_how_many_go_on_and_how_many_are_done() -> None:
    shot = _snapshot(_beside("r0"), _beside("r1"), _beside("r2", "ok"), eta_s=33.0, lanes=2)
    text = _printed(shot, terminal=True)
    assert "2 runs side by side" in text
    assert "33 s left" in text
    assert "1 of 3" in text


def test_rates_are_in_the_words_of_the_mode() -> None:
    snapshot = _snapshot(_run(2, status="ok", throughput=12_000.0))
    named = replace(snapshot, cells=tuple(replace(cell, rate_unit="requests/s") for cell in snapshot.cells))
    text = _printed(named)
    heading = next(line for line in text.splitlines() if " phase " in line)
    window = next(line for line in text.splitlines() if " measure " in line)
    assert heading.split() == ["time", "phase", "requests", "requests/s", "loss", "left"]
    assert heading.index("requests/s") + len("requests/s") == window.index("12.00k", window.index("12.00k") + 1) + 6
    assert "12.00k requests/s" in text
    assert "samples" not in text
