"""What is put is committed, in order, soon, whatever happens to the process."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import BenchError, RunFailed, StoreError
from harness.store.queries import Store
from harness.store.rows import CeilingRow, EnvironmentRow, ExperimentTagRow, SeriesRow
from harness.store.writer import ResultWriter
from tests.store import build


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def wait_for(path: Path, statement: str, expected: list[tuple[object, ...]]) -> None:
    deadline = time.monotonic() + 60
    while query(path, statement) != expected:
        assert time.monotonic() < deadline, f"{statement}: never {expected}"
        time.sleep(0.02)


def test_rows_are_committed_without_being_asked(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "results.db") as writer:
        writer.put(build.experiment())
        wait_for(writer.path, "SELECT id FROM experiment", [("exp1",)])


def test_a_trickle_of_rows_does_not_put_off_the_commit(tmp_path: Path) -> None:
    with ResultWriter(tmp_path / "results.db") as writer:
        writer.put(build.experiment())
        enough = threading.Event()

        def trickle() -> None:
            while not enough.is_set():
                writer.put(build.event("drop"))
                time.sleep(0.01)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            wait_for(writer.path, "SELECT id FROM experiment", [("exp1",)])
        finally:
            enough.set()
            thread.join()


def test_closing_commits_the_rest_into_one_file(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path / "results.db")
    writer.start()
    writer.put(build.experiment(), *[build.event(str(number)) for number in range(12_000)])
    writer.close()
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["results.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(writer.path.read_bytes())
    with Store(copy) as store:
        assert [item.text for item in store.experiment_events("exp1")] == [str(number) for number in range(12_000)]


def test_what_is_put_after_closing_is_dropped_without_a_word(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path / "results.db")
    writer.start()
    writer.close()
    writer.put(build.experiment())
    assert query(writer.path, "SELECT count(*) FROM experiment") == [(0,)]


def test_a_row_put_again_replaces_the_old_one_and_keeps_its_children(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(
        path,
        build.experiment(),
        build.cell(),
        build.run(status="running"),
        build.metric(value=1.0),
        build.run(status="ok", wall_s=2.5),
        build.metric(value=3.0),
        build.metric(value=9.0, labels={"rank": "1"}),
    )
    with Store(path) as store:
        run = store.run("run1")
    assert (run.status, run.wall_s) == ("ok", 2.5)
    assert {metric.key: metric.value for metric in run.metrics} == {"throughput": 3.0, "throughput{rank=1}": 9.0}


def test_changes_and_rows_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with ResultWriter(path) as writer:
        writer.put(build.experiment(), build.cell())
        writer.change("cell", {"id": "cell1"}, data={"rows": 5}, engine={"threads": (1, 2)}, device_kind="hardware")
        writer.put(build.run())
        writer.change("run", {"id": "run1"}, status="running", contended=True)
        writer.change("run", {"id": "run1"}, status="ok", contended=False)
        assert writer.flush()
        assert writer.refused == 0
    with Store(path) as store:
        cell = store.cell("cell1")
    assert (cell.data, cell.engine, cell.device_kind) == ({"rows": 5}, {"threads": [1, 2]}, "hardware")
    assert (cell.runs[0].status, cell.runs[0].contended) == ("ok", False)


def test_points_are_appended_and_a_repeated_point_keeps_its_last_value(tmp_path: Path) -> None:
    path = tmp_path / "results.db"

    def points(start: int, x: tuple[float, ...], y: tuple[float | None, ...], **labels: str) -> SeriesRow:
        return SeriesRow(
            run_id="run1", name="loss", axis="samples", unit="", x=x, y=y, start_index=start, labels=labels
        )

    build.write(
        path, build.experiment(), build.cell(), build.run(),
        points(0, (1, 2), (0.5, None)), points(2, (3, 4), (0.25, 0.125)), points(3, (4,), (0.0,)),
        points(0, (7,), (7,), a="b"),
    )  # fmt: skip
    with Store(path) as store:
        plain, labelled = store.series("run1", "loss")
        assert store.series("run1", "none") == ()
    assert (plain.x, plain.y, plain.axis, plain.labels) == ((1, 2, 3, 4), (0.5, None, 0.25, 0.0), "samples", {})
    assert (labelled.x, labelled.labels) == ((7,), {"a": "b"})


def test_missing_is_null_and_zero_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    values = {"none": None, "nan": float("nan"), "infinite": float("inf"), "zero": 0.0, "whole": 3}
    build.write(
        path, build.experiment(), build.cell(), build.run(),
        *[build.metric(name=name, value=value) for name, value in values.items()],
    )  # fmt: skip
    assert query(path, "SELECT name, value, typeof(value) FROM metric ORDER BY name") == [
        ("infinite", None, "null"),
        ("nan", None, "null"),
        ("none", None, "null"),
        ("whole", 3.0, "real"),
        ("zero", 0.0, "real"),
    ]


def test_the_first_sight_of_an_environment_stays(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(
        path,
        EnvironmentRow(hash="e", values={"cpu": 1}, first_seen="2026-01-01"),
        EnvironmentRow(hash="e", values={"cpu": 1}, first_seen="2026-02-02"),
    )
    assert query(path, "SELECT first_seen FROM environment") == [("2026-01-01",)]


def test_a_refused_row_loses_itself_only_and_is_told_once(tmp_path: Path) -> None:
    errors: list[BenchError] = []
    with ResultWriter(tmp_path / "results.db", on_error=errors.append) as writer:
        writer.put(build.experiment(), build.cell(), build.run())
        writer.put(build.run("orphan", "no-cell"))
        writer.put(build.metric(name="before"), build.metric(run_id="orphan"), build.metric(name="after"))
        writer.put(build.event("odd", body={"not": object()}), build.event("fine"))
        writer.put(SeriesRow(run_id="run1", name="s", axis="", unit="", x=(1.0, 2.0), y=(1.0,)))
        writer.put(SeriesRow(run_id="run1", name="s", axis="", unit="", x=(float("nan"),), y=(1.0,)))
        writer.put(SeriesRow(run_id="run1", name="s", axis="", unit="", x=(4.0,), y=(1.0,)))
        writer.put(CeilingRow(machine="m", device="cpu", threads=1.5, name="n", value=1, unit="", measured_at=""))  # type: ignore[arg-type]
        writer.change("rnu", {"id": "run1"}, status="ok")
        writer.change("run", {"id": "run1"}, statsu="ok")
        writer.change("run", {"id": "nobody"}, status="ok")
        writer.change("run", {"id": "run1"}, reason="still written")
        assert writer.flush()
        assert writer.refused == 9
        assert writer.error is None
    assert len(errors) == 1
    assert isinstance(errors[0], RunFailed)
    assert (
        errors[0].message
        == f"{writer.path} did not take a row of run {{'id': 'orphan'}}: FOREIGN KEY constraint failed"
    )
    with Store(writer.path) as store:
        run = store.run("run1")
        assert [metric.name for metric in run.metrics] == ["after", "before"]
        assert run.reason == "still written"
        assert [item.text for item in store.experiment_events("exp1")] == ["fine"]
        assert store.series("run1")[0].x == (4.0,)


def test_log_lines_that_are_no_text_are_kept_as_far_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(path, build.experiment(), build.event("caf\udce9 ü", body={"raw": "\udcff"}))
    with Store(path) as store:
        (item,) = store.experiment_events("exp1")
    assert (item.text, item.body) == ("caf? ü", {"raw": "?"})


def test_a_lock_that_outlasts_the_patience_is_told_once(tmp_path: Path) -> None:
    errors: list[BenchError] = []
    writer = ResultWriter(tmp_path / "results.db", on_error=errors.append, patience_s=0.1, busy_timeout_s=0.1)
    with writer:
        writer.put(build.experiment())
        assert writer.flush()
        with closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writer.put(build.event("lost"))
            assert not writer.flush(60)
        writer.put(build.event("lost too"))
        assert not writer.flush(1)
    assert [type(error) for error in errors] == [RunFailed]
    assert errors[0].message.endswith(
        "is locked by another program and could not be written; results up to now are kept"
    )
    assert writer.error is errors[0]
    assert query(writer.path, "SELECT count(*) FROM experiment") == [(1,)]


def test_a_lock_within_the_patience_does_no_harm(tmp_path: Path) -> None:
    errors: list[BenchError] = []
    with ResultWriter(tmp_path / "results.db", on_error=errors.append, busy_timeout_s=0.05) as writer:
        writer.put(build.experiment())
        assert writer.flush()
        with closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writer.put(build.event("patient"))
            assert not writer.flush(0.5)
            other.execute("ROLLBACK")
        assert writer.flush(60)
    assert errors == []
    assert query(writer.path, "SELECT text FROM event") == [("patient",)]


def test_starting_refuses_in_the_caller(tmp_path: Path) -> None:
    writer = ResultWriter(tmp_path)
    with pytest.raises(StoreError, match="is a folder"):
        writer.start()
    writer.put(build.experiment())
    assert not writer.flush(0.01)
    writer.close()


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    path, count = tmp_path / "results.db", 2500
    names = ["one", "two", "three"]
    children = [build.child("write_many", path, name, count) for name in names]
    with_this_process = ResultWriter(path)
    with with_this_process:
        with_this_process.put(build.experiment("here"), ExperimentTagRow(experiment_id="here", tag="x"))
        for child in children:
            out, problems = child.communicate(timeout=240)
            assert json.loads(out) == {"done": True, "errors": [], "refused": 0}, problems
        assert with_this_process.flush()
    for name in names:
        texts = query(path, f"SELECT CAST(text AS INTEGER) FROM event WHERE experiment_id = '{name}' ORDER BY id")
        assert [text for (text,) in texts] == list(range(count))
        points = query(path, f"SELECT x FROM series_point WHERE run_id = 'run-{name}' ORDER BY \"index\"")
        assert [x for (x,) in points] == list(range(count))
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_killed_writer_loses_nothing_older_than_a_second(tmp_path: Path) -> None:
    chooser = random.Random(20261120)
    older = 0
    for batch in range(4):
        paths = [tmp_path / f"{batch}-{number}.db" for number in range(3)]
        victims = [build.child("write_forever", path) for path in paths]
        for victim in victims:
            assert victim.stdout is not None
            victim.stdout.readline()
        for victim, path in zip(victims, paths, strict=True):
            time.sleep(chooser.uniform(0.4, 1.1))
            older += _kill_and_check(victim, path)
    assert older > 1000  # there was something to lose


def _kill_and_check(victim: subprocess.Popen[str], path: Path) -> int:
    """How many numbers were older than a second."""
    killed_at = time.monotonic()
    victim.send_signal(signal.SIGKILL)
    out, _ = victim.communicate(timeout=60)
    said = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    old = [int(number) for number, at in said if float(at) < killed_at - 1.0]
    for statement in (
        "SELECT CAST(text AS INTEGER) FROM event ORDER BY id",
        'SELECT x FROM series_point ORDER BY "index"',
    ):
        kept = [number for (number,) in query(path, statement)]
        assert kept == list(range(len(kept)))  # the order of putting, without a gap
        assert set(old) <= set(kept)
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    return len(old)
