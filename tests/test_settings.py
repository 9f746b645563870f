from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import settings
from harness.errors import UsageError
from harness.settings import setting, settings_of


@dataclass(frozen=True, kw_only=True)
class Example:
    size: int = setting(128, minimum=1, maximum=10**9, unit="samples", help="how many", by_mode={"infer": 512})
    rate: float = setting(0.1, minimum=0.0, help="how fast")
    name: str = setting("sgd", choices=("sgd", "adagrad"), help="which")
    way: Literal["dot", "cat"] = setting("dot", help="how")
    layers: tuple[int, ...] = setting((4, 2), minimum=1, help="widths")
    on: bool = setting(True, help="whether")
    path: Path | None = setting(None, help="where")
    limit: int | None = setting(None, help="at most")


ITEMS = {item.name: item for item in settings_of(Example)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "64k", 64_000),
        ("size", "2Ki", 2048),
        ("size", "1_000", 1000),
        ("size", "1e3", 1000),
        ("size", 7.0, 7),
        ("rate", "1", 1.0),
        ("rate", 2, 2.0),
        ("name", "adagrad", "adagrad"),
        ("way", "cat", "cat"),
        ("layers", "512,256,1", (512, 256, 1)),
        ("layers", "[512, 256]", (512, 256)),
        ("layers", [3], (3,)),
        ("layers", "", ()),
        ("on", "no", False),
        ("on", "ON", True),
        ("path", "~/x", Path.home() / "x"),
        ("path", "none", None),
        ("limit", "", None),
        ("limit", None, None),
        ("limit", "5", 5),
    ],
)
def test_text_and_toml_values_become_the_setting_s_type(name: str, text: Any, value: Any) -> None:
    found = settings.check(ITEMS[name], text, where="here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("size", "many", "size = 'many' in here is not a whole number"),
        ("size", "1.5", "is not a whole number"),
        ("size", True, "is not a whole number"),
        ("size", 0, "below the smallest allowed, 1"),
        ("size", "2G", "above the largest allowed, 1e+09"),
        ("size", None, "must not be empty"),
        ("rate", "nan", "must be a finite number"),
        ("rate", "inf", "must be a finite number"),
        ("rate", False, "is not a number"),
        ("name", "adam", "is not one of sgd | adagrad"),
        ("name", 3, "is not one of sgd | adagrad"),
        ("way", "sum", "is not one of dot | cat"),
        ("layers", "1,x", "a comma-separated list of whole numbers"),
        ("layers", "4,0", "below the smallest allowed"),
        ("layers", 5, "a comma-separated list"),
        ("on", "perhaps", "true or false"),
        ("path", 5, "is not a path"),
    ],
)
def test_a_wrong_value_names_place_value_and_what_was_expected(name: str, text: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as problem:
        settings.check(ITEMS[name], text, where="here")
    assert sentence in problem.value.message
    assert "here" in problem.value.message
    assert name in problem.value.message


def test_defaults_may_depend_on_the_mode() -> None:
    assert settings.build(Example, "train", {}).size == 128
    assert settings.build(Example, "infer", {}).size == 512
    assert settings.build(Example, "infer", {"size": 3}).size == 3


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown setting 'sise' in there") as problem:
        settings.build(Example, "train", {"sise": 3}, where="there")
    assert problem.value.hint == "did you mean 'size'?"


def test_a_field_without_a_declaration_is_a_mistake_of_the_author() -> None:
    @dataclass(frozen=True)
    class Careless:
        size: int = 3

    with pytest.raises(TypeError, match=r"Careless\.size is not declared with setting"):
        settings_of(Careless)


def test_flags_and_choices_follow_from_the_declaration() -> None:
    assert ITEMS["way"].choices == ("dot", "cat")
    assert ITEMS["limit"].optional
    assert ITEMS["limit"].base_type is int
    assert ITEMS["layers"].flag == "--layers"


@given(
    st.builds(
        Example,
        size=st.integers(1, 10**9),
        rate=st.floats(0, 1e6, allow_nan=False),
        name=st.sampled_from(["sgd", "adagrad"]),
        way=st.sampled_from(["dot", "cat"]),
        layers=st.lists(st.integers(1, 10**6)).map(tuple),
        on=st.booleans(),
        path=st.sampled_from([None, Path("/a"), Path("b/c")]),
        limit=st.none() | st.integers(0, 10**12),
    )
)
def test_json_and_back_is_the_same_config(example: Example) -> None:
    plain = settings.jsonable(example)
    assert settings.build(Example, "train", plain) == example


@given(st.integers(1, 10**9))
def test_a_whole_number_survives_as_text(number: int) -> None:
    assert settings.check(ITEMS["size"], str(number), where="here") == number
    assert settings.check(ITEMS["size"], f"{number:_}", where="here") == number
