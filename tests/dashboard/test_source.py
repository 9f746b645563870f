from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from harness.dashboard import source as source_module
from harness.dashboard.details import read_details, read_log
from harness.dashboard.recorded import recorded_snapshot
from harness.dashboard.source import LiveSource, RecordedSource, find_source
from harness.errors import StoreError, UsageError
from harness.execution.launch import RunningExperiment
from harness.execution.snapshot import Snapshot
from harness.store.queries import Store
from tests.dashboard.drive import drive, opened
from tests.dashboard.pictures import steady


class FakeAttachment:
    """A face's end of a socket, fed with recorded pictures."""

    def __init__(self, *pictures: Snapshot) -> None:
        self.experiment_id = pictures[0].experiment_id
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.closed = False
        self._pictures = list(pictures)

    def next_snapshot(self, timeout_s: float | None = None) -> Snapshot | None:
        if not self._pictures:
            time.sleep(min(timeout_s or 0.0, 0.01))
            return None
        return self._pictures.pop(0)

    def send(self, command: Any, *, timeout_s: float = 10.0, **fields: Any) -> str:
        self.sent.append((command, fields))
        return "skipping run r2"

    def close(self) -> None:
        self.closed = True


def _id(path: Path, tag: str) -> str:
    with Store(path) as store:
        return store.resolve(tag, ("experiment",))[1]


def test_an_attachment_is_a_source_and_its_first_picture_can_be_put_back() -> None:
    attachment = FakeAttachment(steady(3), steady(4))
    source = LiveSource(attachment)
    first = source.next_snapshot(1.0)
    source.put_back(first)
    assert source.next_snapshot(1.0) is first
    assert source.next_snapshot(1.0) == steady(4)
    assert source.send("skip", scope="run") == "skipping run r2"
    assert attachment.sent == [("skip", {"scope": "run"})]
    source.close()
    assert attachment.closed


def test_the_app_reads_an_attachment_to_its_newest_picture() -> None:
    async def flow() -> None:
        source = LiveSource(FakeAttachment(*(steady(at) for at in range(3, 20))))
        async with opened(source) as app:
            await app.until(lambda: app.live.snapshot == steady(19))
            assert "61 %" in app.text()

    drive(flow)


def test_a_recorded_experiment_is_over_and_takes_no_commands(example: Path) -> None:
    source = RecordedSource(example, _id(example, "baseline"))
    found = source.next_snapshot(0.1)
    assert found is not None
    assert found.over
    assert [run.status for cell in found.cells for run in cell.runs] == ["ok"] * 5
    with pytest.raises(UsageError, match="needs an experiment that runs"):
        source.send("skip")


def test_a_closed_source_does_not_keep_its_reader() -> None:
    source = RecordedSource(Path("nowhere.db"), "x")
    source._last = steady(3)
    source.close()
    began = time.monotonic()
    assert source.next_snapshot(1.0) is None
    assert time.monotonic() - began < 1.5


def test_recorded_windows_metrics_and_events_are_those_of_the_database(example: Path) -> None:
    identifier = _id(example, "baseline")
    with Store(example) as store:
        found = recorded_snapshot(store, identifier)
        experiment = store.experiment(identifier)
        run = experiment.cells[0].runs[0]
        series = store.series(run.id, "throughput")[0]
    view = found.cells[0].runs[0]
    assert [window.at_s for window in view.windows] == list(series.x)
    assert [window.rate for window in view.windows] == pytest.approx(list(series.y), rel=1e-3)
    assert all(window.loss is not None for window in view.windows)
    assert {metric.name for metric in view.metrics} == {metric.name for metric in run.metrics}
    assert any(line.text == "data are ready" for line in found.lines)
    assert found.elapsed_s > 0


@pytest.mark.parametrize(
    ("tag", "state", "code"), [("broken", "failed", 1), ("stopped", "interrupted", 130), ("lost", "failed", 1)]
)
def test_bad_ends_are_told(example: Path, tag: str, state: str, code: int) -> None:
    with Store(example) as store:
        found = recorded_snapshot(store, _id(example, tag))
    assert (found.state, found.exit_code) == (state, code)
    assert any(run.reason for cell in found.cells for run in cell.runs)


def test_one_that_says_it_runs_is_read_again(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "REREAD_S", 0.01)
    source = RecordedSource(example, _id(example, "now"))
    first = source.next_snapshot(0.1)
    assert first is not None
    assert not first.over
    assert source.next_snapshot(0.1) is None  # nothing new


