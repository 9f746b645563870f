from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.arguments import NEWEST, prescan
from harness.errors import UsageError
from harness.settings import settings_of
from harness.spec import RunSettings
from tests.cli.conftest import Bench
from tests.cli.plugins import CLASHING, GOOD, RAISING
from workloads.dlrm.config import DLRMConfig


def _origins(bench: Bench, *arguments: str) -> dict[str, tuple[object, str]]:
    result = bench("run", *arguments, "--dry-run", "--json")
    assert result.code == 0, result.err
    cell = json.loads(result.out)["cells"][0]
    values = {**cell["settings"], **cell["params"]}
    return {key: (value, cell["origins"][key]) for key, value in values.items()}


def test_help_has_a_flag_for_every_setting_with_its_help(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    result = bench("run", "dlrm", "--help")
    assert result.code == 0
    for item in (*settings_of(RunSettings), *settings_of(DLRMConfig)):
        assert f" {item.flag} " in result.out
        if item.name != "device":  # its square brackets are markup to no one
            assert item.help.split(";")[0] in result.out
    for panel in {item.group for item in settings_of(DLRMConfig)}:
        assert f" {panel} " in result.out
    assert "cuda[:i]" in result.out


def test_help_shows_defaults_of_each_mode(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    text = bench("run", "dlrm", "--help").out
    assert "default 128 in train, 16384 in eval" in text
    assert "default auto in train, none in eval" in text  # a workload's own default of a run setting
    assert "default 512,256,1" in text


def test_flags_that_are_not_given_are_unset(bench: Bench) -> None:
    found = _origins(bench, "dlrm")
    assert found["batch"] == (128, "default")
    assert found["epochs"] == (1.0, "workload dlrm")
    assert {origin for _, origin in found.values()} == {"default", "workload dlrm"}


def test_the_strongest_source_wins(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config" / "config.toml"
    config.parent.mkdir()
    config.write_text("[run]\nrepeats = 1\nseed = 1\n[workload.dlrm]\nbatch = 1\nrows = 11\n")
    Path("bench.toml").write_text("[run]\nrepeats = 2\n[workload.dlrm]\nbatch = 2\ntable_rows = 22\n")
    Path("mine.toml").write_text(
        '[run]\nworkload = "dlrm"\nrepeats = 3\n[workload.dlrm]\nbatch = 3\nlearning_rate = 0.3\n'
    )
    arguments = ["dlrm", "--profile", "mine.toml"]
    assert _origins(bench, *arguments)["batch"] == (3, "profile mine")
    monkeypatch.setenv("BENCH_BATCH", "4")
    assert _origins(bench, *arguments)["batch"] == (4, "BENCH_BATCH")
    assert _origins(bench, *arguments, "--batch", "5")["batch"] == (5, "--batch")
    found = _origins(bench, *arguments, "--batch", "5", "--set", "batch=6")
    assert found["batch"] == (6, "--set")
    assert found["learning_rate"] == (0.3, "profile mine")
    assert found["table_rows"] == (22, "./bench.toml")
    assert found["rows"] == (11, "user configuration")
    assert found["seed"] == (1, "user configuration")
    assert found["repeats"] == (3, "profile mine")


def test_an_empty_variable_is_not_given(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_BATCH", "")
    assert _origins(bench, "dlrm")["batch"] == (128, "default")


def test_lists_switches_and_nothing_are_written_plainly(bench: Bench) -> None:
    found = _origins(bench, "dlrm", "--top-mlp", "512,256,1", "--no-shuffle", "--interaction-self", "--epochs", "none")
    assert found["top_mlp"] == ([512, 256, 1], "--top-mlp")
    assert found["shuffle"] == (False, "--shuffle")
    assert found["interaction_self"] == (True, "--interaction-self")
    assert found["epochs"] == (None, "--epochs")


def test_a_path_is_meant_from_the_working_folder(bench: Bench) -> None:
    Path("rows.txt").write_text("1\t2\n")
    value, origin = _origins(bench, "dlrm", "--data", "rows.txt")["data"]
    assert (value, origin) == (str(Path.cwd() / "rows.txt"), "--data")


def test_an_empty_data_file_is_refused_before_anything_starts(bench: Bench) -> None:
    Path("rows.txt").touch()
    result = bench("run", "dlrm", "--data", "rows.txt")
    assert result.code == 2
    assert "rows.txt (--data) is empty" in result.err
    assert not Path("results.db").exists()


def test_the_dry_run_prints_every_value_with_its_origin(bench: Bench) -> None:
    result = bench("run", "dlrm", "--profile", "demo", "--seed", "4", "--dry-run")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines() if line.split()}
    assert lines["seed"].split()[1:] == ["4", "--seed"]
    assert "profile demo" in lines["rows"]
    for item in (*settings_of(RunSettings), *settings_of(DLRMConfig)):
        assert item.name in lines
    assert not Path("results.db").exists()


def test_a_profile_of_another_workload_is_refused(bench: Bench, tmp_path: Path) -> None:
    plugin = tmp_path / "toy.py"
    plugin.write_text(GOOD)
    result = bench("run", "toy", "--plugin", str(plugin), "--profile", "demo")
    assert result.code == 2
    assert "profile 'demo' is for workload 'dlrm', not 'toy'" in result.err


def test_a_plugin_brings_its_command_and_flags(bench: Bench, tmp_path: Path) -> None:
    plugin = tmp_path / "toy.py"
    plugin.write_text(GOOD)
    text = bench("run", "toy", "--help", "--plugin", str(plugin)).out
    assert "--width" in text
    assert "in columns" in text
    found = _origins(bench, "toy", "--plugin", str(plugin), "--width", "3", "--no-fast", "--layers", "9,9")
    assert found["width"] == (3, "--width")
    assert found["fast"] == (False, "--fast")
    assert found["layers"] == ([9, 9], "--layers")
    assert _origins(bench, f"--plugin={plugin}", "toy", "--mode", "infer")["width"] == (16, "default")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (RAISING, "does not import: RuntimeError: half a plug-in"),
        ("x = 1\n", "defines neither WORKLOADS nor DEVICES"),
        (CLASHING, "setting 'profile' of workload 'toy' has the flag --profile, which is taken already"),
    ],
)
def test_a_broken_plugin_is_one_sentence_and_exit_2(bench: Bench, tmp_path: Path, body: str, sentence: str) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text(body)
    result = bench("run", "toy", "--plugin", str(plugin))
    assert result.code == 2
    assert sentence in result.err.splitlines()[0]
    assert "Traceback" not in result.err


def test_a_missing_plugin_is_one_sentence(bench: Bench) -> None:
    result = bench("run", "toy", "--plugin", "nowhere.py")
    assert result.code == 2
    assert "nowhere.py is not a file" in result.err


def test_a_broken_entry_point_breaks_only_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    import harness.registry

    def entry_points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        if group != harness.registry.WORKLOAD_GROUP:
            return []
        return [importlib.metadata.EntryPoint("theirs", "no_such_package.config:DESCRIPTION", group)]

    monkeypatch.setattr(harness.registry, "entry_points", entry_points)
    assert bench("--help").code == 0
    listed = bench("run", "--help")
    assert listed.code == 0
    assert "theirs" in listed.out
    assert "does not load" in listed.out
    assert bench("run", "dlrm", "--dry-run").code == 0
    broken = bench("run", "theirs", "--batch", "3")
    assert broken.code == 2
    assert "workload 'theirs'" in broken.err
    assert "no_such_package" in broken.err


def test_resume_without_a_value_means_the_newest_unfinished_one() -> None:
    assert prescan(["run", "dlrm", "--resume"]).arguments[-1] == f"--resume={NEWEST}"
    assert prescan(["run", "dlrm", "--resume", "--json"]).arguments[-2:] == (f"--resume={NEWEST}", "--json")
    assert prescan(["run", "dlrm", "--resume", "abc123"]).arguments[-1] == "--resume=abc123"


def test_plugins_and_debug_are_taken_out_before_two_dashes_only() -> None:
    found = prescan(["--plugin", "a.py", "run", "--plugin=b.py", "--debug", "x", "--", "--debug"])
    assert found.arguments == ("run", "x", "--", "--debug")
    assert found.plugins == (Path("a.py"), Path("b.py"))
    assert found.debug
    with pytest.raises(UsageError):
        prescan(["run", "--plugin"])


def test_resume_refuses_other_settings(bench: Bench) -> None:
    result = bench("run", "dlrm", "--resume", "abc", "--batch", "3")
    assert result.code == 2
    assert "--batch cannot change them" in result.err


def test_resume_plans_the_missing_runs(example: Path) -> None:
    from harness.cli.run import missing_plan

    plan = missing_plan(example, "stopped", "dlrm")
    assert plan.resumed
    assert [run.repeat for run in plan.order] == [2, 3, 4]
    newest = missing_plan(example, NEWEST, "dlrm")
    assert newest.resumed
    with pytest.raises(UsageError, match="is of workload 'dlrm', not 'din'"):
        missing_plan(example, "stopped", "din")
