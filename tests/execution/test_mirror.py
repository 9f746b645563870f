"""A face that gets changes sees what one that gets the whole picture would see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.execution import wire
from harness.execution.mirror import Mirror
from harness.execution.plan import Plan, PlannedRun, make_plan
from harness.execution.snapshot import MAX_LINES, MAX_WINDOWS, MetricView, Snapshot
from harness.execution.view import Cursor, LiveView
from harness.registry import Registry
from harness.spec import Source, resolve
from tests.execution.conftest import PLUGIN


def plan_of(cells: int, repeats: int) -> Plan:
    description = Registry([PLUGIN]).workload("fake")
    specs = [
        resolve(description, [Source(origin="t", values={"repeats": repeats, "windows": index + 1})])
        for index in range(cells)
    ]
    return make_plan(specs, command="sweep", database=Path("results.db"))


PLAN = plan_of(2, 2)
ACTIONS = st.one_of(
    st.tuples(st.just("window"), st.integers(0, 3), st.integers(1, 300)),
    st.tuples(st.just("line"), st.integers(1, 250)),
    st.tuples(st.just("metric"), st.integers(0, 3), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("status"), st.integers(0, 3), st.sampled_from(["running", "ok", "failed"])),
    st.tuples(st.just("kind"), st.integers(0, 1), st.sampled_from(["hardware", "emulated"])),
    st.tuples(st.just("retry"), st.integers(0, 3)),
    st.tuples(st.just("send")),
)


def act(view: LiveView, action: tuple[Any, ...]) -> None:
    run_ids = list(view.runs)
    match action:
        case ("window", run, count):
            for index in range(count):
                view.window(run_ids[run], "measure", index, 0.5 * index, 100, 0.5, None)
        case ("line", count):
            for number in range(count):
                view.line("info", f"line {number}")
        case ("metric", run, value):
            view.metric(run_ids[run], MetricView(name="auc", value=value, unit="", labels={"part": "test"}))
        case ("status", run, status):
            view.update(run_ids[run], status=status, reason=None)
        case ("kind", cell, kind):
            view.device_kind(PLAN.cells[cell].id, kind)
        case ("retry", run):
            old = view.runs[run_ids[run]]
            view.add_run(PlannedRun(id=f"retry{len(run_ids)}", cell_id=old.cell_id, repeat=old.repeat))


def timeless(snapshot: Snapshot | None) -> Snapshot:
    """Time passes between two looks."""
    assert snapshot is not None
    cells = tuple(
        replace(cell, runs=tuple(replace(run, elapsed_s=None) for run in cell.runs)) for cell in snapshot.cells
    )
    return replace(snapshot, elapsed_s=0.0, cells=cells)


@settings(max_examples=40, deadline=None)
@given(st.lists(ACTIONS, max_size=14), st.integers(0, 14))
def test_changes_add_up_to_the_whole(actions: list[tuple[Any, ...]], attached_at: int) -> None:
    view, cursor, mirror = LiveView(PLAN, "2026-11-03T14:00:00.000Z"), Cursor(), Mirror()
    for index, action in enumerate((*actions, ("send",))):
        act(view, action)
        if index == min(attached_at, len(actions)):
            mirror.apply(wire.decode(wire.encode("snapshot", **view.whole(cursor))))
        elif action == ("send",) and mirror.snapshot is not None:
            mirror.apply(wire.decode(wire.encode("change", **view.change(cursor))))
    assert timeless(mirror.snapshot) == timeless(view.snapshot())


def test_what_did_not_change_is_not_sent_again() -> None:
    view, cursor = LiveView(PLAN, "now"), Cursor()
    act(view, ("window", 0, 200))
    view.whole(cursor)
    act(view, ("window", 1, 1))
    body = view.change(cursor)
    assert [(run["id"], len(run["windows"])) for run in body["runs"]] == [(list(view.runs)[1], 1)]
    assert len(json.dumps(body)) < 3000


def test_windows_and_lines_are_bounded() -> None:
    view, cursor, mirror = LiveView(PLAN, "now"), Cursor(), Mirror()
    mirror.apply({"type": "snapshot", **view.whole(cursor)})
    act(view, ("window", 0, 2 * MAX_WINDOWS))
    act(view, ("line", 2 * MAX_LINES))
    snapshot = mirror.apply({"type": "change", **view.change(cursor)})
    assert snapshot is not None
    assert len(snapshot.cells[0].runs[0].windows) == MAX_WINDOWS
    assert len(snapshot.lines) == MAX_LINES
    assert snapshot.lines[-1].number == 2 * MAX_LINES


def test_cells_that_did_not_change_stay_the_same_object() -> None:
    view, cursor, mirror = LiveView(PLAN, "now"), Cursor(), Mirror()
    before = mirror.apply({"type": "snapshot", **view.whole(cursor)})
    act(view, ("window", 0, 1))
    after = mirror.apply({"type": "change", **view.change(cursor)})
    assert before is not None
    assert after is not None
    assert after.cells[1] is before.cells[1]
    assert after.cells[0].runs[1] is before.cells[0].runs[1]


def test_a_newer_orchestrators_fields_are_ignored() -> None:
    view, cursor, mirror = LiveView(PLAN, "now"), Cursor(), Mirror()
    mirror.apply({"type": "snapshot", **view.whole(cursor)})
    act(view, ("window", 0, 1))
    body = view.change(cursor)
    body["experiment"]["mood"] = "good"
    body["runs"][0]["colour"] = body["runs"][0]["windows"][0]["colour"] = "red"
    assert mirror.apply({"type": "change", **body}) is not None
    assert mirror.apply({"type": "weather"}) is mirror.snapshot


def test_a_change_before_the_whole_says_nothing() -> None:
    assert Mirror().apply({"type": "change", "experiment": {}}) is None
