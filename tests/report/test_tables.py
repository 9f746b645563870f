from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.analysis import words
from harness.report.tables import PIPED_WIDTH, Listing, plain_table, print_table, settings_table


def _printed(table: Listing, width: int, *, terminal: bool = True) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, highlight=False, markup=False
    )
    print_table(console, table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def test_names_are_never_broken_even_where_the_terminal_is_too_narrow() -> None:
    name = "nvidia-dle-dlrm-a100-infer-32768-graphs-throughput"
    table = plain_table(("name", "device"), [(name, "NVIDIA A100")], fold=("device",), drop=("device",))
    assert any(line.split() == [name] for line in _printed(table, 40))
    assert any(line.split()[0] == name for line in _printed(table, 80))


def test_columns_are_dropped_in_their_order_until_the_rest_fits() -> None:
    table = plain_table(("a", "b", "c"), [("x" * 10, "y" * 10, "z" * 10)], fold=(), drop=("b", "c"))
    assert [table.narrowed(width).headings for width in (34, 33, 22, 21, 5)] == [
        ("a", "b", "c"), ("a", "c"), ("a", "c"), ("a",), ("a",),
    ]  # fmt: skip


@given(st.lists(st.text("ab ,/", max_size=60), min_size=1, max_size=4), st.integers(40, 100))
def test_a_table_fits_and_loses_nothing(values: list[str], width: int) -> None:
    table = plain_table(
        ("key", "value"), [(f"key-{place}", value) for place, value in enumerate(values)], fold=("value",)
    )
    lines = _printed(table, width)
    assert max(map(len, lines)) <= width
    shown = "".join("".join(lines[2:]).split())
    assert shown == "".join(f"key-{place}" + "".join(value.split()) for place, value in enumerate(values))


def test_words_are_broken_only_where_they_are_longer_than_their_column() -> None:
    lines = _printed(plain_table(("x", "text"), [("a", "default and another default")]), 12)
    assert [line.split()[-1] for line in lines[2:]] == ["default", "and", "another", "default"]


def test_lists_break_at_commas() -> None:
    sizes = ",".join(str(10**place) for place in range(12))
    lines = _printed(settings_table([("cardinalities", sizes.split(","), "default")]), 60)
    assert all(line.rstrip().removesuffix("default").rstrip().endswith(",") for line in lines[2:-1])
    assert any("default" in line for line in lines)


def test_without_a_terminal_there_is_no_escape_no_trailing_blank_and_nothing_is_cut() -> None:
    long = ",".join(["12345"] * 60)
    lines = _printed(plain_table(["a", "b"], [["x" * 60, "y"], ["z", long]], fold=["b"]), 40, terminal=False)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "x" * 60 in text
    assert max(map(len, lines)) <= PIPED_WIDTH
    assert not any(line.endswith(" ") for line in lines)
    assert text.count("12345") == 60


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (True, "true"), ([512, 256], "512,256"), ("auto", "auto"), (1.5, "1.5"), ([], "–")]
)
def test_settings_are_shown_as_they_are_typed(value: object, text: str) -> None:
    assert words.setting_text(value) == text
    assert any(
        line.split() == ["batch", text, "--batch"]
        for line in _printed(settings_table([("batch", value, "--batch")]), 80)
    )
