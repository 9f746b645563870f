from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.api import Description, Mode, setting
from harness.errors import UsageError
from harness.spec import (
    DEFAULT_SECONDS,
    RunSettings,
    RunSpec,
    Source,
    config_of,
    describe,
    parse_cpus,
    parse_duration,
    parse_target,
    resolve,
    resolve_cells,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    batch: int = setting(128, minimum=1, help="samples", by_mode={"infer": 512})
    widths: tuple[int, ...] = setting((4, 2), help="widths")


DESCRIPTION = Description(
    name="toy",
    version=3,
    summary="a toy",
    config=Config,
    workload="nowhere:Toy",
    modes={
        "train": Mode("steady", timing_scopes=("compute", "compute+input")),
        "infer": Mode("steady"),
        "scan": Mode("pass"),
    },
    run_defaults={"*": {"repeats": 4}, "infer": {"warmup": "none", "repeats": 2}},
)


def _resolve(*values: dict[str, Any]) -> RunSpec:
    return resolve(DESCRIPTION, [Source(origin=f"source {place}", values=one) for place, one in enumerate(values)])


def test_the_first_source_that_gives_a_key_wins() -> None:
    spec = _resolve({"batch": None}, {"batch": "7"}, {"batch": 9, "seed": 5})
    assert (spec.params["batch"], spec.origins["batch"]) == (7, "source 1")
    assert (spec.settings.seed, spec.origins["seed"]) == (5, "source 2")
    assert spec.origins["widths"] == "default"


def test_flags_are_one_layer_so_that_two_stop_conditions_hold_together_in_any_order() -> None:
    flags = [
        Source(origin="--seconds", values={"seconds": 3}, layer="flags"),
        Source(origin="--epochs", values={"epochs": 2}, layer="flags"),
    ]
    profile = Source(origin="profile p", values={"steps": 9, "seconds": 60})
    for given_flags in (flags, flags[::-1]):
        spec = resolve(DESCRIPTION, [*given_flags, profile])
        assert (spec.settings.seconds, spec.settings.epochs, spec.settings.steps) == (3.0, 2.0, None)
        assert (spec.origins["seconds"], spec.origins["epochs"]) == ("--seconds", "--epochs")
    stronger = resolve(DESCRIPTION, [Source(origin="--set", values={"steps": 1}), *flags, profile])
    assert (stronger.settings.steps, stronger.settings.seconds, stronger.settings.epochs) == (1, None, None)


def test_the_workload_s_defaults_lie_between_sources_and_the_harness_s() -> None:
    assert _resolve().settings.repeats == 4
    assert _resolve({"mode": "infer"}).settings.repeats == 2
    assert _resolve({"mode": "infer"}).origins["warmup"] == "workload toy"
    assert _resolve({"mode": "infer", "repeats": 9}).settings.repeats == 9


def test_the_mode_decides_defaults_and_the_first_is_the_default() -> None:
    assert _resolve().mode == "train"
    assert _resolve().params["batch"] == 128
    assert _resolve({"mode": "infer"}).params["batch"] == 512


def test_a_steady_mode_without_an_end_gets_one() -> None:
    assert _resolve().settings.seconds == DEFAULT_SECONDS
    assert _resolve({"steps": 3}).settings.seconds is None
    assert _resolve({"mode": "scan"}).settings.seconds is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"bacth": 1}, "unknown key 'bacth' in source 0 for workload 'toy'"),
        ({"mode": "trian"}, "workload 'toy' has no mode 'trian'"),
        ({"mode": "infer", "timing_scope": "compute+input"}, "toy infer cannot be timed as 'compute+input'"),
        ({"timing_scope": "all"}, "timing_scope = 'all'"),
        ({"warmup": "later"}, "warmup = 'later'"),
        ({"target": "auc=0.8"}, "target 'auc=0.8'"),
        ({"time_limit": "soon"}, "time_limit = 'soon'"),
        ({"cpus": "a-b"}, "cpus = 'a-b'"),
        ({"repeats": 0}, "below the smallest allowed"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as problem:
        _resolve(values)
    assert sentence in problem.value.message


@given(
    batch=st.integers(1, 10**6),
    widths=st.lists(st.integers(1, 100), max_size=4),
    seed=st.integers(0, 2**31),
    mode=st.sampled_from(["train", "infer", "scan"]),
    data=st.sampled_from([None, "/data/x", "y"]),
)
def test_a_spec_survives_json(batch: int, widths: list[int], seed: int, mode: str, data: str | None) -> None:
    spec = _resolve({"batch": batch, "widths": widths, "seed": seed, "mode": mode, "data": data})
    again = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.params_hash == spec.params_hash
    assert config_of(DESCRIPTION, again) == Config(batch=batch, widths=tuple(widths))


def test_the_hash_names_the_configuration_alone() -> None:
    base = _resolve()
    for same in (
        {"seed": 7},
        {"data_seed": 7},
        {"repeats": 9},
        {"data": "/elsewhere"},
        {"window_s": 2},
        {"python": "/py"},
    ):
        assert _resolve(same).params_hash == base.params_hash, same
    others = [{"batch": 1}, {"steps": 3}, {"warmup": "none"}, {"device": "cuda"}, {"threads": 1}, {"ranks": 2},
              {"timing_scope": "compute+input"}, {"mode": "infer"}]  # fmt: skip
    hashes = {_resolve(other).params_hash for other in others}
    assert len(hashes) == len(others)
    assert base.params_hash not in hashes
    assert replace(base, workload_version=4).params_hash != base.params_hash


def test_the_protocol_holds_identity_keys_without_the_timing_scope() -> None:
    protocol = _resolve({"steps": 3}).protocol
    assert protocol["steps"] == 3
    assert "timing_scope" not in protocol
    assert not {"seed", "data", "repeats", "device", "threads"} & set(protocol)


def test_every_setting_is_described_with_its_origin() -> None:
    rows = {key: origin for key, _, origin in describe(_resolve({"batch": 3}))}
    assert rows["batch"] == "source 0"
    assert set(rows) == {"batch", "widths", *RunSettings.__dataclass_fields__}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("1d", 86400.0), ("1.5", 1.5), ("0.5 m", 30.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_targets_are_reached_from_their_side() -> None:
    assert parse_target("auc>=0.8").reached(0.8)
    assert not parse_target("auc >= 0.8").reached(0.7999)
    assert parse_target("log_loss<=0.45").reached(0.45)
    assert not parse_target("log_loss<=0.45").reached(None)
    with pytest.raises(UsageError):
        parse_target("auc>=1.2.3")


def test_cores() -> None:
    assert parse_cpus("0-3,6") == (0, 1, 2, 3, 6)
    assert parse_cpus("5,1,5") == (1, 5)
    for wrong in ("", "3-1", "1-", "-1", "x"):
        with pytest.raises(UsageError):
            parse_cpus(wrong)


def test_a_workload_may_not_take_the_name_of_a_run_setting() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Config:
        repeats: int = setting(1, help="mine")

    mine = Description(name="mine", version=1, summary="", config=Config, workload=object, modes={"go": Mode("pass")})
    with pytest.raises(UsageError, match="'repeats', which is a setting of every run"):
        resolve(mine, [])


def test_an_axis_takes_all_values_of_the_strongest_source_that_gives_it() -> None:
    described = replace(DESCRIPTION, axes={"batch": lambda text: text.split("/")})
    sources = [Source(origin="first", values={"seed": 1}), Source(origin="second", values={"batch": "3/5/4"})]
    cells = resolve_cells(described, [*sources, Source(origin="third", values={"batch": "7/8"})], label="mine")
    assert [cell.params["batch"] for cell in cells] == [3, 5, 4]
    assert [cell.label for cell in cells] == ["batch=3", "batch=5", "batch=4"]
    assert {cell.origins["batch"] for cell in cells} == {"second"}
    (only,) = resolve_cells(described, [Source(origin="first", values={"batch": 3})], label="mine")
    assert only.label == "mine"


def test_only_runs_of_a_mode_that_passes_once_go_side_by_side() -> None:
    spec = _resolve({"mode": "scan", "jobs": "2"})
    assert spec.settings.jobs == 2
    with pytest.raises(UsageError, match=r"jobs = 2 \(source 0\): toy train is a measurement of time") as caught:
        _resolve({"mode": "train", "jobs": 2})
    assert "leave jobs at 1" in str(caught.value.hint)
    with pytest.raises(UsageError, match="jobs"):
        _resolve({"mode": "scan", "jobs": 0})


def test_side_by_side_is_no_other_configuration() -> None:
    one, two = (_resolve({"mode": "scan", "jobs": jobs}) for jobs in (1, 2))
    assert one.params_hash == two.params_hash
    assert one.protocol == two.protocol
