from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from harness.errors import StoreError, UsageError
from harness.store.browse import Browser, Order, query
from harness.store.listing import Filters
from harness.store.queries import Store
from harness.store.records import RunSummary
from tests.example_database import make_example


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browse") / "results.db"
    make_example(path, runs=300, running=True)
    return path


def test_the_default_order_and_its_rows_are_those_of_list_runs(example: Path) -> None:
    with Store(example) as store, Browser(example) as browser:
        expected = store.list_runs(limit=None)
        identifiers = browser.identifiers()
        assert identifiers == tuple(run.id for run in expected)
        found = browser.page(identifiers)
        assert [found[identifier] for identifier in identifiers] == list(expected)


CHECKS: Mapping[str, Callable[[RunSummary], bool]] = {
    "device:cuda": lambda run: run.device.startswith("cuda"),
    "status:ok tag:card": lambda run: run.status == "ok" and "card" in run.tags,
    "nightly": lambda run: any("nightly" in tag for tag in run.tags),
    "kaggle cuda:0": lambda run: "kaggle" in (run.profile or "") and run.device == "cuda:0",
    "contended:yes": lambda run: run.contended is True,
    "100%": lambda run: "100%" in (run.note or ""),
}


@pytest.mark.parametrize("text", CHECKS)
def test_a_filter_keeps_what_a_scan_of_every_run_keeps(example: Path, text: str) -> None:
    with Store(example) as store, Browser(example) as browser:
        expected = {run.id for run in store.list_runs(limit=None) if CHECKS[text](run)}
        assert set(browser.identifiers(query(text))) == expected
        assert expected


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("column", ["throughput", "auc", "wall", "device", "status", "note", "date"])
def test_sorting_agrees_with_python_and_puts_what_is_missing_last(example: Path, column: str, descending: bool) -> None:
    with Browser(example) as browser:
        identifiers = browser.identifiers((), Order(column, descending))
        runs = browser.page(identifiers, (column,))

    def value(identifier: str) -> object:
        run = runs[identifier]
        if column in ("throughput", "auc"):
            return run.metrics[column].value if column in run.metrics else None
        return {"wall": run.wall_s, "device": run.device, "status": run.status, "note": run.note,
                "date": run.started_at or run.created_at}[column]  # fmt: skip

    values = [value(identifier) for identifier in identifiers]
    there = [one for one in values if one is not None]
    assert values == there + [None] * (len(values) - len(there))
    if column == "date" and descending:
        assert identifiers[0] == browser_newest(example)  # newest experiment first, not the run that started last
    else:
        assert there == sorted(there, reverse=descending)  # type: ignore[type-var]


def browser_newest(path: Path) -> str:
    with Store(path) as store:
        return store.list_runs(limit=1)[0].id


def test_pages_come_in_any_order_and_leave_out_what_is_gone(example: Path) -> None:
    with Browser(example) as browser:
        identifiers = list(browser.identifiers())
        random.Random(1).shuffle(identifiers)
        assert set(browser.page([*identifiers[:50], "nothing-such"])) == set(identifiers[:50])
        assert browser.page([]) == {}


def test_metric_names_are_those_with_values_the_commonest_first(example: Path) -> None:
    with Browser(example) as browser:
        names = browser.metric_names(browser.identifiers())
        assert names[0] in ("measure_s", "setup_s")
        assert "throughput" in names and "energy_j_per_sample" not in names
        assert browser.metric_names([]) == ()


def test_a_key_without_its_value_does_not_filter_yet() -> None:
    assert query("device:") == ()
    assert query("device: cuda") == (Filters(text="cuda"),)
    assert query("") == ()


def test_words_must_all_be_there_and_quotes_keep_them_together() -> None:
    assert query("a b") == (Filters(text="a"), Filters(text="b"))
    assert query('"a b" status:ok') == (Filters(status="ok"), Filters(text="a b"))
    assert query('"a b') == (Filters(text="a"), Filters(text="b"))


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("devise:cpu", "'devise' is nothing to filter by", "did you mean 'device'?"),
        ("contended:maybe", "contended:maybe is neither contended:yes nor contended:no", None),
        ("since:soon", "'soon' is not a date like 2026-11-03, 2026-11-03T14:00, today, 7d or 12h", None),
    ],
)
def test_a_key_or_value_that_is_none_is_told(text: str, sentence: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        query(text)
    assert (caught.value.message, caught.value.hint) == (sentence, hint)


def test_a_database_locked_by_another_writer_can_still_be_read(example: Path) -> None:
    other = sqlite3.connect(example, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with Browser(example, busy_timeout_s=0.1) as browser:
            assert browser.identifiers()
    finally:
        other.close()


def test_an_interrupted_query_raises_and_the_next_one_works(example: Path) -> None:
    with Browser(example) as browser:
        browser._connection.set_progress_handler(browser.interrupt, 1)  # type: ignore[arg-type]
        with pytest.raises(StoreError, match="interrupted"):
            browser.identifiers(query("x y z"))
        browser._connection.set_progress_handler(None, 0)
        assert browser.identifiers()