def test_every_story_of_the_example_can_be_looked_at(example: Path) -> None:
    from harness.dashboard.history import History
    from harness.dashboard.views.machine import machine_rows
    from harness.dashboard.views.quality import quality_rows
    from harness.dashboard.views.status import status_rows
    from harness.dashboard.views.throughput import throughput_plot

    with Store(example) as store:
        for one in store.list_experiments(limit=None):
            picture = recorded_snapshot(store, one.id)
            assert status_rows(picture, 80)
            assert machine_rows(picture, History(), 27, 8)
            for cell in picture.cells:
                for run in cell.runs:
                    quality_rows(picture, cell, run, 40)
                    throughput_plot(cell, run, History())


def test_a_copied_file_is_read_without_being_written(example: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    shutil.copy(example, copy)
    copy.chmod(0o444)
    before = copy.read_bytes()

    async def flow() -> None:
        database, source = find_source("baseline", copy, named=True)
        assert database == copy
        async with opened(source, database=database) as app:
            assert "recorded" in app.text()
            assert "5 of 5 runs ok" in app.text()

    drive(flow)
    assert copy.read_bytes() == before


def test_without_an_id_the_newest_recorded_one_is_shown(example: Path) -> None:
    _, source = find_source(None, example, named=True)
    assert isinstance(source, RecordedSource)
    assert source.experiment_id == _id(example, "@latest")


def test_what_runs_comes_first(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going = [
        RunningExperiment(id=f"{letter}unning00000", pid=os.getpid(), socket=Path("s"), database=database,
                          started="2026", command="run", argv=())
        for letter, database in (("q", example), ("r", Path("other.db")))
    ]  # fmt: skip
    attached: list[str] = []

    def attach(identifier: str) -> FakeAttachment:
        attached.append(identifier)
        return FakeAttachment(steady(3))

    monkeypatch.setattr(source_module, "running", lambda: going)
    monkeypatch.setattr(source_module, "attach", attach)
    assert find_source(None, Path("results.db"), named=False)[0] == Path("other.db")
    assert find_source(None, example, named=True)[0] == example  # of the database that was named
    assert find_source("run", example, named=False)[0] == Path("other.db")  # by the beginning of its id
    assert attached == ["running00000", "qunning00000", "running00000"]
    assert isinstance(find_source("baseline", example, named=True)[1], RecordedSource)


def test_nothing_there_is_no_error_unless_the_database_was_named(tmp_path: Path) -> None:
    assert find_source(None, tmp_path / "results.db", named=False) == (tmp_path / "results.db", None)
    with pytest.raises(StoreError):
        find_source(None, tmp_path / "results.db", named=True)


def test_settings_come_with_their_origin(example: Path) -> None:
    identifier = _id(example, "baseline")
    details = read_details(example, identifier)
    lines = {line.key: line for settings in details.settings.values() for line in settings}
    assert (lines["device"].value, lines["device"].origin) == ("cpu", "--device")
    assert lines["batch_size"].value == "2048"
    assert len(details.order) == 5


def test_settings_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    assert "does not exist" in (read_details(tmp_path / "no" / "results.db", "x").problem or "")


def test_a_log_is_text_whatever_a_library_printed(tmp_path: Path) -> None:
    database = tmp_path / "results.db"
    log = tmp_path / "recbench-output" / "run1" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"\x1b[31mred\x1b[0m \x1b]0;title\x07plain\r 50%\r100%\r\nbell\x07 \xff\n\n")
    found = read_log(database, "run1")
    assert found.lines[:1] == ("red plain",)
    assert "100%" in " ".join(found.lines)
    assert not any("\x1b" in line or "\x07" in line for line in found.lines)


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "recbench-output" / "run1" / "log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(100_000)), encoding="utf-8")
    found = read_log(tmp_path / "results.db", "run1")
    assert found.lines[0] == "…"
    assert found.lines[-1] == "line 99999"
    assert len(found.lines) < 10_000


def test_a_log_that_is_not_there_says_so(example: Path) -> None:
    with Store(example) as store:
        run = store.experiment(_id(example, "baseline")).cells[0].runs[0].id
    assert "no log" in (read_log(example, run).problem or "")


def test_a_database_that_another_program_has_locked_is_tried_again(example: Path, tmp_path: Path) -> None:
    import sqlite3

    copy = tmp_path / "busy.db"
    shutil.copy(example, copy)
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    source = RecordedSource(copy, _id(copy, "now"))
    assert source.next_snapshot(0.1) is not None
    connection.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    assert source.next_snapshot(0.1) is None
    assert time.monotonic() - began < 30
    connection.execute("ROLLBACK")
    connection.close()
