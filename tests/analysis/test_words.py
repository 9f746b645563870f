from __future__ import annotations

import pytest

from harness.analysis import words


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((1.3123, 1.27, 1.36), "×1.31 [1.27, 1.36]"),
        ((1.0031, 1.0021, 1.0043), "×1.0031 [1.0021, 1.0043]"),
        ((1.3123, 1.3, 1.32), "×1.312 [1.300, 1.320]"),
        ((0.5,), "×0.500"),
        ((2.0, 2.0, 2.0), "×2.0000 [2.0000, 2.0000]"),
        ((1.0, 1.0, 1.0), "equal"),
        ((1.0, 1.0, 1.00001), "×1.0000 [1.0000, 1.0000]"),
    ],
)
def test_ratios_show_the_digits_their_interval_supports(args, text):
    assert words.ratio_text(*args) == text


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((0.00213, 0.0012, 0.0030), "+0.0021 [+0.0012, +0.0030]"),
        ((-0.004, -0.009, 0.001), "−0.004 [−0.009, +0.001]"),
        ((0.0, -0.0004, 0.0004), "±0.0000 [−0.0004, +0.0004]"),
        ((0.0, 0.0, 0.0), "equal"),
        ((0.0,), "±0"),
    ],
)
def test_differences_always_have_a_sign_and_no_negative_zero(args, text):
    assert words.difference_text(*args) == text


@pytest.mark.parametrize(
    ("unit", "timed"), [("samples/s", True), ("s", True), ("ms", True), ("J/sample", True), ("W", True)]
)
def test_units_with_time_or_energy_drift_with_the_machine(unit, timed):
    assert words.is_timed(unit) is timed


@pytest.mark.parametrize("unit", ["", "bytes", "samples", "requests", "ratio", "%"])
def test_units_without_time_do_not(unit):
    assert not words.is_timed(unit)


@pytest.mark.parametrize(
    ("key", "unit", "better"),
    [
        ("throughput", "samples/s", "faster"),
        ("latency_p99_s", "s", "faster"),
        ("auc", "", "more accurate"),
        ("memory_peak_bytes", "bytes", "smaller"),
        ("energy_j_per_sample", "J/sample", "better"),
        ("hit_ratio{policy=lru}", "", "better"),
    ],
)
def test_what_b_is_when_it_is_better(key, unit, better):
    assert words.qualities(key, unit)[0] == better


def test_confidence_is_rounded_down():
    assert words.confidence_text(0.9499) == "94.9 %"
    assert words.confidence_text(0.96875) == "96.8 %"


def test_what_only_the_database_calls_so_is_put_into_words():
    assert words.plain_key("load.foreign_cpu_share") == "other processes' share of the processor"
    assert words.plain_key("face") == "how it was watched"
    assert words.plain_key("environment.torch.version") == "torch.version"
