"""Programs that the store's tests run as processes of their own: `python -m tests.store.children NAME …`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.errors import BenchError, StoreError
from harness.store.edits import add_tag
from harness.store.migrations import STEPS, Step, prepare
from harness.store.queries import Store
from harness.store.rows import SeriesRow
from harness.store.writer import ResultWriter
from tests.store import build

ADDED = Step("add_mood", lambda db: db.execute("ALTER TABLE experiment ADD COLUMN mood TEXT"))


def write_many(path: str, name: str, count: str) -> None:
    """Writes an experiment of its own, with as many events and points as asked for."""
    errors: list[str] = []
    writer = ResultWriter(Path(path), on_error=lambda error: errors.append(error.message))
    writer.start()
    writer.put(build.experiment(name), build.cell(f"cell-{name}", name), build.run(f"run-{name}", f"cell-{name}"))
    for number in range(int(count)):
        writer.put(build.event(str(number), name))
        writer.put(
            SeriesRow(run_id=f"run-{name}", name="w", axis="s", unit="", x=(number,), y=(1.0,), start_index=number)
        )
        if number % 50 == 0:
            time.sleep(0.01)  # many commits, so that the processes really meet
    done = writer.flush(60)
    writer.close()
    print(json.dumps({"done": done, "errors": errors, "refused": writer.refused}))


def write_forever(path: str) -> None:
    """Puts rows without end and says, after each, which one and when (the system-wide monotonic clock)."""
    writer = ResultWriter(Path(path))
    writer.start()
    writer.put(build.experiment(), build.cell(), build.run())
    number = 0
    while True:
        writer.put(
            build.event(str(number)),
            SeriesRow(run_id="run1", name="w", axis="s", unit="", x=(number,), y=(number,), start_index=number),
        )
        print(number, time.monotonic(), flush=True)
        number += 1
        time.sleep(0.003)


def migrate(path: str, gate: str) -> None:
    """Waits for the gate to be there, then migrates."""
    while not Path(gate).exists():
        time.sleep(0.001)
    prepared = prepare(Path(path), steps=(*STEPS, ADDED))
    print(json.dumps({"created": prepared.created, "from": prepared.migrated_from}))


def full_disk(folder: str) -> None:
    """Fills a disk of one megabyte, in a mount namespace of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    path = Path(folder) / "results.db"
    errors: list[BenchError] = []
    writer = ResultWriter(path, on_error=errors.append, patience_s=0.5)
    writer.start()
    writer.put(build.experiment())
    for number in range(100):
        # Two rows a transaction that only make sense together.
        writer.put(build.event(f"begin {number}"), build.event(f"end {number}", body={"filling": "x" * 20_000}))
        if not writer.flush():
            break
    dropped_quietly = writer.put(build.event("after")) is None
    writer.close()
    # Room again, as a person would make it: a reader needs some for its shared memory.
    subprocess.run(["mount", "-o", "remount,size=2m", folder], check=True)
    with Store(path) as store:
        texts = [item.text for item in store.experiment_events("exp1")]
        check = store._connection.execute("PRAGMA integrity_check").fetchone()[0]
    print(
        json.dumps(
            {
                "committed": number,
                "texts": texts,
                "check": check,
                "errors": [[type(error).__name__, error.message, error.hint, int(error.exit_code)] for error in errors],
                "quiet": dropped_quietly,
            }
        )
    )


def no_room(folder: str) -> None:
    """Tries to make a database where there is no room for one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", folder], check=True)
    print(json.dumps({"refusal": _refusal(Path(folder) / "results.db"), "left": _names(folder)}))


def read_only(folder: str) -> None:
    """Reads and writes a database on a file system that was made read-only."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    path = Path(folder) / "results.db"
    build.write(path, build.experiment())
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    with Store(path) as store:
        read = [item.id for item in store.list_experiments()]
    try:
        add_tag(path, "exp1", "x")
        edit = None
    except StoreError as error:
        edit = error.message
    report = {"read": read, "refusal": _refusal(path), "edit": edit, "new": _refusal(Path(folder) / "new.db")}
    print(json.dumps({**report, "left": _names(folder)}))


def another_user() -> None:
    """Uses a file that may only be read and one that may not even be read, as somebody who is not root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    paths = {"read-only": folder / "a.db", "secret": folder / "b.db"}
    for path in paths.values():
        build.write(path, build.experiment())
    paths["read-only"].chmod(0o444)
    paths["secret"].chmod(0o000)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        report = {name: [_reads(path), (_refusal(path) or [None])[0]] for name, path in paths.items()}
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(folder)
    print(json.dumps({"report": report, "paths": {name: str(path) for name, path in paths.items()}}))


def _reads(path: Path) -> list[str] | str:
    try:
        with Store(path) as store:
            return [item.id for item in store.list_experiments()]
    except StoreError as error:
        return error.message


def _refusal(path: Path) -> list[object] | None:
    try:
        ResultWriter(path).start()
    except StoreError as error:
        return [error.message, error.hint, int(error.exit_code)]
    return None


def _names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
