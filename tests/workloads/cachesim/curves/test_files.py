from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings

from harness.errors import DataError, UsageError
from tests.workloads.cachesim.curves.support import ROWS, dense
from workloads.cachesim.curves.curve import Curve, complete_curve
from workloads.cachesim.curves.files import curve_suffix, read_curves, write_curves
from workloads.cachesim.curves.make import Lookups, make_curve
from workloads.cachesim.policies.registry import policy


def same(one: Curve, other: Curve) -> bool:
    facts = ("policy", "table", "requests", "unique", "complete", "estimated")
    return (
        all(getattr(one, name) == getattr(other, name) for name in facts)
        and one.sizes.tolist() == other.sizes.tolist()
        and one.hits.tolist() == other.hits.tolist()
    )


@given(ROWS)
@settings(deadline=None, max_examples=40)
def test_npz_and_json_lose_nothing(tmp_path_factory, rows):
    ids, unique = dense(rows)
    sizes = np.unique([1, max(1, unique // 2), unique])
    made = [
        make_curve(Lookups("a", ids, unique), policy("lru"), sizes),
        make_curve(Lookups(None, ids, unique), policy("fifo"), sizes),
    ]
    folder = tmp_path_factory.mktemp("curves")
    for name in ("some.npz", "some.json"):
        write_curves(made, folder / name)
        found = read_curves(folder / name)
        assert len(found) == 2 and all(map(same, made, found))


def test_a_curve_of_no_row_comes_back(tmp_path):
    empty = Curve("lru", "t", 0, 0, np.zeros(1, np.int64), np.zeros(1, np.int64))
    write_curves([empty], tmp_path / "some.npz")
    assert same(read_curves(tmp_path / "some.npz")[0], empty)


def test_csv_has_a_line_where_hits_change(tmp_path):
    curve = complete_curve("lru", "a, b", np.array([2, 0, 3, 0, 5]))
    write_curves([curve], tmp_path / "some.csv")
    with (tmp_path / "some.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rows"], row["hits"]) for row in rows] == [("0", "0"), ("2", "3"), ("4", "8")]
    assert (rows[1]["table"], rows[1]["share_of_rows"], rows[1]["hit_ratio"]) == ("a, b", "0.5", "0.3")


def test_what_is_no_file_of_curves_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"ends in '.txt', and curves are written as"):
        curve_suffix(tmp_path / "some.txt")
    with pytest.raises(DataError, match="does not exist"):
        read_curves(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", hits=np.zeros(3))
    with pytest.raises(DataError, match="holds no curves"):
        read_curves(tmp_path / "other.npz")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(DataError, match="holds no curves"):
        read_curves(tmp_path / "other.json")
