"""A database is made, judged, refused, backed up and migrated."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import ExitCode, StoreError
from harness.store.database import APPLICATION_ID, filesystem_type, is_network
from harness.store.edits import add_tag
from harness.store.migrations import SCHEMA, STEPS, Step, prepare, readable
from harness.store.queries import Store
from harness.store.writer import ResultWriter
from tests.store import build
from tests.store.children import ADDED

NEXT = (*STEPS, ADDED)


def raw(path: Path, *statements: str) -> list[object]:
    """What plain SQLite answers."""
    with closing(sqlite3.connect(path)) as connection:
        answers = []
        for statement in statements:
            row = connection.execute(statement).fetchone()
            connection.commit()
            answers.append(row[0] if row else None)
        return answers


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_database_is_ours_strict_and_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepared = prepare(path)
    assert (prepared.created, prepared.migrated_from, prepared.backup, prepared.notices) == (True, None, None, ())
    assert raw(path, "PRAGMA application_id", "PRAGMA user_version", "PRAGMA journal_mode") == [
        APPLICATION_ID,
        SCHEMA,
        "wal",
    ]
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    ours = {name for name, strict in tables if strict}
    assert {name for name, _ in tables} - ours <= {
        "_sqlite_migrations",
        "sqlite_schema",
        "sqlite_temp_schema",
        "sqlite_sequence",
    }
    assert {"experiment", "run", "metric", "point"} <= ours


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepare(path)
    before = path.read_bytes()
    assert not prepare(path).created
    assert path.read_bytes() == before
    assert names(tmp_path) == ["results.db"]


@pytest.mark.parametrize(
    "make", [lambda path: path.touch(), lambda path: raw(path, "VACUUM")], ids=["zero bytes", "bare"]
)
def test_an_empty_file_is_a_new_database_to_a_writer_and_nothing_to_a_reader(tmp_path: Path, make) -> None:
    path = tmp_path / "results.db"
    make(path)
    with pytest.raises(StoreError, match="is empty: no experiment has been recorded"):
        Store(path)
    assert prepare(path).created


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepare(path)
    raw(path, "PRAGMA user_version = 7")
    for opening in (
        prepare,
        Store,
        readable,
        lambda path: ResultWriter(path).start(),
        lambda p: add_tag(p, "exp1", "x"),
    ):
        with pytest.raises(StoreError) as caught:
            opening(path)
        assert caught.value.message == f"{path} was written by a newer recbench (schema 7, this one knows {SCHEMA})"
        assert caught.value.hint == "upgrade recbench"
        assert caught.value.exit_code == ExitCode.USAGE
    assert raw(path, "PRAGMA user_version") == [7]
    assert names(tmp_path) == ["results.db"]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    raw(path, "CREATE TABLE bookmark (url TEXT)")
    before = path.read_bytes()
    for opening in (prepare, Store):
        with pytest.raises(StoreError, match="is an SQLite database, but not one of recbench"):
            opening(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    text = tmp_path / "train.txt"
    text.write_text("0\t1\t2\n" * 1000)
    before = text.read_bytes()
    for opening in (prepare, Store):
        with pytest.raises(StoreError, match=r"train\.txt is not a database"):
            opening(text)
        with pytest.raises(StoreError, match="is a folder, not a results database"):
            opening(tmp_path)
        with pytest.raises(StoreError, match=r"the folder .*nowhere of the results database results\.db does not"):
            opening(tmp_path / "nowhere" / "results.db")
        with pytest.raises(StoreError, match="is not a regular file"):
            opening(Path("/dev/null"))
    with pytest.raises(StoreError, match="there is no results database"):
        Store(tmp_path / "missing.db")
    assert text.read_bytes() == before
    assert names(tmp_path) == ["train.txt"]


def test_a_damaged_database_is_refused_with_a_way_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(path, build.experiment(), *[build.event("x" * 500) for _ in range(100)])
    whole = path.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    for first in (1, len(whole) // page // 2):  # noticed on opening, and noticed by a query
        path.write_bytes(whole[: first * page] + b"\xff" * (len(whole) - first * page))
        with pytest.raises(StoreError) as caught, Store(path) as store:
            store.experiment_events("exp1")
    assert "is damaged" in caught.value.message
    assert ".recover" in (caught.value.hint or "")
    path.write_bytes(whole[: page + page // 2])
    with pytest.raises(StoreError, match=r"is damaged|is not a database"), Store(path) as store:
        store.list_experiments()


def test_a_locked_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepare(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another program and could not be written"):
            prepare(path, busy_timeout_s=0.05)
        with Store(path) as store:  # a reader is not kept out by a writer
            assert store.list_experiments() == ()


def test_an_older_database_is_migrated_after_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(path, build.experiment(), build.cell(), build.run(), build.metric(value=0.1))
    prepared = prepare(path, steps=NEXT)
    assert prepared.migrated_from == 1
    assert prepared.backup is not None
    assert prepared.backup.name.startswith("results.db.backup-1-")
    assert any("was migrated from schema 1 to 2" in notice for notice in prepared.notices)
    assert raw(path, "PRAGMA user_version", "SELECT count(mood) FROM experiment", "SELECT value FROM metric") == [
        2,
        0,
        0.1,
    ]
    with closing(sqlite3.connect(path)) as connection:
        applied = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    assert applied == [("first",), ("add_mood",)]
    with Store(prepared.backup) as store:  # the backup is a whole, usable database of the old schema
        assert store.run("run1").metrics[0].value == 0.1
    assert raw(prepared.backup, "PRAGMA user_version") == [1]
    assert names(tmp_path) == ["results.db", prepared.backup.name]
    again = prepare(path, steps=NEXT)
    assert (again.migrated_from, again.backup) == (None, None)


def test_the_backup_holds_what_is_still_in_the_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepare(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        other.execute("INSERT INTO environment VALUES ('e', '{}', '2026')")
        other.commit()
        backup = prepare(path, steps=NEXT).backup
    assert backup is not None
    assert raw(backup, "SELECT hash FROM environment") == ["e"]


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    def broken(db) -> None:
        db.execute("ALTER TABLE experiment ADD COLUMN half TEXT")
        db.execute("INSERT INTO no_such_table VALUES (1)")

    path = tmp_path / "results.db"
    build.write(path, build.experiment())
    with pytest.raises(StoreError, match=r"could not be migrated from schema 1 to 3: no such table") as caught:
        prepare(path, steps=(*NEXT, Step("broken", broken)))
    assert "nothing in it was changed; a copy lies in" in (caught.value.hint or "")
    assert raw(
        path, "PRAGMA user_version", "SELECT count(*) FROM pragma_table_info('experiment') WHERE name = 'half'"
    ) == [
        1,
        0,
    ]
    with Store(path) as store:
        assert store.experiment("exp1").command == "run"


def test_a_step_that_fails_leaves_no_new_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        prepare(tmp_path / "results.db", steps=(Step("broken", lambda db: db.execute("NONSENSE")),))
    assert names(tmp_path) == []


def test_reading_an_older_database_migrates_it(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    prepare(path)
    readable(path, steps=NEXT)
    assert raw(path, "PRAGMA user_version") == [2]


def test_processes_at_once_migrate_exactly_once(tmp_path: Path) -> None:
    path, gate = tmp_path / "results.db", tmp_path / "gate"
    build.write(path, build.experiment())
    children = [build.child("migrate", path, gate) for _ in range(4)]
    gate.touch()
    reports = [json.loads(child.communicate(timeout=120)[0]) for child in children]
    assert sorted(str(report["from"]) for report in reports) == ["1", "None", "None", "None"]
    assert len(list(tmp_path.glob("results.db.backup-*"))) == 1
    assert raw(path, "PRAGMA user_version", "SELECT count(*) FROM _sqlite_migrations") == [2, 2]
    assert not (tmp_path / "results.db.lock").exists()


def test_processes_at_once_create_exactly_once(tmp_path: Path) -> None:
    path, gate = tmp_path / "results.db", tmp_path / "gate"
    children = [build.child("migrate", path, gate) for _ in range(4)]
    gate.touch()
    reports = [json.loads(child.communicate(timeout=120)[0]) for child in children]
    assert [report["created"] for report in reports].count(True) == 1
    assert names(tmp_path) == ["gate", "results.db"]


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True), ("lustre", True), ("ext4", False),
        ("overlay", False), ("tmpfs", False), ("fuse", False), ("fuseblk", False), ("fuse.ntfs-3g", False),
        (None, False),
    ],
)  # fmt: skip
def test_network_file_systems_are_known(kind: str | None, network: bool) -> None:
    assert is_network(kind) is network


def test_the_file_system_is_that_of_the_deepest_and_last_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "root / ext4 rw 0 0\nserver:/a /data nfs4 rw 0 0\nx /data/my\\040disk xfs rw 0 0\n"
        "y /over tmpfs rw 0 0\nz /over nfs rw 0 0\nbroken\n"
    )
    for place, kind in (
        ("/home/a.db", "ext4"),
        ("/data/a.db", "nfs4"),
        ("/database/a.db", "ext4"),
        ("/data/my disk/a.db", "xfs"),
        ("/over/a.db", "nfs"),
    ):
        assert filesystem_type(Path(place), mounts) == kind
    assert filesystem_type(Path("/a"), tmp_path / "none") is None


def test_on_a_network_file_system_there_is_no_write_ahead_log_and_it_is_said(tmp_path: Path) -> None:
    network, local = tmp_path / "network", tmp_path / "local"
    network.write_text("server:/a / nfs4 rw 0 0\n")
    local.write_text("disk / ext4 rw 0 0\n")
    path = tmp_path / "results.db"
    writer = ResultWriter(path, mounts=network)
    with writer:
        writer.put(build.experiment())
        assert writer.flush()
        assert names(tmp_path) == ["local", "network", "results.db"]
    (notice,) = writer.notices
    assert "network file system" in notice
    assert "journal mode delete" in notice
    assert raw(path, "PRAGMA journal_mode") == ["delete"]
    prepare(path, mounts=local)  # brought home, it gets its log back
    assert raw(path, "PRAGMA journal_mode") == ["wal"]
    prepare(path, mounts=network)
    assert raw(path, "PRAGMA journal_mode") == ["delete"]
