"""Experiments move between databases whole, once, and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.store.edits import add_tag, set_note
from harness.store.queries import Store
from harness.store.rows import SeriesRow
from harness.store.transfer import copy_experiments
from tests.store import build


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that a database says, without the numbers that are its own."""
    queries = {
        "series": 'SELECT run_id, name, labels, axis, unit, "index", x, y FROM series_point',
        "event": "SELECT experiment_id, run_id, t_s, wall, level, kind, text, body FROM event",
        **{
            table: f"SELECT * FROM {table}"
            for table in (
                "environment", "experiment", "experiment_tag", "cell", "run", "process", "metric", "telemetry",
                "artifact", "checkpoint",
            )
        },
    }  # fmt: skip
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(connection.execute(query), key=repr) for table, query in queries.items()}


def all_ids(path: Path) -> list[str]:
    with Store(path) as store:
        return [item.id for item in store.list_experiments(limit=None)]


def test_all_experiments_arrive_whole_and_only_once(example_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    ids = all_ids(example_path)
    assert copy_experiments(example_path, target, ids) == len(ids)
    assert content(target) == content(example_path)
    assert copy_experiments(example_path, target, [*ids, *ids]) == 0
    assert content(target) == content(example_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db"]


def test_one_experiment_arrives_beside_others(example_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    build.write(
        target, build.experiment(), build.cell(), build.run(),
        SeriesRow(run_id="run1", name="loss", axis="samples", unit="", x=(1, 2), y=(5, 6)),
    )  # fmt: skip
    with Store(example_path) as store:
        _, identifier = store.resolve("card")
        wanted = store.experiment(identifier)
        run = wanted.cells[0].runs[0].id
        series = store.series(run)
    assert copy_experiments(example_path, target, [identifier]) == 1
    with Store(target) as store:
        assert store.experiment(identifier) == wanted
        assert store.series(run) == series
        assert store.series("run1")[0].y == (5.0, 6.0)
        assert store.count_experiments() == 2


def test_an_experiment_that_was_running_is_brought_up_to_date(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    build.write(source, build.experiment(), build.cell(), build.run(status="running"), build.event("a"))
    copy_experiments(source, target, ["exp1"])
    add_tag(target, "exp1", "mine")
    build.write(
        source, build.experiment(status="done"), build.run(status="ok"), build.metric(value=2.0), build.event("b")
    )
    add_tag(source, "exp1", "theirs")
    assert copy_experiments(source, target, ["exp1"]) == 1
    with Store(target) as store:
        experiment = store.experiment("exp1")
        run = experiment.cells[0].runs[0]
        assert (experiment.status, experiment.tags, run.status) == ("done", ("mine", "theirs"), "ok")
        assert run.metrics[0].value == 2.0
        assert [item.text for item in store.experiment_events("exp1")] == ["a", "b"]
    assert copy_experiments(source, target, ["exp1"]) == 0


def test_an_older_copy_does_not_undo_what_the_target_knows(tmp_path: Path) -> None:
    old, target = tmp_path / "old.db", tmp_path / "target.db"
    build.write(old, build.experiment(), build.cell(), build.run(status="running"))
    build.write(
        target, build.experiment(status="done", note="mine"), build.cell(), build.run(status="ok"), build.metric()
    )
    assert copy_experiments(old, target, ["exp1"]) == 0
    build.write(old, build.experiment(status="failed", note="other"), build.run(status="failed"))
    assert copy_experiments(old, target, ["exp1"]) == 0
    with Store(target) as store:
        experiment = store.experiment("exp1")
    assert (experiment.status, experiment.note, experiment.cells[0].runs[0].status) == ("done", "mine", "ok")


def test_a_note_in_the_target_is_kept(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    build.write(source, build.experiment())
    copy_experiments(source, target, ["exp1"])
    set_note(target, "exp1", "mine")
    build.write(source, build.experiment(status="done", note="theirs"))
    assert copy_experiments(source, target, ["exp1"]) == 1
    with Store(target) as store:
        assert (store.experiment("exp1").note, store.experiment("exp1").status) == ("mine", "done")


def test_all_or_none_are_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    build.write(source, build.experiment())
    with pytest.raises(UsageError, match="has no experiment 'nobody'"):
        copy_experiments(source, target, ["exp1", "nobody"])
    assert not target.exists()


def test_impossible_copies_are_refused_in_one_sentence(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    build.write(source, build.experiment())
    (tmp_path / "link.db").symlink_to(source)
    with pytest.raises(UsageError, match="are the same database"):
        copy_experiments(source, tmp_path / "link.db", ["exp1"])
    with pytest.raises(StoreError, match="there is no results database"):
        copy_experiments(tmp_path / "none.db", source, ["exp1"])
    (tmp_path / "text.db").write_text("no database at all" * 100)
    with pytest.raises(StoreError, match="is not a database"):
        copy_experiments(source, tmp_path / "text.db", ["exp1"])
