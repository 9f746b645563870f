from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.numbers import amount, brief, clock, duration, share, spread


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((12345.6, 12100.0, 12600.0, "samples/s"), ("12.3k samples/s", "[12.1k, 12.6k]")),
        ((0.74312, 0.7411, 0.7450, ""), ("0.7431", "[0.7411, 0.7450]")),
        ((0.781, 0.781, 0.781, ""), ("0.7810", "[0.7810, 0.7810]")),
        ((3.2e-3, 3.1e-3, 3.4e-3, "s"), ("3.20 ms", "[3.10, 3.40]")),
        ((2.0**30 * 1.5, 2.0**30, 2.0**31, "B"), ("1.50 GiB", "[1.00, 2.00]")),
        ((0.0012, 0.0011, 0.0013, "J"), ("0.00120 J", "[0.00110, 0.00130]")),
        ((12345.6, None, None, "samples/s"), ("12.35k samples/s", "")),
        ((None, None, None, "samples/s"), ("–", "")),
    ],
)
def test_an_interval_shares_unit_and_digits_with_its_median(
    given: tuple[float | None, float | None, float | None, str], text: tuple[str, str]
) -> None:
    assert spread(*given) == text


@given(st.floats(1e-6, 1e9), st.floats(0, 0.5), st.floats(0, 0.5), st.sampled_from(["samples/s", "s", "B", "", "J"]))
def test_the_shown_interval_holds_the_shown_median(median: float, below: float, above: float, unit: str) -> None:
    middle, interval = spread(median, median * (1 - below), median * (1 + above), unit)
    numbers = [float(re.sub(r"[TGMk]$", "", part)) for part in interval.strip("[]").split(", ")]
    shown = float(re.sub(r"[TGMk]$", "", middle.split()[0]))
    assert numbers[0] <= shown <= numbers[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.84, "0.8 s"), (42.0, "42 s"), (119.4, "119 s"), (200.0, "3 min 20 s"), (7500.0, "2 h 5 min"), (3600.0, "1 h"),
     (273600.0, "3 d 4 h"), (None, "–")],
)  # fmt: skip
def test_durations_are_told_as_people_do(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_clocks_line_up() -> None:
    assert [clock(value) for value in (5.2, 200.0, 7500.0, None)] == ["00:05", "03:20", "2:05:00", "–"]


def test_shares_are_per_cent_and_nothing_is_not_zero() -> None:
    assert [share(value) for value in (0.23, 0.041, 0.0003, 0.0, 1.0, None)] == [
        "23 %", "4.1 %", "0.03 %", "0 %", "100 %", "–",
    ]  # fmt: skip


def test_amounts_and_brief_amounts() -> None:
    assert amount(200.0, "s") == "3 min 20 s"
    assert amount(None, "B") == "–"
    assert brief(1.24e9, "B") == "1.15 GiB"
    assert brief(0.0000123, "J").endswith("J")
    assert brief(None, "s") == "–"
    assert brief(123456.0, "samples/s") == "123k samples/s"
