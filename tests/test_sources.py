from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import sources
from harness.errors import BenchError, UsageError
from harness.registry import Registry
from harness.spec import Source, resolve

REGISTRY = Registry()
DLRM = REGISTRY.workload("dlrm")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECBENCH_CONFIG", str(tmp_path / "config.toml"))


def test_what_is_typed_lies_over_the_environment_and_that_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_BATCH", "256")
    monkeypatch.setenv("BENCH_REPEATS", "3")
    found = resolve(DLRM, sources.laid_out(REGISTRY, DLRM, sets={"repeats": "9"}, flags={"batch": 64, "seed": None}))
    assert (found.params["batch"], found.origins["batch"]) == (64, "--batch")
    assert (found.settings.repeats, found.origins["repeats"]) == (9, "--set")
    assert found.origins["seed"] == "default"
    found = resolve(DLRM, sources.laid_out(REGISTRY, DLRM))
    assert (found.params["batch"], found.origins["batch"]) == (256, "BENCH_BATCH")


def test_first_is_stronger_than_all_else() -> None:
    first = [Source(origin="A", values={"batch": 32})]
    found = resolve(DLRM, sources.laid_out(REGISTRY, DLRM, first=first, sets={"batch": "64"}))
    assert (found.params["batch"], found.origins["batch"]) == (32, "A")


def test_paths_are_meant_from_the_working_folder_and_python_from_the_path() -> None:
    found = sources.meant_here(Source(origin="--data", values={"data": "clicks.tsv"}), DLRM)
    assert Path(str(found.values["data"])) == Path.cwd() / "clicks.tsv"
    found = sources.meant_here(Source(origin="--python", values={"python": "sh"}), DLRM)
    assert Path(str(found.values["python"])).is_absolute()
    assert sources.meant_here(Source(origin="--python", values={"python": "none"}), DLRM).values["python"] == "none"
    with pytest.raises(UsageError, match="python = 'no-such-program' in --python is no program on the path"):
        sources.meant_here(Source(origin="--python", values={"python": "no-such-program"}), DLRM)


def test_what_is_named_must_be_there_and_not_empty(tmp_path: Path) -> None:
    spec = resolve(DLRM, sources.laid_out(REGISTRY, DLRM))

    def with_path(**paths: Path) -> BenchError:
        named = replace(
            spec, settings=replace(spec.settings, **paths), origins={**spec.origins, **dict.fromkeys(paths, "--x")}
        )
        with pytest.raises(BenchError) as caught:
            sources.check(REGISTRY, DLRM, named)
        return caught.value

    sources.check(REGISTRY, DLRM, spec)
    sources.check(REGISTRY, DLRM, replace(spec, settings=replace(spec.settings, python=Path(sys.executable))))
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.touch()
    assert with_path(init_from=missing).message == f"init_from = {missing} (--x) does not exist"
    assert with_path(data=empty).message == f"data = {empty} (--x) is empty"


def test_an_unknown_device_is_refused() -> None:
    spec = resolve(DLRM, sources.laid_out(REGISTRY, DLRM, flags={"device": "gpu"}))
    with pytest.raises(BenchError, match="gpu"):
        sources.check(REGISTRY, DLRM, spec)
