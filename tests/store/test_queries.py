"""Records, series and facts are read back as they were written; the views say the same to people."""

from __future__ import annotations

import sqlite3
import statistics
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.execution.plan import Plan
from harness.store.queries import Filters, Store
from harness.store.rows import CeilingRow, DriftRow, EnvironmentRow
from tests.example_database import STORIES, make_example
from tests.store import build


def view(path: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def test_an_experiment_is_read_whole(example: Store) -> None:
    _, identifier = example.resolve("batch-size")
    experiment = example.experiment(identifier)
    assert (experiment.command, experiment.interleaved, experiment.tags) == ("ab", True, ("batch-size",))
    assert experiment.argv[:2] == ("bench", "ab")
    assert [cell.label for cell in experiment.cells] == ["A", "B"]
    assert [cell.params["batch_size"] for cell in experiment.cells] == [128, 512]
    assert sorted(run.order_index for cell in experiment.cells for run in cell.runs) == list(range(20))
    for cell in experiment.cells:
        assert [run.repeat for run in cell.runs] == list(range(10))
        assert example.cell(cell.id) == cell
        assert cell.settings["repeats"] == 10
        assert cell.origins == {"device": "--device"}
        for run in cell.runs:
            assert example.run(run.id) == run
            assert run.environment["python.version"] == "3.11.7"
            assert run.metric("throughput").role == "primary"  # type: ignore[union-attr]
            assert run.metric("energy_j_per_sample").value is None  # type: ignore[union-attr]


def test_a_plan_is_read_back(example: Store) -> None:
    _, identifier = example.resolve("batch-size")
    plan = Plan.from_json(example.plan(identifier))
    assert plan.experiment_id == identifier
    assert [cell.id for cell in plan.cells] == [cell.id for cell in example.experiment(identifier).cells]
    assert plan.cells[0].spec.params_hash == example.experiment(identifier).cells[0].params_hash


def test_what_belongs_to_a_run_is_read_in_order(example: Store) -> None:
    _, identifier = example.resolve("card")
    run = example.experiment(identifier).cells[0].runs[0]
    loss, throughput = example.series(run.id)
    assert (loss.name, throughput.name, throughput.axis) == ("loss", "throughput", "seconds")
    assert throughput.x == tuple(float(second + 1) for second in range(len(throughput.x)))
    telemetry = example.telemetry(run.id)
    assert {row.source for row in telemetry} == {"host", "nvidia:0"}
    assert [row.t_s for row in telemetry] == sorted(row.t_s for row in telemetry)
    assert telemetry[0].values["frequency_hz"] is None
    assert [row.kind for row in example.artifacts(run.id)] == ["predictions"]
    assert [row.rank for row in example.processes(run.id)] == [0]
    assert [row.text for row in example.events(run.id)] == ["data are ready"]
    assert example.checkpoints(run.id)[0].samples == int(loss.x[-1])


def test_an_unknown_id_is_refused_in_one_sentence(example: Store) -> None:
    for read, kind in ((example.experiment, "experiment"), (example.cell, "cell"), (example.run, "run")):
        with pytest.raises(UsageError, match=f"has no {kind} 'nothing'"):
            read("nothing")
    with pytest.raises(UsageError, match="has no experiment"):
        example.plan("nothing")
    assert example.environment("nothing") is None
    assert example.series("nothing") == example.telemetry("nothing") == ()


def test_the_newest_ceilings_of_an_idle_machine_count(tmp_path: Path) -> None:
    def ceiling(
        name: str, value: float | None, at: str, *, contended: bool | None = False, threads: int = 2
    ) -> CeilingRow:
        return CeilingRow(
            machine="m",
            device="cpu",
            threads=threads,
            name=name,
            value=value,
            unit="u",
            measured_at=at,
            contended=contended,
        )

    path = tmp_path / "results.db"
    build.write(
        path,
        ceiling("stream", 1.0, "2026-01"), ceiling("stream", 2.0, "2026-02"),
        ceiling("stream", 3.0, "2026-03", contended=True),
        ceiling("disk", 4.0, "2026-01", contended=True), ceiling("none", None, "2026-01", contended=None),
        ceiling("stream", 9.0, "2026-09", threads=4),
        DriftRow(machine="m", device="cpu", metric="auc", value=0.1, n_experiments=3, measured_at="2026-02"),
        DriftRow(machine="m", device="cpu", metric="auc", value=0.2, n_experiments=4, measured_at="2026-01"),
    )  # fmt: skip
    with Store(path) as store:
        assert {row.name: row.value for row in store.ceilings("m", "cpu", 2)} == {
            "stream": 2.0,
            "disk": 4.0,
            "none": None,
        }
        assert store.ceilings("other", "cpu", 2) == ()
        drift = store.drift("m", "cpu", "auc")
        assert drift is not None
        assert (drift.value, drift.n_experiments) == (0.1, 3)
        assert store.drift("m", "cpu", "loss") is None


def test_a_reader_cannot_write(example: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        example._connection.execute("DELETE FROM run")


def test_a_reader_leaves_one_file_behind(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(path, build.experiment())
    with Store(path) as store:
        assert store.list_experiments()[0].id == "exp1"
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.db"]


def test_a_reader_sees_one_moment_while_another_writes(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    build.write(path, build.experiment())
    with Store(path) as store:
        build.write(path, build.cell(), build.run())
        assert len(store.experiment("exp1").cells) == 1


def test_the_summary_view_says_what_the_runs_say(example: Store, example_path: Path) -> None:
    rows = view(example_path, "SELECT * FROM run_summary")
    listed = {run.id: run for run in example.list_runs(limit=None)}
    assert {row["run_id"] for row in rows} == set(listed)
    for row in rows:
        run = listed[row["run_id"]]
        for name in ("throughput", "auc", "log_loss", "hit_ratio"):
            metric = run.metrics.get(name)
            assert row[name] == (metric.value if metric else None)
        assert row["contended"] == (None if run.contended is None else int(run.contended))
        assert sorted((row["tags"] or "").split()) == list(run.tags)


def test_the_latest_of_each_configuration_is_shown_with_its_median(example: Store, example_path: Path) -> None:
    rows = view(example_path, "SELECT * FROM latest_per_cell")
    seen: dict[object, str] = {}
    for summary in reversed(example.list_experiments(limit=None)):
        for cell in example.experiment(summary.id).cells:
            if any(run.status == "ok" for run in cell.runs):
                key = (
                    cell.workload,
                    cell.mode,
                    cell.device,
                    cell.timing_scope,
                    cell.params_hash,
                    cell.data["fingerprint"],
                )
                seen[key] = cell.id
    assert {row["cell_id"] for row in rows} == set(seen.values())
    for row in rows:
        values = [
            metric.value
            for run in example.cell(row["cell_id"]).runs
            if run.status == "ok" and (metric := run.metric("throughput")) and metric.value is not None
        ]
        assert row["throughput_median"] == (pytest.approx(statistics.median(values)) if values else None)


def test_the_comparison_view_has_every_metric_of_every_good_run(example: Store, example_path: Path) -> None:
    rows = view(example_path, "SELECT run_id, metric, value FROM compare_input")
    expected = sorted(
        (run.id, metric.name, str(metric.value))
        for run in (example.run(listed.id) for listed in example.list_runs(Filters(status="ok"), limit=None))
        for metric in run.metrics
    )
    assert sorted((row["run_id"], row["metric"], str(row["value"])) for row in rows) == expected


def test_series_and_telemetry_can_be_read_by_people(example: Store, example_path: Path) -> None:
    _, identifier = example.resolve("card")
    run = example.experiment(identifier).cells[0].runs[0].id
    points = view(
        example_path, f"SELECT x, y FROM series_point WHERE run_id = '{run}' AND name = 'loss' ORDER BY \"index\""
    )
    assert tuple(point["y"] for point in points) == example.series(run, "loss")[0].y
    values = view(
        example_path, f"SELECT * FROM telemetry_value WHERE run_id = '{run}' AND name = 'power_w' ORDER BY t_s"
    )
    assert [row["value"] for row in values] == [
        row.values["power_w"] for row in example.telemetry(run) if row.source == "nvidia:0"
    ]


def test_the_example_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a.db", 3), ("b.db", 3), ("c.db", 4)):
        make_example(tmp_path / name, seed=seed)
    dumps = []
    for name in ("a.db", "b.db", "c.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            dumps.append([line for line in connection.iterdump() if "_sqlite_migrations" not in line])
    assert dumps[0] == dumps[1] != dumps[2]
    with Store(tmp_path / "a.db") as store:
        assert store.count_experiments() == len(STORIES)
        assert {run.status for run in store.list_runs(limit=None)} == {
            "ok", "failed", "crashed", "timeout", "skipped", "pending", "interrupted", "lost",
        }  # fmt: skip


def test_an_environment_is_found_by_its_hash(tmp_path: Path) -> None:
    build.write(tmp_path / "r.db", EnvironmentRow(hash="e", values={"a": [1]}, first_seen=build.AT))
    with Store(tmp_path / "r.db") as store:
        assert store.environment("e") == {"a": [1]}
