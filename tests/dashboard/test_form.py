from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from harness.cli import layers
from harness.cli.flags import parse_flags
from harness.dashboard.form import Form, hint_of, offered_profiles, workloads
from harness.errors import UsageError
from harness.registry import Registry
from harness.settings import settings_of
from harness.sources import all_settings
from harness.spec import RunSettings


@pytest.fixture
def form() -> Form:
    return Form(Registry(), "dlrm")


def test_the_form_has_a_field_for_every_setting_of_the_run_and_of_the_workload(form: Form) -> None:
    wanted = [item.name for item in (*settings_of(RunSettings), *settings_of(form.description.config))]
    assert [one.item.name for one in form.fields] == wanted
    assert all(one.item.help for one in form.fields)


@pytest.mark.parametrize(
    ("profile", "typed"),
    [
        (None, {}),
        ("demo", {"batch": "256", "repeats": "2"}),
        ("demo", {"seconds": "3", "epochs": "none", "shuffle": "false", "bottom_mlp": "64,16"}),
        ("demo", {"seconds": "3", "epochs": "2", "steps": "900"}),
        ("smoke", {"mode": "eval", "target": "auc>=0.7", "teacher_bias": "-1.5"}),
        ("criteo-small", {"data": "."}),
    ],
)
def test_the_command_line_shown_does_what_the_form_does(form: Form, profile: str | None, typed: dict[str, str]) -> None:
    """The words are read back by the command line's own parser and layers: the same spec comes out."""
    form = form.with_profile(profile)
    for name, text in typed.items():
        form = form.with_value(name, text)
    words = form.command()
    assert words[:3] == ["bench", "run", "dlrm"]
    given = parse_flags(shlex.join(words[3:]), all_settings(form.description), where="the test")
    chosen = given.pop("profile", None)
    registry = Registry()
    spec = layers.spec_of(registry, form.description, layers.Given(profile=chosen, flags=given))
    assert form.spec is not None, form.problem
    assert (spec.settings, spec.params, spec.params_hash) == (
        form.spec.settings, form.spec.params, form.spec.params_hash,
    )  # fmt: skip
    assert dict(spec.origins) == dict(form.spec.origins)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("batch", "x", "batch = 'x' is not a whole number"),
        ("batch", "0", "batch = 0 is below the smallest allowed, 1"),
        ("batch", "", "batch must not be empty; expected a whole number"),
        ("device", "cdua", "unknown device 'cdua'; did you mean 'cuda'?"),
        ("mode", "trian", "dlrm has no mode 'trian': train, eval"),
        ("optimizer", "adagrd", "optimizer = 'adagrd' is not one of sgd | adagrad; did you mean 'adagrad'?"),
        ("data", "nowhere/at/all", "nowhere/at/all does not exist"),
    ],
)
def test_a_wrong_value_is_told_in_one_sentence_and_the_others_stay(
    form: Form, name: str, text: str, sentence: str
) -> None:
    form = form.with_profile("demo")
    assert form.check(name, text) == sentence
    wrong = form.with_value("repeats", "7").with_value(name, text or " ")
    assert wrong.problem is not None and wrong.spec is None
    fields = {one.item.name: one for one in wrong.fields}
    assert fields["repeats"].text == "7"
    with pytest.raises(UsageError):
        wrong.plan(Path("results.db"))


def test_values_that_do_not_go_together_are_the_forms_problem_and_no_fields(form: Form) -> None:
    wrong = form.with_value("target", "auc")
    assert wrong.problem is not None and "target" in wrong.problem.message


def test_taking_a_value_back_gives_the_profiles_again(form: Form) -> None:
    form = form.with_profile("demo").with_value("batch", "99")
    assert {one.item.name: (one.text, one.typed) for one in form.fields}["batch"] == ("99", True)
    back = form.with_value("batch", None)
    field = next(one for one in back.fields if one.item.name == "batch")
    assert (field.text, field.origin, field.typed) == ("512", "profile demo", False)
    assert back.with_profile(None).command() == ["bench", "run", "dlrm"]


def test_the_environment_stands_below_what_is_typed(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_BATCH", "77")
    field = next(one for one in form.fields if one.item.name == "batch")
    assert (field.text, field.origin) == ("77", "BENCH_BATCH")
    field = next(one for one in form.with_value("batch", "78").fields if one.item.name == "batch")
    assert (field.text, field.origin) == ("78", "--batch")


def test_tags_and_note_reach_the_plan_and_the_command(form: Form) -> None:
    form = form.with_tags("fast, nightly fast").with_note(" quiet machine ")
    plan = form.plan(Path("other.db"))
    assert (plan.tags, plan.note, plan.face) == (("fast", "nightly"), "quiet machine", "dashboard")
    assert form.command_text(Path("other.db")) == (
        "bench run dlrm --tag fast --tag nightly --note 'quiet machine' --db other.db"
    )
    with pytest.raises(UsageError, match="cannot be a tag"):
        form.with_tags("@x")


def test_hints_say_kind_unit_and_bounds(form: Form) -> None:
    hints = {one.item.name: hint_of(one) for one in form.fields}
    assert hints["batch"] == "a whole number, in samples, at least 1"
    assert hints["optimizer"] == "one of sgd, adagrad"
    assert hints["checkpoint"] == "on or off"
    assert hints["steps"] == "a whole number, at least 1, or none"
    assert hints["mode"] == "one of train, eval"


def test_what_can_be_chosen(form: Form) -> None:
    assert "dlrm" in [name for name, _ in workloads(form.registry)]
    assert ("demo", "dlrm") in [(name, workload) for name, workload, _ in offered_profiles()]
