"""Lists hold what the filters say, newest first, page by page; plain Python is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from harness.errors import UsageError
from harness.store.listing import Filters, day
from harness.store.queries import Store
from harness.store.records import RunSummary

CASES: list[tuple[Filters, Callable[[RunSummary], bool]]] = [
    (Filters(), lambda run: True),
    (Filters(workload="dlrm"), lambda run: run.workload == "dlrm"),
    (Filters(device="cuda"), lambda run: run.device.startswith("cuda")),
    (Filters(device="cuda:0"), lambda run: run.device == "cuda:0"),
    (Filters(device="cud"), lambda run: False),
    (Filters(device="%"), lambda run: False),
    (Filters(mode="infer", workload="din"), lambda run: (run.workload, run.mode) == ("din", "infer")),
    (Filters(tag="batch-size"), lambda run: "batch-size" in run.tags),
    (Filters(tag="none"), lambda run: False),
    (Filters(status="crashed"), lambda run: run.status == "crashed"),
    (Filters(contended=True), lambda run: run.contended is True),
    (Filters(contended=False), lambda run: run.contended is False),
    (Filters(command="ab"), lambda run: run.command == "ab"),
    (Filters(since="2026-03-03", until="2026-03-04"), lambda run: "2026-03-03" <= run.created_at < "2026-03-04"),
    (Filters(text="CRITEO"), lambda run: "criteo" in " ".join([*run.tags, run.note or "", run.profile or ""]).lower()),
    (Filters(text="100%"), lambda run: "100%" in (run.note or "")),
    (Filters(text="SIGKILL"), lambda run: "SIGKILL" in (run.reason or "")),
    (Filters(workload="dlrm", device="cpu", status="ok", tag="busy", contended=True), lambda run: bool(
        "busy" in run.tags and run.contended and run.status == "ok"
    )),
]  # fmt: skip


@pytest.mark.parametrize(("filters", "wanted"), CASES, ids=[str(number) for number in range(len(CASES))])
def test_a_list_holds_what_the_filters_say(example: Store, filters: Filters, wanted) -> None:
    everything = example.list_runs(limit=None)
    expected = [run.id for run in everything if wanted(run)]
    assert [run.id for run in example.list_runs(filters, limit=None)] == expected
    assert example.count_runs(filters) == len(expected)
    if filters.status is None and filters.text != "SIGKILL":
        experiments = [item.id for item in example.list_experiments(filters, limit=None)]
        assert experiments == list(dict.fromkeys(run.experiment_id for run in everything if wanted(run)))
        assert example.count_experiments(filters) == len(experiments)


def test_the_newest_is_first(example: Store) -> None:
    runs = example.list_runs(limit=None)
    keys = [(run.created_at, run.order_index) for run in runs]
    assert keys == sorted(keys, reverse=True)
    assert len(runs) >= 300


def test_pages_together_are_the_list(example: Store) -> None:
    everything = example.list_runs(limit=None)
    pages = [example.list_runs(limit=47, offset=start) for start in range(0, len(everything) + 47, 47)]
    assert [run for page in pages for run in page] == list(everything)
    assert example.list_experiments(limit=3, offset=2) == example.list_experiments(limit=None)[2:5]


def test_a_run_of_a_list_says_what_the_run_itself_says(example: Store) -> None:
    for listed in example.list_runs(limit=60):
        run = example.run(listed.id)
        assert (listed.status, listed.wall_s, listed.contended, listed.reason) == (
            run.status, run.wall_s, run.contended, run.reason,
        )  # fmt: skip
        assert listed.metrics == {metric.key: metric for metric in run.metrics if metric.key in listed.metrics}
        assert ("throughput" in listed.metrics) == (run.metric("throughput") is not None)


def test_only_the_metrics_asked_for_are_read(example: Store) -> None:
    (listed,) = example.list_runs(Filters(tag="policies"), limit=1, metrics=["unique_hit_ratio"])
    assert sorted(listed.metrics) == [f"unique_hit_ratio{{table={k}}}" for k in range(3)]


def test_an_experiment_of_a_list_counts_its_runs(example: Store) -> None:
    (broken,) = example.list_experiments(Filters(tag="broken"))
    assert (broken.cells, broken.runs, broken.runs_ok, broken.status) == (1, 6, 1, "failed")
    (sweep,) = example.list_experiments(Filters(tag="policies"))
    assert (sweep.workloads, sweep.devices, sweep.cells, sweep.runs) == (("cachesim",), ("cpu",), 3, 9)
    (busy,) = example.list_experiments(Filters(tag="busy"))
    assert busy.runs_contended == 3


def test_what_is_running_is_listed(example: Store) -> None:
    assert [item.tags for item in example.running()] == [("now",)]


def test_days_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        now = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)
        for text, start, end in (
            ("2026-03-04", "2026-03-04T00:00:00.000Z", "2026-03-05T00:00:00.000Z"),
            ("today", "2026-03-05T00:00:00.000Z", "2026-03-06T00:00:00.000Z"),
            ("yesterday", "2026-03-04T00:00:00.000Z", "2026-03-05T00:00:00.000Z"),
            ("2026-03-04T14:00", "2026-03-04T14:00:00.000Z", "2026-03-04T14:00:00.000Z"),
            ("2026-03-04T14:00+02:00", "2026-03-04T12:00:00.000Z", "2026-03-04T12:00:00.000Z"),
            ("12h", "2026-03-05T00:30:00.000Z", "2026-03-05T00:30:00.000Z"),
            ("2d", "2026-03-03T12:30:00.000Z", "2026-03-03T12:30:00.000Z"),
        ):
            assert day(text, now=now) == start
            assert day(text, end=True, now=now) == end
    finally:
        monkeypatch.undo()
        time.tzset()
    for text in ("soon", "2026-13-01", "", "99999999999d", "d"):
        with pytest.raises(UsageError, match="is not a date like"):
            day(text)
