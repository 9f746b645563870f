from __future__ import annotations

from pathlib import Path

import pytest

from harness import paths, profiles
from harness.errors import UsageError
from harness.registry import Registry
from workloads.dlrm.config import DESCRIPTION

SHIPPED = [path.stem for path in sorted(paths.profiles_dir().glob("*.toml")) if path.stem != "references"]


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECBENCH_CONFIG", str(tmp_path / "config" / "config.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_resolves_and_says_what_it_is_for(name: str) -> None:
    profile = profiles.load(name)
    assert profile.description
    assert profile.shipped
    spec = profiles.check(profile, Registry().workload(profile.workload_name or ""))
    Registry().device(spec.device)
    assert spec.profile == name


def test_references_are_no_profile() -> None:
    assert "references" not in profiles.names()
    with pytest.raises(UsageError, match="unknown profile 'references'"):
        profiles.find("references")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("dlrm-kaggle-cpu", {"batch": 128, "learning_rate": 0.1, "optimizer": "sgd", "split": "kaggle"}),
        ("dlrm-kaggle-cuda", {"batch": 128, "learning_rate": 0.1, "device": "cuda"}),
        (
            "mindspore-ascend910",
            {"batch": 128, "learning_rate": 0.15, "precision": "fp16", "device": "npu", "seed": 123},
        ),
        ("mindspore-gpu", {"batch": 1280, "learning_rate": 0.15, "precision": "fp16", "device": "cuda", "seed": 123}),
        ("pytorch-ascend", {"batch": 128, "learning_rate": 0.1, "device": "npu", "timing_scope": "compute+input"}),
    ],
)
def test_published_configurations_are_as_published(name: str, values: dict[str, object]) -> None:
    spec = profiles.check(profiles.load(name), DESCRIPTION)
    plain = spec.to_json()
    found = {**plain["settings"], **plain["params"]}
    assert {key: found[key] for key in values} == values
    assert found["bottom_mlp"] == [512, 256, 64, 16]
    assert found["top_mlp"] == [512, 256, 1]
    assert found["epochs"] == 1.0


def test_a_profile_of_the_user_wins_over_a_shipped_one(own_configuration: Path) -> None:
    mine = _write(own_configuration / "profiles" / "demo.toml", '[run]\nworkload = "dlrm"\n')
    assert profiles.find("demo") == mine
    assert not profiles.load("demo").shipped


def test_extends_lays_the_own_values_over_the_base(tmp_path: Path) -> None:
    _write(tmp_path / "base.toml", '[run]\nworkload = "dlrm"\nrepeats = 2\n[workload.dlrm]\nbatch = 10\nrows = 100\n')
    _write(tmp_path / "mine.toml", 'extends = "base"\n[workload.dlrm]\nbatch = 20\n')
    spec = profiles.check(profiles.load("./mine.toml"), DESCRIPTION)
    assert (spec.params["batch"], spec.origins["batch"]) == (20, "profile mine")
    assert (spec.params["rows"], spec.origins["rows"]) == (100, "profile base")
    assert spec.settings.repeats == 2


def test_extends_goes_one_level_deep(tmp_path: Path) -> None:
    _write(tmp_path / "a.toml", '[run]\nworkload = "dlrm"\n')
    _write(tmp_path / "b.toml", 'extends = "a"\n')
    _write(tmp_path / "c.toml", 'extends = "b"\n')
    with pytest.raises(UsageError, match="'c' extends 'b', which itself extends 'a'"):
        profiles.load("./c.toml")
    _write(tmp_path / "d.toml", 'extends = "nothing-like-it"\n')
    with pytest.raises(UsageError, match="unknown profile 'nothing-like-it'"):
        profiles.load("./d.toml")


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ('[rum]\nworkload = "dlrm"\n', "unknown key 'rum'", "'run'"),
        ("batch = 3\n", "unknown key 'batch'", "under [workload.NAME]"),
        ('[run]\nworkload = "dlrm"\nrepaets = 3\n', "unknown key 'repaets' under [run]", "'repeats'"),
        ('[run]\nworkload = "dlrm"\nbatch = 3\n', "unknown key 'batch' under [run]", "[workload.dlrm]"),
        (
            '[run]\nworkload = "dlrm"\n[workload.dlrm]\nbacth = 3\n',
            "unknown key 'bacth' under [workload.dlrm]",
            "'batch'",
        ),
        ('[run]\nworkload = "dlrm"\n[workload.dlrm]\nseed = 3\n', "unknown key 'seed' under [workload.dlrm]", "[run]"),
        ('[run]\nworkload = "dlrm"\n[workload.din]\nbatch = 3\n', "has [workload.din]", "dlrm"),
        ('[run]\nworkload = "dlrm"\n[workload.dlrm]\nbatch = "many"\n', "batch = 'many' in profile bad", ""),
        ('[run]\nworkload = "dlrm"\n[workload.dlrm]\nbatch = 1.5\n', "batch = 1.5 in profile bad", ""),
        ('[run]\nworkload = "dlrm"\n[workload.dlrm]\nbatch = 0\n', "below the smallest allowed, 1", ""),
        ('[run]\nworkload = "dlrm"\nwarmup = "soon"\n', "warmup = 'soon'", ""),
        ('run = "dlrm"\n', "is not a table", "[run]"),
        ("[run\n", "is not TOML", ""),
    ],
)
def test_a_wrong_profile_names_place_key_and_the_nearest(tmp_path: Path, text: str, sentence: str, hint: str) -> None:
    _write(tmp_path / "bad.toml", text)
    with pytest.raises(UsageError) as problem:
        profiles.check(profiles.load("./bad.toml"), DESCRIPTION)
    assert sentence in problem.value.message
    assert hint in (problem.value.hint or "")
    assert "bad" in problem.value.message or "dlrm" in problem.value.message or "warmup" in problem.value.message


def test_relative_paths_are_meant_from_the_profile_s_folder(tmp_path: Path) -> None:
    _write(tmp_path / "deep" / "mine.toml", '[run]\nworkload = "dlrm"\ndata = "rows/train.txt"\n')
    spec = profiles.check(profiles.load("deep/mine.toml"), DESCRIPTION)
    assert spec.settings.data == tmp_path / "deep" / "rows" / "train.txt"


def test_defaults_files_hold_run_and_workloads_only(tmp_path: Path) -> None:
    _write(tmp_path / "bench.toml", "[run]\nrepeats = 9\n[workload.dlrm]\nbatch = 7\n")
    (source,) = profiles.defaults_sources(DESCRIPTION, ["dlrm"])
    assert (source.origin, dict(source.values)) == ("./bench.toml", {"repeats": 9, "batch": 7})
    for text, sentence in (
        ('description = "x"\n', "unknown key 'description'"),
        ('[run]\nworkload = "dlrm"\n', "must not choose a workload"),
        ("[workload.dlmr]\nbatch = 7\n", "[workload.dlmr], which is no workload"),
    ):
        _write(tmp_path / "bench.toml", text)
        with pytest.raises(UsageError) as problem:
            profiles.defaults_sources(DESCRIPTION, ["dlrm"])
        assert sentence in problem.value.message


def test_a_profile_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'description = "caf\xe9"\n')
    with pytest.raises(UsageError, match="is not TOML"):
        profiles.load("./latin.toml")
    with pytest.raises(UsageError, match="is not a file"):
        profiles.load("./nowhere.toml")
