"""Tags, notes and deletions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.store.edits import add_tag, delete_experiment, remove_tag, set_note, set_tags
from harness.store.queries import Store
from harness.store.rows import ArtifactRow, CheckpointRow, EnvironmentRow, SeriesRow
from harness.store.writer import ResultWriter
from tests.example_database import make_example
from tests.store import build


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "results.db"
    build.write(path, build.experiment(status="done"), build.cell(), build.run())
    return path


def read_tags(path: Path) -> tuple[str, ...]:
    with Store(path) as store:
        return store.experiment("exp1").tags


def test_tags_are_added_replaced_and_removed(path: Path) -> None:
    add_tag(path, "exp1", "b")
    add_tag(path, "exp1", "a")
    add_tag(path, "exp1", "a")
    assert read_tags(path) == ("a", "b")
    remove_tag(path, "exp1", "a")
    assert read_tags(path) == ("b",)
    set_tags(path, "exp1", ["x", "y", "x"])
    assert read_tags(path) == ("x", "y")
    set_tags(path, "exp1", [])
    assert read_tags(path) == ()


def test_wrong_tags_and_ids_change_nothing(path: Path) -> None:
    add_tag(path, "exp1", "kept")
    with pytest.raises(UsageError, match="cannot be a tag"):
        set_tags(path, "exp1", ["fine", "not fine"])
    with pytest.raises(UsageError, match="has no tag 'other'") as caught:
        remove_tag(path, "exp1", "other")
    assert caught.value.hint == "its tags: kept"
    for edit in (add_tag, remove_tag, set_note):
        with pytest.raises(UsageError, match="has no experiment 'nobody'"):
            edit(path, "nobody", "x")
    with pytest.raises(StoreError, match="there is no results database"):
        add_tag(path.with_name("none.db"), "exp1", "x")
    assert read_tags(path) == ("kept",)
    assert not path.with_name("none.db").exists()


def test_a_note_is_set_and_removed(path: Path) -> None:
    for given, kept in (("a note\nof two lines", "a note\nof two lines"), ("", None), ("x", "x"), (None, None)):
        set_note(path, "exp1", given)
        with Store(path) as store:
            assert store.experiment("exp1").note == kept


def test_an_edit_while_an_experiment_is_written_stays(path: Path) -> None:
    with ResultWriter(path) as writer:
        writer.put(build.experiment("live"))
        assert writer.flush()
        set_note(path, "live", "seen while it ran")
        add_tag(path, "live", "seen")
        writer.change("experiment", {"id": "live"}, status="done", exit_code=0)
    with Store(path) as store:
        experiment = store.experiment("live")
    assert (experiment.note, experiment.tags, experiment.status) == ("seen while it ran", ("seen",), "done")


def test_a_deleted_experiment_leaves_no_row_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    make_example(path)
    with Store(path) as store:
        ids = [item.id for item in store.list_experiments(limit=None)]
    for identifier in ids:
        delete_experiment(path, identifier)
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        left = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
    assert {name for name, count in left.items() if count} == {
        "ceiling",
        "drift",
        "_sqlite_migrations",
        "sqlite_sequence",
    }


def test_a_deletion_touches_nothing_else_and_names_the_files(path: Path) -> None:
    build.write(
        path,
        EnvironmentRow(hash="shared", values={}, first_seen=build.AT),
        EnvironmentRow(hash="own", values={}, first_seen=build.AT),
        build.experiment("exp2", status="failed"), build.cell("cell2", "exp2"),
        build.run("run2", "cell2", environment_hash="own", log_path="b.log"),
        build.run("run3", "cell2", repeat=1, environment_hash="shared"),
        build.run(environment_hash="shared", log_path="kept.log"),
        SeriesRow(run_id="run1", name="s", axis="", unit="", x=(1,), y=(1,)),
        SeriesRow(run_id="run2", name="s", axis="", unit="", x=(1,), y=(1,)),
        ArtifactRow(run_id="run2", kind="k", path="a.bin"),
        CheckpointRow(run_id="run2", path="c.pt", created_at=build.AT),
    )  # fmt: skip
    assert delete_experiment(path, "exp2") == ("a.bin", "b.log", "c.pt")
    with Store(path) as store:
        assert [item.id for item in store.list_experiments()] == ["exp1"]
        assert store.series("run1")[0].x == (1.0,)
        assert store.environment("shared") == {}
        assert store.environment("own") is None


def test_a_running_experiment_is_not_deleted_unless_forced(path: Path) -> None:
    build.write(path, build.experiment("live"))
    with pytest.raises(UsageError, match="is still running and cannot be deleted"):
        delete_experiment(path, "live")
    assert delete_experiment(path, "live", force=True) == ()


def test_an_environment_is_kept_while_something_runs_that_may_need_it(path: Path) -> None:
    with ResultWriter(path) as writer:
        writer.put(build.experiment("live"), EnvironmentRow(hash="soon", values={}, first_seen=build.AT))
        assert writer.flush()
        delete_experiment(path, "exp1")
        writer.put(build.cell("c", "live"), build.run("r", "c", environment_hash="soon"))
        assert writer.flush()
        assert writer.refused == 0
