from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from harness.comparable import drift_of, param_classes, side_of
from harness.registry import Registry
from harness.store.queries import Store
from tests.example_database import make_example


def test_parameters_have_their_settings_kinds_and_an_absent_workload_has_none() -> None:
    classes = param_classes(Registry(), "dlrm")
    assert classes["rows"] == "identity" and classes["batch"] == "subject"
    assert param_classes(Registry(), "not-installed-here") == {}


def test_a_side_carries_its_machines_drift_where_it_was_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    make_example(path)
    with Store(path) as store:
        experiment = store.experiment(store.resolve("baseline", ("experiment",))[1])
        cell = experiment.cells[0]
        side = side_of(store, experiment, cell, name="A")
        assert (side.name, side.cell.id, side.experiment.id) == ("A", cell.id, experiment.id)
        assert side.drift is None  # its row says no upper limit
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE drift SET body = ?", (json.dumps({"upper": 0.04, "method": "pairs"}),))
    with Store(path) as store:
        row = store.drift(experiment.host or "", cell.device, "throughput")
        known = drift_of(store, experiment, cell)
        assert row is not None and known is not None
        assert (known.value, known.upper, known.n_experiments, known.method) == (row.value, 0.04, 6, "pairs")
        assert drift_of(store, replace(experiment, host=None), cell) is None
        assert drift_of(store, experiment, replace(cell, device="cuda:7")) is None
