from __future__ import annotations

import pytest

from workloads.cachesim.commands.text import byte_text, percent, round_byte_text, share_text, table_lines, wrapped


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (39_800_000_000, "39.8 GB"),
        (999_600_000, "1.00 GB"),
        (2e14, "200 TB"),
    ],
)
def test_bytes_have_three_digits(count, text):
    assert byte_text(count) == text


def test_round_bytes_have_as_few_as_tell_them():
    assert [round_byte_text(count) for count in (40e9, 1.5e9, 100)] == ["40 GB", "1.5 GB", "100 B"]


def test_a_share_is_100_only_if_it_is_all():
    assert [share_text(share) for share in (0, 0.001, 0.0496, 0.1, 0.996, 0.99999999, 1.0, 3.87)] == [
        "0 %", "0.1 %", "5 %", "10 %", "99.6 %", "99.9999 %", "100 %", "387 %",
    ]  # fmt: skip


def test_what_is_not_known_is_a_dash():
    assert (percent(None), percent(0.5)) == ("–", "50.00 %")


def test_columns_that_do_not_fit_follow_below():
    lines = table_lines(["size", *"abcd"], [["10", *["1234567"] * 4]], 24)
    assert lines == [
        "size        a        b", "  10  1234567  1234567", "",
        "size        c        d", "  10  1234567  1234567",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 24


def test_a_column_wider_than_the_terminal_stands_alone():
    assert table_lines(["a", "b"], [["1", "x" * 30]], 10) == ["a" + " " * 31 + "b", "1  " + "x" * 30]


def test_sentences_are_wrapped():
    assert wrapped("one two three", 8) == ["one two", "three"]
