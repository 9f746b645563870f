"""Commands on stored results, over a seeded example database."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Bench


@pytest.fixture
def db(example: Path) -> str:
    """A copy of the example that a test may change."""
    copy = Path.cwd() / "results.db"
    shutil.copy(example, copy)
    return str(copy)


def test_list_shows_runs_newest_first_and_filters(bench: Bench, db: str) -> None:
    everything = json.loads(bench("list", "--json", "--limit", "1000").out)
    created = [run["created_at"] for run in everything["runs"]]
    assert created == sorted(created, reverse=True)
    assert everything["total"] == len(everything["runs"])
    tagged = json.loads(bench("list", "--tag", "baseline", "--json").out)["runs"]
    assert {run["experiment_id"] for run in tagged} < {run["experiment_id"] for run in everything["runs"]}
    assert all("baseline" in run["tags"] for run in tagged)
    assert {run["device"] for run in json.loads(bench("list", "--device", "cuda", "--json").out)["runs"]} <= {
        "cuda",
        "cuda:0",
    }


def test_list_columns_may_be_metrics(bench: Bench, db: str) -> None:
    result = bench("list", "--tag", "baseline", "--columns", "run,repeat,auc")
    assert result.out.split()[:3] == ["run", "repeat", "auc"]
    assert "0.7" in result.out or "0.8" in result.out
    wrong = bench("list", "--columns", "run,thruoghput")
    assert wrong.code == 2
    assert "did you mean 'throughput'" in wrong.err


def test_list_running_without_a_database_is_empty(bench: Bench) -> None:
    result = bench("list", "--running", "--json")
    assert result.code == 0
    assert json.loads(result.out) == {"schema": 1, "running": []}


def test_list_references_knows_the_published_rows(bench: Bench) -> None:
    found = json.loads(bench("list", "--references", "--json").out)["references"]
    assert "ascend-modelzoo-dlrm-910-throughput" in {one["name"] for one in found}
    text = bench("list", "--references", "--workload", "din").out
    assert "bars-electronics-din-auc" in text
    assert "ascend" not in text


def test_references_of_the_user_s_own_are_added(bench: Bench) -> None:
    Path("mine.toml").write_text(
        '[[reference]]\nname = "mine"\nworkload = "dlrm"\ndevice = "x"\ndataset = "y"\nmetric = "auc"\nvalue = 0.5\n'
        'unit = ""\nsource = "me"\nbetter = "higher"\n'
    )
    found = json.loads(bench("list", "--references-file", "mine.toml", "--json").out)["references"]
    assert found[-1]["name"] == "mine"


def test_show_json_follows_the_published_schema(bench: Bench, db: str) -> None:
    body = json.loads(bench("show", "baseline", "--json").out)
    assert body["schema"] == 1
    cell = body["cells"][0]
    keys = {"id", "workload", "workload_version", "mode", "device", "device_kind", "timing_scope", "params",
            "data_fingerprint", "runs", "metrics"}  # fmt: skip
    assert keys <= set(cell)
    run = cell["runs"][0]
    assert {"id", "repeat", "status", "reason", "contended", "metrics"} <= set(run)
    assert set(run["metrics"]["throughput"]) == {"value", "unit", "better", "phase", "role"}
    assert set(cell["metrics"]["throughput"]) == {"median", "low", "high", "n", "unit", "better", "role"}


def test_show_of_a_run_shows_that_run_alone(bench: Bench, db: str) -> None:
    whole = json.loads(bench("show", "baseline", "--json").out)
    wanted = whole["cells"][0]["runs"][1]["id"]
    part = json.loads(bench("show", wanted, "--json").out)
    assert [run["id"] for cell in part["cells"] for run in cell["runs"]] == [wanted]


def test_show_prints_the_panel_and_every_metric(bench: Bench, db: str) -> None:
    result = bench("show", "busy", "--settings", "--environment", "--log")
    assert result.code == 0, result.err
    assert "contended" in result.out
    assert "log_loss" in result.out
    assert "cpu.model" in result.out


def test_tags_are_added_removed_and_used_as_ids(bench: Bench, db: str) -> None:
    assert bench("tag", "baseline", "golden").code == 0
    assert bench("tag", "golden").out.split() == ["baseline", "golden", "nightly-1"]
    assert bench("tag", "golden", "--remove", "nightly-1").code == 0
    assert bench("tag", "golden").out.split() == ["baseline", "golden"]
    refused = bench("tag", "golden", "--remove", "silver")
    assert refused.code == 2
    assert "has no tag 'silver'" in refused.err
    assert bench("tag", "golden", "@latest").code == 2


def test_notes_are_set_printed_and_removed(bench: Bench, db: str) -> None:
    assert bench("note", "card", "a cold night").code == 0
    assert bench("note", "card").out == "a cold night\n"
    assert bench("note", "card", "").code == 0
    assert bench("note", "card").out == ""


def test_compare_of_an_interleaved_experiment_prints_the_question(bench: Bench, db: str) -> None:
    result = bench("compare", "batch-size")
    assert result.code == 0, result.err
    assert "batch_size" in result.out


def test_compare_of_other_data_is_refused_with_the_keys(bench: Bench, db: str) -> None:
    result = bench("compare", "baseline", "criteo")
    assert result.code == 6
    assert "fingerprint" in result.err
    assert bench("compare", "baseline", "criteo", "--force").code == 0


def test_compare_gates_and_formats(bench: Bench, db: str) -> None:
    body = json.loads(bench("compare", "batch-size", "--json").out)
    assert len(body["comparisons"]) == 1
    failed = bench("compare", "batch-size", "--fail-on", "throughput>10%", "--format", "markdown")
    assert failed.code == 3
    assert bench("compare", "batch-size", "--fail-on", "throughput<-5%", "--format", "csv").code == 0
    assert bench("compare", "batch-size", "--fail-on", "throughput").code == 2
    assert bench("compare", "batch-size", "--margin", "auc").code == 2


def test_compare_with_a_reference_has_a_ratio_and_no_verdict(bench: Bench, db: str) -> None:
    result = bench("compare", "baseline", "reference:ascend-modelzoo-dlrm-910-throughput", "--json")
    assert result.code == 0, result.err
    (comparison,) = json.loads(result.out)["comparisons"]
    assert [metric["verdict"] for metric in comparison["metrics"].values()] == [None]
    lost = bench("compare", "baseline", "reference:datagen-io-similarity-imseg-16gb")
    assert lost.code == 6
    unknown = bench("compare", "baseline", "reference:ascend-910")
    assert unknown.code == 2


def test_another_database_is_reached_by_two_colons(bench: Bench, example: Path) -> None:
    assert bench("compare", f"{example}::baseline", f"{example}::busy", "--json").code in (0, 6)
    assert json.loads(bench("show", f"{example}::baseline", "--json").out)["tags"] == ["baseline", "nightly-1"]


@pytest.mark.parametrize("content", [b"", b"not a database at all, only some text that is long enough"])
def test_a_file_that_is_no_database_is_one_sentence(bench: Bench, content: bytes) -> None:
    Path("broken.db").write_bytes(content)
    result = bench("list", "--db", "broken.db")
    assert result.code == 2
    assert "broken.db" in result.err.splitlines()[0]
    assert Path("broken.db").read_bytes() == content


def test_the_database_may_come_from_the_environment(
    bench: Bench, example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DB", str(example))
    assert bench("show", "baseline", "--json").code == 0


def test_export_and_import_carry_experiments(bench: Bench, db: str) -> None:
    assert bench("export", "one.db", "baseline").code == 0
    body = json.loads(bench("show", "baseline", "--json", "--db", "one.db").out)
    assert body == json.loads(bench("show", "baseline", "--json").out)
    assert bench("import", db, "card", "--db", "one.db").code == 0
    assert json.loads(bench("show", "card", "--json", "--db", "one.db").out)["tags"] == ["card"]
    assert bench("export", "nowhere/one.db").code == 2


def test_profiles_are_listed_shown_and_checked(bench: Bench) -> None:
    listed = json.loads(bench("profiles", "list", "--json").out)["profiles"]
    assert {one["name"] for one in listed} == {
        "demo", "smoke", "criteo-small", "dlrm-kaggle-cpu", "dlrm-kaggle-cuda", "mindspore-ascend910", "mindspore-gpu",
        "pytorch-ascend", "cachesim-fbgemm", "cachesim-policies", "din-demo", "din-amazon", "din-graphcore-cpu",
        "din-graphcore-ipu",
    }  # fmt: skip
    assert "demo" in bench("profiles").out
    assert "profile demo" in bench("profiles", "show", "demo").out
    assert bench("profiles", "check").code == 0
    Path("bad.toml").write_text('[run]\nworkload = "dlrm"\n[workload.dlrm]\nbacth = 3\n')
    wrong = bench("profiles", "check", "demo", "bad.toml")
    assert wrong.code == 2
    assert "ok     demo" in wrong.out
    assert "did you mean 'batch'" in wrong.out


def test_config_show_tells_where_values_come_from(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bench.toml").write_text("[run]\nrepeats = 7\n")
    monkeypatch.setenv("BENCH_BACTH", "3")
    result = bench("config", "show", "dlrm")
    line = next(line for line in result.out.splitlines() if line.startswith("repeats"))
    assert line.split()[1:] == ["7", "./bench.toml"]
    assert "BENCH_BACTH is set and is no setting; did you mean BENCH_BATCH?" in result.err


def test_rerun_plans_the_same_spec_again(example: Path) -> None:
    from harness.cli.rerun import again, differences
    from harness.store.queries import Store

    with Store(example) as store:
        cell = store.experiment(store.resolve("baseline", ("experiment",))[1]).cells[0]
    runs, plan = again(example, cell.runs[2].id, None)
    assert [run.id for run in runs] == [cell.runs[2].id]
    assert [(one.spec.settings.seed, one.spec.settings.repeats) for one in plan.cells] == [(2, 1)]
    assert dict(plan.cells[0].spec.params) == dict(cell.params)
    whole = again(example, "batch-size", 2)[1]
    assert whole.interleaved
    assert len(whole.order) == 4
    assert differences(
        {"cpu": {"model": "a"}, "os": {"kernel": "1"}}, {"cpu": {"model": "b"}, "os": {"kernel": "1"}}
    ) == [("cpu.model", "a", "b")]


@pytest.mark.parametrize("face", ["plain", "none"])
def test_rerun_tells_what_differs_in_the_environment(bench: Bench, face: str) -> None:
    plugin = ["--plugin", str(Path(__file__).resolve().parents[1] / "fakes" / "workloads.py")]
    run = ["run", "steady", *plugin, "--rows", "100", "--epochs", "1", "--repeats", "1", "--warmup", "none"]
    first = bench(*run, "--ui", "none")
    assert first.code == 0, first.err
    with sqlite3.connect("results.db") as database:
        database.execute(
            """
            INSERT INTO environment SELECT 'other', json_set("values", '$.cpu.model', 'another'), first_seen
            FROM environment WHERE hash = (SELECT environment_hash FROM run)
            """
        )
        database.execute("UPDATE run SET environment_hash = 'other'")
    again = bench("rerun", first.out.strip(), *plugin, "--ui", face, "--json")
    assert again.code == 0, again.err
    changed = {one["key"]: one for one in json.loads(again.out)["environment_differences"]}
    assert changed["cpu.model"]["before"] == "another"
    assert changed["cpu.model"]["now"] != "another"
    said = [line for line in again.err.splitlines() if "since then has changed: " in line]
    assert [("cpu.model" in line) for line in said] == ([True] if face == "none" else [])


def _on_a_terminal(bench: Bench, monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = bench(*arguments)
    assert result.code == 0, result.err
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in result.out.splitlines()]


def test_list_in_80_columns_keeps_the_id_that_other_commands_need(
    bench: Bench, db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _on_a_terminal(bench, monkeypatch, 80, "list", "--limit", "1000")
    assert max(map(len, lines)) <= 80
    heading = " ".join(lines[:2])
    for name in ("experiment", "label", "status", "throughput"):
        assert name in heading
    busy = json.loads(bench("show", "busy", "--json").out)["experiment"]
    assert any(line.startswith(busy[:6]) and " ok *" in line for line in lines)


def test_references_in_80_columns_keep_their_whole_names(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {one["name"] for one in json.loads(bench("list", "--references", "--json").out)["references"]}
    lines = _on_a_terminal(bench, monkeypatch, 80, "list", "--references")
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines[2:]} == names


def test_tables_in_a_pipe_have_no_trailing_blanks(bench: Bench, db: str) -> None:
    for arguments in (("list",), ("list", "--references"), ("run", "dlrm", "--dry-run"), ("profiles",)):
        lines = bench(*arguments).out.splitlines()
        assert lines
        assert not any(line.endswith(" ") for line in lines)
        assert max(map(len, lines)) <= 120


def test_no_word_of_a_dry_run_is_broken_in_80_columns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _on_a_terminal(bench, monkeypatch, 80, "run", "dlrm", "--dry-run")
    assert max(map(len, lines)) <= 80
    line = next(line for line in lines if line.startswith("cardinalities"))
    assert line.split()[-1] == "default"


def test_a_refusal_names_the_data_seeds_where_they_are_the_cause(bench: Bench, db: str) -> None:
    from harness.analysis.compare import Side
    from harness.cli.compare import _explained
    from harness.errors import NothingCompared
    from harness.store.queries import Store

    with Store(Path(db)) as store:
        one = store.experiment(store.resolve("baseline", ("experiment",))[1])
    ours = Side(name="A", experiment=one, cell=dataclasses.replace(one.cells[0], data={"kind": "generated"}))
    other = dataclasses.replace(ours, experiment=dataclasses.replace(one, data_seed=one.data_seed + 5))
    refused = NothingCompared("no", hint="--force compares anyway", details=["data.fingerprint (identity): A x, B y"])
    told = _explained(refused, ours, [other])
    assert f"data_seed {one.data_seed} against {one.data_seed + 5}" in told.details[0]
    assert f"--data-seed {one.data_seed}" in (told.hint or "")
    assert _explained(refused, ours, [ours]) is refused
    assert _explained(NothingCompared("no", details=["mode (identity): …"]), ours, [other]).details == (
        "mode (identity): …",
    )


def test_the_next_command_is_one_that_is_answered(bench: Bench, db: str) -> None:
    from harness.cli.next_commands import next_commands
    from harness.store.queries import Store

    with Store(Path(db)) as store:
        every = [store.experiment(one.id) for one in store.list_experiments(limit=None)]
    compared = 0
    for one in every[:12]:
        for command in next_commands(one, Path(db)):
            words = shlex.split(command)
            if words[1] == "compare":
                compared += 1
                result = bench(*words[1:])
                assert result.code == 0, (command, result.err)
    assert compared


def test_the_next_command_names_a_database_that_is_not_the_usual_one(example: Path) -> None:
    from harness.cli.next_commands import next_commands
    from harness.store.queries import Store

    with Store(example) as store:
        one = store.experiment(store.resolve("baseline", ("experiment",))[1])
    assert all(command.endswith(f" --db {example}") for command in next_commands(one, example))


def test_one_wrong_profile_is_not_called_several(bench: Bench) -> None:
    Path("bad.toml").write_text('[run]\nworkload = "dlrm"\n[workload.dlrm]\nbacth = 3\n')
    assert "the profile cannot be used" in bench("profiles", "check", "bad.toml").err
    assert "1 of 2 profiles cannot be used" in bench("profiles", "check", "bad.toml", "demo").err


def test_a_hint_on_columns_names_each_once(bench: Bench, db: str) -> None:
    hint = bench("list", "--columns", "xyzzy").err.split("known: ")[1]
    known = [name.strip() for name in " ".join(hint.split()).split(",")]
    assert len(known) == len(set(known))
    assert "auc" in known


def test_variables_that_are_no_setting_are_warned_of_on_stderr(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_BACTH", "3")
    monkeypatch.setenv("BENCH_XYZZY", "3")
    result = bench("run", "dlrm", "--dry-run", "--json")
    assert "warning: BENCH_BACTH is set and is no setting; did you mean BENCH_BATCH?" in result.err
    assert "warning: BENCH_XYZZY is set and is no setting of this workload" in result.err
    json.loads(result.out)


def test_a_wrong_type_is_answered_with_what_is_expected(bench: Bench) -> None:
    result = bench("run", "dlrm", "--batch", "x")
    assert result.code == 2
    assert result.err.splitlines()[1] == "hint: batch takes a whole number, 1 or more, in samples, e.g. 128"


def test_seconds_stand_behind_their_default(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert "default 10.0 s)" in bench("run", "dlrm", "--help").out


def test_a_comparison_in_a_pipe_has_no_trailing_blanks(bench: Bench, db: str) -> None:
    lines = bench("compare", "batch-size").out.splitlines()
    assert any("throughput" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)
